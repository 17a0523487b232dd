package stdio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

var (
	inherit = proto.Directive{Kind: proto.Inherit}
	devnull = proto.Directive{Kind: proto.Devnull}
)

func connectTo(path string) proto.Directive {
	return proto.Directive{Kind: proto.ConnectUnix, Path: path}
}

func TestInheritOpensNothing(t *testing.T) {
	nothingLeft(t)
	s, err := Open(proto.Stdio{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.FDs()) != 0 || s.Master() != -1 {
		t.Errorf("descriptors %v, master %d", s.FDs(), s.Master())
	}
}

func TestDevnullIsOpenedOnce(t *testing.T) {
	nothingLeft(t)
	s := opened(t, proto.Stdio{FDs: [3]proto.Directive{devnull, inherit, devnull}})
	if len(s.FDs()) != 1 {
		t.Fatalf("descriptors %v", s.FDs())
	}
	fd := s.FDs()[0]
	if got := flags(t, fd) & (unix.O_ACCMODE | unix.O_NONBLOCK); got != unix.O_RDWR {
		t.Errorf("status flags %#x", got)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("device %#x, %v", st.Rdev, err)
	}
}

func TestErrorsCloseWhatWasOpened(t *testing.T) {
	path := listen(t, 2)
	missing := connectTo(filepath.Join(filepath.Dir(path), "missing"))
	nothingLeft(t)
	for want, fds := range map[string][3]proto.Directive{
		"connect_unix ENOENT": {devnull, connectTo(path), missing},
		"stdio EINVAL":        {connectTo(path), devnull, {Kind: 99}},
	} {
		s, err := Open(proto.Stdio{FDs: fds})
		if got := outcome(err); got != want || s != nil {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCloseIsIdempotent(t *testing.T) {
	s := opened(t, proto.Stdio{FDs: [3]proto.Directive{devnull, devnull, devnull}})
	fds := s.FDs()
	s.CloseChildSide()
	// The number is another's now, and must stay open.
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, fds[0])
	if err != nil || fd != fds[0] {
		t.Fatalf("descriptor %d, %v", fd, err)
	}
	defer unix.Close(fd)
	s.CloseChildSide()
	flags(t, fd)
	if got := s.FDs(); len(got) != 1 || got[0] != fds[0] {
		t.Errorf("the child keeps %v, not %v", got, fds)
	}
}

func TestLowDescriptorsAreNotUsed(t *testing.T) {
	if got := helper(t, "low"); got != "success, 0 is closed\n" {
		t.Errorf("got %s", got)
	}
}

func withoutLowDescriptors() error {
	if err := unix.Close(0); err != nil {
		return err
	}
	s, err := Open(proto.Stdio{FDs: [3]proto.Directive{devnull, inherit, inherit}})
	if err == nil && s.FDs()[0] <= 2 {
		err = fmt.Errorf("descriptors %v", s.FDs())
	}
	fmt.Print(outcome(err))
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err == unix.EBADF {
		fmt.Println(", 0 is closed")
	}
	return nil
}

func TestErrors(t *testing.T) {
	err := error(proto.FailedAt(proto.StagePTSOpen, "open", "/dev/pts/0", &os.PathError{Err: unix.EACCES}))
	if !errors.Is(err, unix.EACCES) || err.Error() != "pts_open: open /dev/pts/0: permission denied" {
		t.Errorf("%v", err)
	}
	err = proto.FailedAt(proto.StageConnectUnix, "socket", "", unix.EMFILE)
	if !errors.Is(err, unix.EMFILE) || err.Error() != "connect_unix: socket: too many open files" {
		t.Errorf("%v", err)
	}
}
