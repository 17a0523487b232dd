package stdio

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/test/leak"
	"golang.org/x/sys/unix"
)

func TestTerminal(t *testing.T) {
	nothingLeft(t)
	s := opened(t, proto.Stdio{PTY: true})
	if len(s.FDs()) != 1 || slices.Contains(s.FDs(), s.Master()) {
		t.Fatalf("descriptors %v, master %d", s.FDs(), s.Master())
	}
	slave := s.FDs()[0]
	if flags(t, s.Master())&unix.O_NONBLOCK == 0 {
		t.Error("the master blocks")
	}
	if flags(t, slave)&unix.O_NONBLOCK != 0 {
		t.Error("the workload's end does not block")
	}
	if _, err := unix.Write(slave, []byte("to the master")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := unix.Read(s.Master(), b); err != nil || string(b[:n]) != "to the master" {
		t.Errorf("read %q, %v", b[:max(n, 0)], err)
	}
	if _, err := unix.Read(s.Master(), b); err != unix.EAGAIN {
		t.Errorf("read of nothing: %v", err)
	}
	s.CloseChildSide()
	if _, err := unix.Read(s.Master(), b); err != unix.EIO {
		t.Errorf("the agent still has the workload's end: read %v", err)
	}
	s.CloseMaster()
	s.CloseMaster()
	if s.Master() != -1 {
		t.Errorf("master %d after it was closed", s.Master())
	}
}

func TestWinsize(t *testing.T) {
	s := opened(t, proto.Stdio{PTY: true})
	for _, size := range []proto.Winsize{{Rows: 24, Cols: 80, XPix: 640, YPix: 480}, {}, {Rows: 65535, Cols: 65535, XPix: 65535, YPix: 65535}} {
		if err := s.SetWinsize(size); err != nil {
			t.Fatal(err)
		}
		got, err := unix.IoctlGetWinsize(s.FDs()[0], unix.TIOCGWINSZ)
		if err != nil || (proto.Winsize{Rows: got.Row, Cols: got.Col, XPix: got.Xpixel, YPix: got.Ypixel}) != size {
			t.Errorf("got %+v, %v, want %+v", got, err, size)
		}
	}
	if flags(t, s.Master())&unix.O_NONBLOCK == 0 {
		t.Error("the master blocks now")
	}
	s.CloseMaster()
	if err := errors.Join(s.SetWinsize(proto.Winsize{}), opened(t, proto.Stdio{}).SetWinsize(proto.Winsize{})); err != nil {
		t.Errorf("without a terminal: %v", err)
	}
}

func TestStagesOfTheTerminal(t *testing.T) {
	for name, want := range map[string]string{
		"few": `0: posix_openpt EMFILE
1: pts_open EMFILE
2: ptsetup EMFILE
3: ptsetup EMFILE
4: success
`,
		"TIOCGPTN":   "ptsname EDOM\n",
		"TIOCSPTLCK": "ptsetup EDOM\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := helper(t, name); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// withFewDescriptors opens a terminal when there is room for 0, 1, … descriptors.
func withFewDescriptors() error {
	open := func() error {
		s, err := Open(proto.Stdio{PTY: true})
		if err == nil {
			s.CloseChildSide()
			s.CloseMaster()
		}
		return err
	}
	if err := open(); err != nil { // the runtime makes descriptors of its own
		return err
	}
	limit := unix.Rlimit{Cur: 64, Max: 64}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	var room []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.EMFILE {
			break
		}
		if err != nil {
			return err
		}
		room = append(room, fd)
	}
	for n := range 5 {
		first := outcome(open())
		// What failed has left nothing open: it fails alike again.
		if second := outcome(open()); first != second {
			return fmt.Errorf("with room for %d: %s, then %s", n, first, second)
		}
		fmt.Printf("%d: %s\n", n, first)
		unix.Close(room[n])
	}
	return nil
}

func withoutIoctl(command uint32) error {
	if err := refuseIoctl(command, unix.EDOM); err != nil {
		return err
	}
	before := leak.Descriptors()
	_, err := Open(proto.Stdio{PTY: true})
	fmt.Println(outcome(err))
	if after := leak.Descriptors(); !slices.Equal(before, after) {
		return fmt.Errorf("open: %v, before: %v", after, before)
	}
	return nil
}
