package ns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/test/leak"
	"golang.org/x/sys/unix"
)

// The test binary serves as its own helpers: processes with another view of /proc
// or other credentials. A helper is named by argv[0].
var helpers = map[string]func() error{
	"proc-tmpfs":        procTmpfs,
	"proc-empty":        procEmpty,
	"proc-fake-process": procFakeProcess,
	"proc-fake-ns":      procFakeNS,
	"proc-of-ancestor":  procOfAncestor,
	"proc-of-child":     procOfChild,
	"mount-proc":        func() error { return unix.Mount("proc", "/proc", "proc", 0, "") },
	"time-for-children": timeForChildren,
	"unprivileged":      unprivileged,
}

// notPermitted is the exit status of a helper that lacks a privilege.
const notPermitted = 77

func TestMain(m *testing.M) {
	if helper, ok := helpers[os.Args[0]]; ok {
		if err := helper(); err != nil {
			fmt.Println("error:", err)
			if errors.Is(err, os.ErrPermission) {
				os.Exit(notPermitted)
			}
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(leak.Run(m))
}

// helper runs one, in namespaces of its own by flags, and returns what it printed.
func helper(t *testing.T, flags uintptr, name string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{name}
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		privileged(t, err)
	case exit.ExitCode() == notPermitted:
		privileged(t, fmt.Errorf("%w: %s", unix.EPERM, out))
	default:
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// privileged skips the test for want of a privilege, and fails it for any other
// error, or if MUST_WORK=1 says that nothing may be skipped.
func privileged(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, os.ErrPermission) && os.Getenv("MUST_WORK") != "1":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// sleeper starts a process that does nothing, in fresh namespaces by flags.
func sleeper(t *testing.T, flags uintptr) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	privileged(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // by that signal
	})
	return cmd
}

// link is what /proc says of a process's namespace.
func link(t *testing.T, pid int, file string) string {
	t.Helper()
	s, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
