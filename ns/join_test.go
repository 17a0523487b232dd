package ns

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// parked makes a child that waits for programs.
func parked(t *testing.T, flags uint64) *child.Process {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	p, err := child.New(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.PIDFD >= 0 {
			// It is parked, or has exited of a failure.
			_ = unix.PidfdSendSignal(p.PIDFD, unix.SIGKILL, nil, 0)
			reap(t, p.PIDFD)
		}
		p.Close()
	})
	privileged(t, p.Start(flags, child.Program{Name: "first"}))
	if err := report(t, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// report waits for the report of the program in flight.
func report(t *testing.T, p *child.Process) error {
	t.Helper()
	for {
		fds := []unix.PollFd{{Fd: int32(p.Reports()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		if err := p.Report(); err != unix.EAGAIN {
			return err
		}
	}
}

func run(t *testing.T, p *child.Process, program child.Program) error {
	t.Helper()
	if err := p.Run(program); err != nil {
		t.Fatal(err)
	}
	return report(t, p)
}

// adopt follows a second clone, and reaps the first child.
func adopt(t *testing.T, p *child.Process) {
	t.Helper()
	pid := int(p.Word(WordPID))
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("second child %d: %v", pid, err)
	}
	old := p.Replace(pid, pidfd)
	reap(t, old)
	unix.Close(old)
}

func reap(t *testing.T, pidfd int) {
	t.Helper()
	err := unix.EINTR
	for err == unix.EINTR {
		err, _ = unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED, nil).(unix.Errno)
	}
	if err != 0 {
		t.Errorf("waitid: %v", err)
	}
}

func innerPID(t *testing.T, p *child.Process) int {
	t.Helper()
	const word = 2
	err := run(t, p, child.Program{Ops: []child.Op{{Call: child.Getpid, Out: word}}})
	if err != nil {
		t.Fatal(err)
	}
	return int(p.Word(word))
}

// everything is the flags of all namespaces that this kernel has.
func everything() uintptr {
	var flags uintptr
	for n := range proto.Namespace(proto.NumNamespaces) {
		if Supported(n) {
			flags |= uintptr(kinds[n].flag)
		}
	}
	return flags
}

func pin(t *testing.T, pid int, want []proto.Namespace) *Target {
	t.Helper()
	target, err := Pin(pid, want)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Close)
	return target
}

func TestProgramsOfATarget(t *testing.T) {
	target := &Target{pidfd: 7, joins: []join{{proto.User, 8}, {proto.Net, 9}, {proto.PID, 10}}, closed: true}
	want := `join:
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  [clone]
  setns(<pidfd>, CLONE_NEWUSER|CLONE_NEWNET|CLONE_NEWPID)  on error: skip 1
  stop()
  setns(<user>, CLONE_NEWUSER)  [setns_user]
  setns(<net>, CLONE_NEWNET)  [setns_net]
  setns(<pid>, CLONE_NEWPID)  [setns_pid]
fork:
  $1 = clone(0)  [fork]
`
	if got := (child.Program{Name: "join", Ops: target.Join()}).String() + target.Fork().String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := fmt.Sprint(target.FDs(), target.Joins()); got != "[7 8 9 10] [user net pid]" {
		t.Errorf("descriptors and namespaces: %s", got)
	}
	nothing := &Target{pidfd: 7, closed: true}
	want = "join:\n  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  [clone]\n"
	if got := (child.Program{Name: "join", Ops: nothing.Join()}).String(); got != want {
		t.Errorf("nothing to join: got\n%s\nwant\n%s", got, want)
	}
}

func TestNeedsFork(t *testing.T) {
	for n := range proto.Namespace(proto.NumNamespaces) {
		target := &Target{joins: []join{{n, 3}}}
		if got, want := target.NeedsFork(), n == proto.PID || n == proto.Time; got != want {
			t.Errorf("%v: %t", n, got)
		}
	}
	if (&Target{}).NeedsFork() {
		t.Error("nothing to join needs no second clone")
	}
}

func TestJoin(t *testing.T) {
	for name, c := range map[string]struct {
		flags uintptr
		spoil func(*Target)
	}{
		"one":              {unix.CLONE_NEWUTS, func(*Target) {}},
		"all at once":      {everything(), func(*Target) {}},
		"without the mask": {everything(), func(t *Target) { t.pidfd = -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			there := sleeper(t, c.flags).Process.Pid
			target := pin(t, there, nil)
			programs := *target
			c.spoil(&programs)
			p := parked(t, 0)
			if err := run(t, p, child.Program{Name: "join", Ops: programs.Join()}); err != nil {
				t.Fatal(err)
			}
			first := p.PID
			if programs.NeedsFork() {
				if err := run(t, p, programs.Fork()); err != nil {
					t.Fatal(err)
				}
				adopt(t, p)
			}
			if forked := p.PID != first; forked != (c.flags&unix.CLONE_NEWPID != 0) {
				t.Errorf("second clone: %t", forked)
			}
			visible(t, p)
			for _, k := range kinds {
				if got, want := link(t, p.PID, k.file), link(t, there, k.file); got != want {
					t.Errorf("it is in %s, the target in %s", got, want)
				}
			}
		})
	}
}

// visible lets an unprivileged test look at the child's files in /proc.
func visible(t *testing.T, p *child.Process) {
	t.Helper()
	dumpable := child.Op{Call: child.Prctl, Args: []child.Arg{child.Int(unix.PR_SET_DUMPABLE), child.Int(1)}}
	if err := run(t, p, child.Program{Ops: []child.Op{dumpable}}); err != nil {
		t.Fatal(err)
	}
}

func TestJoinNamesTheNamespaceThatFails(t *testing.T) {
	target := pin(t, sleeper(t, unix.CLONE_NEWUTS|unix.CLONE_NEWNET|unix.CLONE_NEWIPC).Process.Pid, nil)
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	spoilt := Target{pidfd: null, joins: append([]join(nil), target.joins...)}
	spoilt.joins[1].fd = null
	p := parked(t, 0)
	err = run(t, p, child.Program{Name: "join", Ops: spoilt.Join()})
	var f *child.Failure
	if !errors.As(err, &f) || f.Stage != "setns_ipc" || f.Errno != unix.EINVAL {
		t.Fatalf("report: %v", err)
	}
}

// A pid namespace that has lost its pid 1 takes in nobody.
func TestForkIntoADeadPIDNamespace(t *testing.T) {
	sleep := sleeper(t, unix.CLONE_NEWPID)
	target := pin(t, sleep.Process.Pid, nil)
	if err := sleep.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := sleep.Wait(); err == nil {
		t.Fatal("it was not killed")
	}
	p := parked(t, 0)
	err := run(t, p, child.Program{Name: "join", Ops: target.Join()})
	if err == nil {
		err = run(t, p, target.Fork())
	}
	var f *child.Failure
	if !errors.As(err, &f) || f.Stage != "fork" && f.Stage != "setns_pid" {
		t.Fatalf("report: %v", err)
	}
}

// What has joined can neither be traced nor looked into by the workloads inside.
func TestJoiningChildIsNotDumpable(t *testing.T) {
	target := pin(t, sleeper(t, unix.CLONE_NEWUSER|unix.CLONE_NEWUTS).Process.Pid, nil)
	p := parked(t, 0)
	const word = 3
	dumpable := child.Op{Call: child.Prctl, Args: []child.Arg{child.Int(unix.PR_GET_DUMPABLE)}, Out: word}
	if err := run(t, p, child.Program{Name: "join", Ops: target.Join()}); err != nil {
		t.Fatal(err)
	}
	if err := run(t, p, child.Program{Ops: []child.Op{dumpable}}); err != nil {
		t.Fatal(err)
	}
	if got := p.Word(word); got != 0 {
		t.Errorf("dumpable: %d", got)
	}
}

// The programs outlive the agent's descriptors: the child has its own.
func TestJoinAfterClose(t *testing.T) {
	there := sleeper(t, unix.CLONE_NEWUTS).Process.Pid
	target := pin(t, there, nil)
	p := parked(t, 0)
	target.Close()
	target.Close()
	if err := run(t, p, child.Program{Name: "join", Ops: target.Join()}); err != nil {
		t.Fatal(err)
	}
	if got, want := link(t, p.PID, "uts"), link(t, there, "uts"); got != want {
		t.Errorf("it is in %s, the target in %s", got, want)
	}
}

func TestClosedTargetHasNoDescriptors(t *testing.T) {
	target := pin(t, sleeper(t, unix.CLONE_NEWUTS).Process.Pid, nil)
	for _, fd := range target.FDs() {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d: flags %#x, %v", fd, flags, err)
		}
	}
	target.Close()
	for _, fd := range target.FDs() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d: %v", fd, err)
		}
	}
}
