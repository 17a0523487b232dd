package stdio

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/test/leak"
	"golang.org/x/sys/unix"
)

// The test binary serves as its own helpers: processes that lack descriptors, or
// are refused a system call. A helper is named by argv[0].
var helpers = map[string]func() error{
	"low":        withoutLowDescriptors,
	"few":        withFewDescriptors,
	"TIOCGPTN":   func() error { return withoutIoctl(unix.TIOCGPTN) },
	"TIOCSPTLCK": func() error { return withoutIoctl(unix.TIOCSPTLCK) },
}

// A filter is one thread's.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if helper, ok := helpers[os.Args[0]]; ok {
		if err := helper(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(leak.Run(m))
}

// nothingLeft checks, at the end of the test, that it left nothing open.
func nothingLeft(t *testing.T) {
	t.Helper()
	before := leak.Descriptors()
	t.Cleanup(func() {
		if after := leak.Descriptors(); !slices.Equal(before, after) {
			t.Errorf("open: %v, before: %v", after, before)
		}
	})
}

func helper(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{name}
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// outcome is the stage and the errno of an error, in a line.
func outcome(err error) string {
	var e *proto.StageError
	switch {
	case err == nil:
		return "success"
	case errors.As(err, &e):
		return string(e.Stage) + " " + unix.ErrnoName(e.Errno)
	default:
		return err.Error()
	}
}

// opened is Open for a test: what it opened is closed at the end.
func opened(t *testing.T, request proto.Stdio) *Stdio {
	t.Helper()
	s, err := Open(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.CloseChildSide()
		s.CloseMaster()
	})
	return s
}

// flags checks that the descriptor is close-on-exec and returns its status flags.
func flags(t *testing.T, fd int) int {
	t.Helper()
	if on, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || on&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor %d: flags %#x, %v", fd, on, err)
	}
	status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return status
}
