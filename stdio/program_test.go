package stdio

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

func TestPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		request        proto.Stdio
		session, plumb string
	}{
		"inherit": {proto.Stdio{}, ":\n", ":\n"},
		"each": {
			proto.Stdio{FDs: [3]proto.Directive{{Kind: proto.Devnull}, {}, {Kind: proto.ConnectUnix, Path: "x"}}},
			":\n",
			":\n  dup3(<null>, 0, 0)  [stdio]\n  dup3(<stderr socket>, 2, 0)  [stdio]\n",
		},
		"terminal": {
			proto.Stdio{PTY: true},
			":\n  setsid()  [stdio]\n  ioctl(<terminal>, TIOCSCTTY, 0)  [stdio]\n",
			":\n  dup3(<terminal>, 0, 0)  [stdio]\n  dup3(<terminal>, 1, 0)  [stdio]\n  dup3(<terminal>, 2, 0)  [stdio]\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (child.Program{Ops: Sketch(c.request).Session()}).String(); got != c.session {
				t.Errorf("session %q, want %q", got, c.session)
			}
			if got := (child.Program{Ops: Sketch(c.request).Plumb()}).String(); got != c.plumb {
				t.Errorf("plumb %q, want %q", got, c.plumb)
			}
		})
	}
}

// execute runs a shell command behind the descriptors.
func execute(t *testing.T, s *Stdio, command string) {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	p, err := child.New(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	program := child.Program{Name: "execute", Ops: append(append(s.Session(), s.Plumb()...), child.Op{
		Call:  child.Execve,
		Args:  []child.Arg{child.String("/bin/sh"), child.Strings([]string{"sh", "-c", command}), child.Strings(nil)},
		Stage: "execve",
	})}
	if err := p.Start(0, program); err != nil {
		t.Fatal(err)
	}
	s.CloseChildSide()
	t.Cleanup(func() {
		err := unix.EINTR
		for err == unix.EINTR {
			err, _ = unix.Waitid(unix.P_PIDFD, p.PIDFD, nil, unix.WEXITED, nil).(unix.Errno)
		}
		if err != 0 {
			t.Errorf("waitid: %v", err)
		}
	})
	await(t, p.Reports())
	if err := p.Report(); err != io.EOF {
		t.Fatalf("report: %v", err)
	}
}

func await(t *testing.T, fd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err == nil {
			return
		} else if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}

func TestWorkloadOnATerminal(t *testing.T) {
	s := opened(t, proto.Stdio{PTY: true})
	execute(t, s, "test -t 0 && test -t 1 && test -t 2 && echo yes >/dev/tty; tty")
	name, err := unix.IoctlGetUint32(s.Master(), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for b := make([]byte, 4096); ; {
		await(t, s.Master())
		n, err := unix.Read(s.Master(), b)
		if err == unix.EIO {
			break
		}
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		got = append(got, b[:max(n, 0)]...)
	}
	if want := fmt.Sprintf("yes\r\n/dev/pts/%d\r\n", name); string(got) != want {
		t.Errorf("the workload wrote %q, want %q", got, want)
	}
}

func TestWorkloadOnConnections(t *testing.T) {
	path, l := listener(t, directory(t)+"/l", 2)
	s := opened(t, proto.Stdio{FDs: [3]proto.Directive{devnull, connectTo(path), connectTo(path)}})
	stdout, stderr := accept(t, l), accept(t, l)
	execute(t, s, "cat; echo out; echo err >&2")
	for _, c := range []struct {
		from io.Reader
		want string
	}{{stdout, "out\n"}, {stderr, "err\n"}} {
		if got, err := io.ReadAll(c.from); err != nil || string(got) != c.want {
			t.Errorf("read %q, %v, want %q", got, err, c.want)
		}
	}
}
