package child

import (
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// parked makes a child that has run the first program and waits at its pipe, or
// has failed in it.
func parked(t *testing.T, first ...Op) *Process {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	p, err := New(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.PIDFD >= 0 {
			// Ends a child that a failed test left parked; the error is that it
			// has been reaped.
			_ = unix.PidfdSendSignal(p.PIDFD, unix.SIGKILL, nil, 0)
			_ = unix.Waitid(unix.P_PIDFD, p.PIDFD, nil, unix.WEXITED, nil)
		}
		p.Close()
	})
	if err := p.Start(0, Program{Name: "first", Ops: first}); err != nil {
		t.Fatal(err)
	}
	return p
}

// next waits for the report of the program in flight.
func next(t *testing.T, p *Process) error {
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

func run(t *testing.T, p *Process, ops ...Op) error {
	t.Helper()
	if err := p.Run(Program{Name: "test", Ops: ops}); err != nil {
		t.Fatal(err)
	}
	return next(t, p)
}

// closeAgentSide is the op that every real child begins with: while it holds
// the write end of its own command pipe, that pipe never ends.
func closeAgentSide(p *Process) Op {
	return Op{Call: Close, Args: []Arg{Int(p.commands[1])}, Stage: "close"}
}

func reap(t *testing.T, fd int) unix.Siginfo {
	t.Helper()
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PIDFD, fd, &info, unix.WEXITED, nil)
		if err == nil {
			return info
		}
		if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}

// exitCode is si_status for CLD_EXITED, -1 for a death by signal.
func exitCode(t *testing.T, info unix.Siginfo) int {
	t.Helper()
	if info.Code != 1 {
		return -1
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 24)))
}

func TestSizesOfSharedStructures(t *testing.T) {
	if got := unsafe.Sizeof(op{}); got != opSize {
		t.Errorf("op has %d bytes, arena.go lays out %d", got, opSize)
	}
	if wordsOffset+8*NumWords > programOffset || reportSize > wordsOffset {
		t.Error("the results run into the program")
	}
	o := op{}
	for name, c := range map[string]struct{ got, want uintptr }{
		"args":    {unsafe.Offsetof(o.args), 8},
		"out":     {unsafe.Offsetof(o.out), 56},
		"deref":   {unsafe.Offsetof(o.deref), 57},
		"onError": {unsafe.Offsetof(o.onError), 58},
	} {
		if c.got != c.want {
			t.Errorf("%s lies at %d, arena.go puts it at %d", name, c.got, c.want)
		}
	}
}

func TestWordsCarryResultsIntoArguments(t *testing.T) {
	const pid, fd, copied, end = 1, 2, 3, 4
	pr, pw, err := os.Pipe() // before the child is there, so that it has them
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	w := int(pw.Fd())
	p := parked(t, Op{Call: Getpid, Out: pid})
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	if got := int(p.Word(pid)); got != p.PID {
		t.Errorf("the child says that it is %d, clone says %d", got, p.PID)
	}
	err = run(t, p,
		Op{Call: Fcntl, Args: []Arg{Int(w), Int(unix.F_DUPFD_CLOEXEC), Int(100)}, Out: fd},
		Op{Call: Syscall{"write", unix.SYS_WRITE}, Args: []Arg{Value(fd), String("written"), Int(7)}, Out: copied},
		Op{Call: Syscall{"write", unix.SYS_WRITE}, Args: []Arg{Value(fd), Address(pid), Int(8)}, Out: end},
	)
	if err != nil {
		t.Fatal(err)
	}
	if p.Word(fd) < 100 || p.Word(copied) != 7 || p.Word(end) != 8 {
		t.Errorf("words: %d %d %d", p.Word(fd), p.Word(copied), p.Word(end))
	}
	b := make([]byte, 15)
	if _, err := io.ReadFull(pr, b); err != nil || string(b[:7]) != "written" {
		t.Errorf("read %q, %v", b, err)
	}
	pw.Close()
}

func TestFailureNamesItsOpAndEndsTheChild(t *testing.T) {
	p := parked(t)
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	err := run(t, p,
		Op{Call: Getpid, Stage: "before"},
		Op{Call: Chdir, Args: []Arg{String("/nowhere/at/all")}, Stage: "chdir"},
		Op{Call: Getpid, Stage: "behind", Out: 5},
	)
	var f *Failure
	if !errors.As(err, &f) || f.Stage != "chdir" || f.Errno != unix.ENOENT || f.Call != "chdir" || f.Program != "test" {
		t.Fatalf("report: %v", err)
	}
	if p.Word(5) != 0 {
		t.Error("the op behind the failure ran")
	}
	if got := exitCode(t, reap(t, p.PIDFD)); got != 1 {
		t.Errorf("exit code %d", got)
	}
}

func TestOnError(t *testing.T) {
	bad := []Arg{Int(-1)}
	for name, c := range map[string]struct {
		ops  []Op
		want [3]bool // which of the words 1…3 were set
	}{
		"go on": {[]Op{
			{Call: Close, Args: bad, OnError: GoOn, Out: 1},
			{Call: Getpid, Out: 2},
		}, [3]bool{false, true, false}},
		"skip one": {[]Op{
			{Call: Close, Args: bad, OnError: Skip(1)},
			{Call: Getpid, Out: 1},
			{Call: Getpid, Out: 2},
		}, [3]bool{false, true, false}},
		"skip past the end": {[]Op{
			{Call: Close, Args: bad, OnError: Skip(9)},
			{Call: Getpid, Out: 1},
		}, [3]bool{}},
		"success does not skip": {[]Op{
			{Call: Getpid, OnError: Skip(1)},
			{Call: Getpid, Out: 1},
			{Call: Getpid, Out: 2},
		}, [3]bool{true, true, false}},
		"stop": {[]Op{
			{Call: Getpid, Out: 1},
			{Call: Stop},
			{Call: Close, Args: bad, Stage: "behind stop"},
		}, [3]bool{true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			p := parked(t, c.ops...)
			if err := next(t, p); err != nil {
				t.Fatal(err)
			}
			for w, want := range c.want {
				if got := p.Word(Word(w+1)) != 0; got != want {
					t.Errorf("word %d set: %t, want %t", w+1, got, want)
				}
			}
		})
	}
}

func TestCloneGoesOnAsTheAgentsChild(t *testing.T) {
	const second, self, parent = 1, 2, 3
	p := parked(t)
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	err := run(t, p,
		Op{Call: Clone, Args: []Arg{Int(0)}, Out: second, Stage: "fork"},
		Op{Call: Getpid, Out: self},
		Op{Call: Syscall{"getppid", unix.SYS_GETPPID}, Out: parent},
	)
	if err != nil {
		t.Fatal(err)
	}
	if int(p.Word(parent)) != os.Getpid() {
		t.Errorf("its parent is %d, not %d", p.Word(parent), os.Getpid())
	}
	pid := int(p.Word(second))
	if pid == p.PID || uint64(pid) != p.Word(self) {
		t.Errorf("first %d, second %d, itself %d", p.PID, pid, p.Word(self))
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	old := p.Replace(pid, pidfd)
	defer unix.Close(old)
	if got := exitCode(t, reap(t, old)); got != 0 {
		t.Errorf("the first child's exit code is %d", got)
	}
	if err := run(t, p, Op{Call: Getpid, Out: self}); err != nil || p.Word(self) != uint64(pid) {
		t.Errorf("the second child does not serve: %v", err)
	}
}

func TestCloneThatFails(t *testing.T) {
	p := parked(t)
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	// CLONE_NEWUSER with CLONE_FS is EINVAL.
	err := run(t, p, Op{Call: Clone, Args: []Arg{Int(unix.CLONE_NEWUSER | unix.CLONE_FS)}, Stage: "fork"})
	var f *Failure
	if !errors.As(err, &f) || f.Stage != "fork" || f.Errno != unix.EINVAL {
		t.Fatalf("report: %v", err)
	}
}

func TestExecuteEndsTheReportPipe(t *testing.T) {
	p := parked(t)
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	err := run(t, p, Op{
		Call:  Execve,
		Args:  []Arg{String("/bin/sh"), Strings([]string{"sh", "-c", "exit $CODE"}), Strings([]string{"CODE=7"})},
		Stage: "execve",
	})
	if err != io.EOF {
		t.Fatalf("report: %v", err)
	}
	if got := exitCode(t, reap(t, p.PIDFD)); got != 7 {
		t.Errorf("exit code %d", got)
	}
}

func TestChildExitsWhenItsCommandPipeEnds(t *testing.T) {
	p, err := New(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.Start(0, Program{Ops: []Op{closeAgentSide(p)}}); err != nil {
		t.Fatal(err)
	}
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	p.Release()
	if got := exitCode(t, reap(t, p.PIDFD)); got != 0 {
		t.Errorf("exit code %d", got)
	}
}

// A filter that refuses write(2) and exit_group(2) alike cannot keep the child
// alive, nor the failure secret.
func TestFilterThatRefusesWriteAndExit(t *testing.T) {
	deny := func(nr uint32) []unix.SockFilter {
		return []unix.SockFilter{
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: 0, Jf: 1},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)},
		}
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
	for _, nr := range []uint32{unix.SYS_WRITE, unix.SYS_EXIT_GROUP} {
		filter = append(filter, deny(nr)...)
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	b := unsafe.Slice((*byte)(unsafe.Pointer(&filter[0])), 8*len(filter))

	p := parked(t)
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	err := run(t, p,
		Op{Call: RtSigaction, Args: []Arg{Int(int(unix.SIGSEGV)), Struct("{SIG_DFL}", make([]byte, 32)), Int(0), Int(8)}},
		Op{Call: Prctl, Args: []Arg{Named("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS), Int(1), Int(0), Int(0), Int(0)}, Stage: "nnp"},
		Op{Call: Seccomp, Args: []Arg{
			Named("SECCOMP_SET_MODE_FILTER", unix.SECCOMP_SET_MODE_FILTER), Int(0),
			Struct("&filter", []byte{byte(len(filter)), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
				Pointer{Offset: 8, To: Struct("filter", b)}),
		}, Stage: "seccomp"},
		Op{Call: Execve, Args: []Arg{String("/nowhere"), Strings([]string{"x"}), Strings(nil)}, Stage: "execve"},
	)
	var f *Failure
	if !errors.As(err, &f) || f.Stage != "execve" || f.Errno != unix.ENOENT {
		t.Fatalf("report: %v", err)
	}
	if got := exitCode(t, reap(t, p.PIDFD)); got != -1 {
		t.Errorf("exit code %d from a process that could only die by a signal", got)
	}
}

func TestReportsAreNotTrusted(t *testing.T) {
	p, err := New(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.sequence = 3
	p.program = Program{Ops: []Op{{Call: Getpid}}}
	native := func(v ...uint32) []byte {
		return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
	}
	for name, b := range map[string][]byte{
		"short":          native(3, 0, 0),
		"another's":      native(2, 0, 0, 0),
		"no such op":     native(3, 1, 2, 0),
		"no such errno":  native(3, 0, 4096, 0),
		"negative errno": native(3, 0, math.MaxUint32, 0),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := unix.Write(p.reports[1], b); err != nil {
				t.Fatal(err)
			}
			if err := p.Report(); err != ErrMalformed {
				t.Errorf("report: %v", err)
			}
		})
	}
	if err := p.Report(); err != unix.EAGAIN {
		t.Errorf("an empty pipe: %v", err)
	}
}

func TestProgramThatDoesNotFit(t *testing.T) {
	p := parked(t)
	if err := next(t, p); err != nil {
		t.Fatal(err)
	}
	err := p.Run(Program{Ops: []Op{{Call: Chdir, Args: []Arg{String(strings.Repeat("x", 2<<20))}}}})
	if !errors.Is(err, unix.E2BIG) {
		t.Fatalf("run: %v", err)
	}
}

// What Size says must be what layout takes, to the byte: the arena is made by
// the one and written by the other.
func TestSizeIsExact(t *testing.T) {
	program := Program{Ops: []Op{
		{Call: Execve, Args: []Arg{String("/bin/true"), Strings([]string{"", "a", "bc", strings.Repeat("d", 1000)}), Strings(nil)}},
		{Call: Seccomp, Args: []Arg{Int(1), Int(0), Struct("", make([]byte, 16), Pointer{8, Struct("", make([]byte, 801))})}},
		{Call: Getpid, Args: []Arg{Value(3), Address(4)}},
	}}
	size := program.Size()
	a := arena{mem: make([]byte, programOffset+size)}
	if err := a.layout(program); err != nil {
		t.Fatal(err)
	}
	a.mem = a.mem[:len(a.mem)-1]
	if err := a.layout(program); !errors.Is(err, unix.E2BIG) {
		t.Fatalf("one byte less: %v", err)
	}
}

func TestStartRefusedByTheKernel(t *testing.T) {
	p, err := New(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Start(unix.CLONE_THREAD, Program{}); err != syscall.EINVAL {
		t.Fatalf("CLONE_THREAD alone: %v", err)
	}
}

func TestString(t *testing.T) {
	p := Program{Name: "sample", Ops: []Op{
		{Call: Setns, Args: []Arg{Named("<pidfd>", 7), Named("CLONE_NEWNS|CLONE_NEWNET", unix.CLONE_NEWNS)}, OnError: Skip(1)},
		{Call: Stop},
		{Call: Getpid, Out: 1},
		{Call: Close, Args: []Arg{Value(1)}, OnError: GoOn},
		{Call: Read, Args: []Arg{Int(-1), Address(2), Struct("", []byte{1})}, Stage: "stdio"},
		{Call: Execve, Args: []Arg{String("/bin/\x1b"), Strings([]string{"a b", "c"}), Strings(nil)}, Stage: "execve"},
	}}
	want := `sample:
  setns(<pidfd>, CLONE_NEWNS|CLONE_NEWNET)  on error: skip 1
  stop()
  $1 = getpid()
  close($1)  on error: go on
  read(-1, &$2, {1 bytes})  [stdio]
  execve("/bin/\x1b", ["a b", "c"], [])  [execve]
`
	if got := p.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
