package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

func TestExitStatusOfErrors(t *testing.T) {
	failed := func(errno syscall.Errno, stage proto.Stage) error { return &client.Error{Errno: errno, Stage: stage} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{failed(unix.ENOENT, proto.StageExecve), 127},
		{failed(unix.ENOTDIR, proto.StageExecve), 127},
		{failed(unix.EACCES, proto.StageExecve), 126},
		{failed(unix.ENOEXEC, proto.StageExecve), 126},
		{failed(unix.ENOENT, proto.StageChdir), 125},
		{failed(unix.EPERM, proto.StageClone), 125},
		{&statusError{126, errors.New("")}, 126},
		{client.ErrAgentDied, 125},
	} {
		if got := codeOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestExitStatusOfResults(t *testing.T) {
	for result, want := range map[client.Result]int{
		{Kind: proto.Exited, N: 255}:  255,
		{Kind: proto.Signaled, N: 9}:  137,
		{Kind: proto.Signaled, N: 64}: 192,
		{Kind: proto.Exited, N: 0}:    0,
		{Kind: proto.Aborted, N: 0}:   0,
		{Kind: proto.Signaled, N: 31}: 159,
		{Kind: proto.Signaled, N: 15}: 143,
	} {
		if got := codeOfResult(result); got != want {
			t.Errorf("%v: %d, want %d", result, got, want)
		}
	}
}

func TestErrorsSpeakOfTheCommandLine(t *testing.T) {
	p := &plan{options: &options{enter: 7, cwd: ptr("/none")}, request: proto.Request{Argv: []string{"/bin/x"}}}
	for _, c := range []struct {
		errno syscall.Errno
		stage proto.Stage
		want  string
	}{
		{unix.ENOENT, proto.StageExecve, "cannot execute /bin/x: execve: no such file or directory"},
		{unix.ENOENT, proto.StageChdir, "--cwd /none: chdir: no such file or directory"},
		{unix.EPERM, proto.StageClone, "cannot create the namespaces: clone: operation not permitted; run it as root, or add user to --ns"},
		{unix.ESRCH, proto.StageOpenNSProc, "--enter 7: open_ns_proc: no such process; is the process still alive?"},
		{unix.EACCES, proto.StageOpenNS(proto.Net), "--enter 7: open_ns_net: permission denied; it belongs to somebody else; run it as root"},
		{unix.EPERM, proto.StageCapDropBounding, "cannot take capabilities away: cap_drop_bounding: operation not permitted; run it as root, or add user to --ns"},
		{unix.EINVAL, proto.StageSeccompInstall, "--seccomp-bpf: seccomp_install: invalid argument; this is no valid filter"},
		{unix.EIO, proto.StagePosixOpenpt, "posix_openpt: input/output error"},
	} {
		err := explained(&client.Error{Errno: c.errno, Stage: c.stage}, p)
		if err.Error() != c.want || !errors.Is(err, c.errno) {
			t.Errorf("%q, want %q", err, c.want)
		}
	}
	if err := explained(&client.Error{Errno: unix.EIO, Stage: proto.StageChdir}, &plan{options: &options{}}); !strings.HasPrefix(err.Error(), "chdir") {
		t.Errorf("without a directory: %v", err)
	}
	if err := explained(client.ErrClosed, p); err != client.ErrClosed {
		t.Errorf("another error: %v", err)
	}
}
