package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Each test here is for a fault that agents of this protocol have had, and is
// named for it.

// kinds are the ways in which a workload comes about.
func kinds(t *testing.T, r proto.Request, f func(t *testing.T, r proto.Request)) {
	for name, change := range map[string]func(testing.TB, proto.Request) proto.Request{
		"plain": func(_ testing.TB, r proto.Request) proto.Request { return r },
		"pty":   func(_ testing.TB, r proto.Request) proto.Request { return withPTY(r) },
		"time and pid namespace": func(_ testing.TB, r proto.Request) proto.Request {
			return within(r, proto.Time, proto.PID)
		},
		"enter": func(t testing.TB, r proto.Request) proto.Request {
			target := start(t, nil)
			target.request(within(forever, proto.UTS, proto.Time, proto.PID))
			host, _, err := target.AwaitReady(target.ctx)
			skipUnless(t, err, "clone")
			target.send(proceed)
			target.running()
			r.Kind, r.Target = proto.Enter, host
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, change(t, r))
		})
	}
}

// output runs the request to its end and returns what it wrote.
func (s *session) output(r proto.Request) string {
	s.t.Helper()
	tty := &tty{session: s}
	s.request(r)
	_, _, err := s.AwaitReady(s.ctx)
	skipUnless(s.t, err, "clone")
	s.send(proceed)
	tty.finishes("{:status, :exited, 0}")
	return s.out.String() + strings.ReplaceAll(tty.written.String(), "\r\n", "\n")
}

// The workload had the control channel, and could say what it liked.
func TestWorkloadCannotForgeAStatusFrame(t *testing.T) {
	t.Parallel()
	const script = `
		for fd in 3 4 5 6 7 8 9; do
			printf '\0\0\0\24\203h\3w\6statusw\6exiteda\0' >&$fd
		done
		echo waiting; read x; exit 3`
	kinds(t, sh(script), func(t *testing.T, r proto.Request) {
		r.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
		extra := []*os.File{file(t, ""), file(t, ""), file(t, "")}
		in, release := pipe(t)
		s := &tty{session: start(t, func(o *client.Options) { o.Stdin, o.ExtraFiles = in, extra })}
		s.request(r)
		host, _, err := s.AwaitReady(s.ctx)
		skipUnless(t, err, "clone")
		s.send(proceed)
		var said string
		if r.Stdio.PTY {
			for !strings.Contains(s.written.String(), "waiting\r\n") {
				s.next()
			}
			said = s.written.String()
		} else {
			s.running()
			eventually(t, "the workload has tried", func() bool { return strings.HasSuffix(s.out.String(), "waiting\n") })
			said = s.out.String()
		}
		if n := strings.Count(said, "Bad file descriptor"); n != 7 {
			t.Errorf("%d of 7 descriptors are none: %q", n, said)
		}
		if fds := descriptorsOf(t, host); !slices.Equal(fds, []int{0, 1, 2}) {
			t.Errorf("descriptors %v", fds)
		}
		release.Close()
		if r.Stdio.PTY {
			s.types("\n")
		}
		s.finishes("{:status, :exited, 3}")
		for _, f := range extra {
			if text := content(t, f.Name()); text != "" {
				t.Errorf("%q came through", text)
			}
		}
	})
}

// allSignals is every signal but SIGKILL and SIGSTOP, and the two that libc keeps for
// itself, which env(1) leaves as they are.
const allSignals = ^uint64(1<<(9-1) | 1<<(19-1) | 1<<(32-1) | 1<<(33-1))

// The runtime that an agent is written in, and the one that starts it, leave their
// marks: OTP starts ports with some signals ignored.
func TestWorkloadStartsWithDefaultSignals(t *testing.T) {
	t.Parallel()
	// What the agents below are started with.
	out, err := exec.Command("env", "--ignore-signal", "--block-signal", "cat", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	if b, i := maskOf(t, string(out), "SigBlk"), maskOf(t, string(out), "SigIgn"); b&allSignals != allSignals || i&allSignals != allSignals {
		t.Fatalf("blocked %#x, ignored %#x", b, i)
	}
	for name, path := range map[string]string{
		"as usual":                 binary,
		"PIPE, FPE, CHLD ignored":  scripted(t, "env --ignore-signal=PIPE,FPE,CHLD "+binary),
		"all ignored":              scripted(t, "env --ignore-signal "+binary),
		"all blocked":              scripted(t, "env --block-signal "+binary),
		"all ignored, and blocked": scripted(t, "env --ignore-signal --block-signal "+binary),
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, ownStatus(), func(t *testing.T, r proto.Request) {
				s := start(t, func(o *client.Options) { o.Path = path })
				got := s.output(r)
				for _, key := range []string{"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"} {
					if mask := maskOf(t, got, key); mask != 0 {
						t.Errorf("%s %#x", key, mask)
					}
				}
			})
		})
	}
}

// An agent that was started so has to work itself: it learns how the workload ends,
// and hears of SIGTERM.
func TestAgentStartedWithSignalsIgnored(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"CHLD ignored":             scripted(t, "env --ignore-signal=CHLD "+binary),
		"all ignored, and blocked": scripted(t, "env --ignore-signal --block-signal "+binary),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *client.Options) { o.Path = path })
			s.launch(sh("exit 7"))
			s.tells(0, "{:status, :exited, 7}")

			s = start(t, func(o *client.Options) { o.Path = path })
			s.launch(forever)
			if err := unix.Kill(s.AgentPID(), unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.tells(1, "{:status, :signaled, 15}")
		})
	}
}

// The Go runtime raises the soft limit of descriptors for itself.
func TestWorkloadHasTheLimitsOfTheAgent(t *testing.T) {
	t.Parallel()
	script := `cat /proc/self/limits; umask; cat /proc/self/oom_score_adj; nice`
	kinds(t, sh(script), func(t *testing.T, r proto.Request) {
		limits := file(t, "")
		path := by(t, `
			ulimit -S -n 777
			ulimit -S -s 4096
			ulimit -c 0
			umask 027
			echo 321 > /proc/self/oom_score_adj
			cat /proc/self/limits > `+limits.Name()+`
			exec nice -n 5 `+binary)
		s := start(t, func(o *client.Options) { o.Path = path })
		got := s.output(r)
		if !strings.Contains(got, "Max open files            777 ") {
			t.Errorf("not 777 descriptors:\n%s", got)
		}
		if rest, ok := strings.CutPrefix(got, content(t, limits.Name())); !ok || rest != "0027\n321\n5\n" {
			t.Errorf("%s\nwant\n%s0027, 321 and 5", got, content(t, limits.Name()))
		}
	})
}

// The bit of a time namespace lies in the byte of clone(2) that holds the signal.
func TestTimeNamespaceIsANewOne(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.request(within(bare("/bin/readlink", "/proc/self/ns/time", "/proc/self/ns/time_for_children"), proto.Time))
	_, _, err := s.AwaitReady(s.ctx)
	skipUnless(t, err, "clone")
	s.send(proceed)
	s.running()
	s.ends("{:status, :exited, 0}", 0)
	ours, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(s.out.String(), "\n")
	if len(lines) != 3 || lines[0] == ours || lines[1] != lines[0] || !strings.HasPrefix(lines[0], "time:[") {
		t.Errorf("its own %q, ours %s", lines, ours)
	}
}

// A NUL ends a string for the kernel: what was checked would not be what is done.
func TestNULInAString(t *testing.T) {
	t.Parallel()
	const mark = "\xfeNUL\xfe"
	cwd := "/" + mark
	plain := bare("/bin/echo", "ran")
	for name, change := range map[string]func(*proto.Request){
		"path":          func(r *proto.Request) { r.Argv = []string{"/bin/true" + mark} },
		"argument":      func(r *proto.Request) { r.Argv = []string{"/bin/echo", "a" + mark + "b"} },
		"last argument": func(r *proto.Request) { r.Argv = []string{"/bin/echo", "a", mark} },
		"environment":   func(r *proto.Request) { r.Env = []string{"A=1", "B=" + mark} },
		"name":          func(r *proto.Request) { r.Env = []string{"A" + mark + "=1"} },
		"cwd":           func(r *proto.Request) { r.Cwd = &cwd },
		"stdin":         func(r *proto.Request) { r.Stdio.FDs[0] = connectTo("/tmp/x" + mark) },
		"stdout":        func(r *proto.Request) { r.Stdio.FDs[1] = connectTo(mark + "/tmp/x") },
		"stderr":        func(r *proto.Request) { r.Stdio.FDs[2] = connectTo("/tmp/x" + mark) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := plain
			change(&r)
			payload, err := proto.EncodeRequest(r)
			if err != nil {
				t.Fatal(err)
			}
			forged := bytes.ReplaceAll(payload, []byte(mark), []byte("\x00\x00\x00\x00\x00"))
			if bytes.Equal(forged, payload) {
				t.Fatal("the string is not in the request")
			}
			s := start(t, nil)
			if err := s.SendFrame(forged); err != nil {
				t.Fatal(err)
			}
			s.tells(2, "{:error, 22, :malformed_request}")
		})
	}
}

// A filter may refuse, or kill for, the calls by which the child would tell. That
// the workload runs is told only where it does.
func TestFiltersAgainstTheChildItself(t *testing.T) {
	t.Parallel()
	const (
		kill   = unix.SECCOMP_RET_KILL_PROCESS
		thread = unix.SECCOMP_RET_KILL_THREAD
		trap   = unix.SECCOMP_RET_TRAP
		fake   = unix.SECCOMP_RET_ERRNO // 0: as if it had succeeded
	)
	missing, present := bare("/missing"), bare("/bin/echo", "ran")
	everything := func(action uint32) proto.Command { return classic(verdict(action)) }
	for name, c := range map[string]struct {
		request proto.Request
		filters []proto.Command
		code    int
		frame   string
	}{
		"write refused, execve fails":          {missing, []proto.Command{on(unix.SYS_WRITE, refuseWith(unix.EPERM), 4)}, 0, "{:error, 2, :execve}"},
		"write kills, execve fails":            {missing, []proto.Command{on(unix.SYS_WRITE, kill, 4)}, 0, "{:error, 2, :execve}"},
		"write pretended, execve fails":        {missing, []proto.Command{on(unix.SYS_WRITE, fake, 4)}, 0, "{:error, 2, :execve}"},
		"write, exit refused, execve fails":    {missing, []proto.Command{on(unix.SYS_WRITE, refuseWith(unix.EPERM), 4), on(unix.SYS_EXIT_GROUP, refuseWith(unix.EPERM), 4)}, 0, "{:error, 2, :execve}"},
		"exit pretended, execve fails":         {missing, []proto.Command{on(unix.SYS_EXIT_GROUP, fake, 4)}, 0, "{:error, 2, :execve}"},
		"execve refused":                       {present, []proto.Command{on(unix.SYS_EXECVE, refuseWith(unix.EPERM), 4)}, 0, "{:error, 1, :execve}"},
		"execve, write refused":                {present, []proto.Command{on(unix.SYS_WRITE, refuseWith(unix.EIO), 4), on(unix.SYS_EXECVE, refuseWith(unix.EACCES), 4)}, 0, "{:error, 13, :execve}"},
		"everything refused":                   {present, []proto.Command{everything(refuseWith(unix.EPERM))}, 0, "{:error, 1, :execve}"},
		"everything pretended":                 {present, []proto.Command{everything(fake)}, 0, "{:status, :signaled, 11}"},
		"execve kills":                         {present, []proto.Command{on(unix.SYS_EXECVE, kill, 4)}, 0, "{:status, :signaled, 31}"},
		"execve kills the thread":              {present, []proto.Command{on(unix.SYS_EXECVE, thread, 4)}, 0, "{:status, :signaled, 31}"},
		"execve traps":                         {present, []proto.Command{on(unix.SYS_EXECVE, trap, 4)}, 0, "{:status, :signaled, 31}"},
		"everything kills":                     {present, []proto.Command{everything(kill)}, 0, "{:status, :signaled, 31}"},
		"execve pretended":                     {present, []proto.Command{on(unix.SYS_EXECVE, fake, 4)}, 4, "{:error, 74, :exec_outcome}"},
		"execve and write pretended":           {present, []proto.Command{on(unix.SYS_EXECVE, fake, 4), on(unix.SYS_WRITE, fake, 4), on(unix.SYS_READ, fake, 4)}, 0, "{:status, :exited, 0}"},
		"a filter against the one behind it":   {present, []proto.Command{on(unix.SYS_SECCOMP, refuseWith(unix.EACCES), 4), classic(allow)}, 0, "{:error, 13, :seccomp_install}"},
		"a filter kills for the one behind it": {present, []proto.Command{on(unix.SYS_SECCOMP, kill, 4), classic(allow)}, 0, "{:status, :signaled, 31}"},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, c.request, func(t *testing.T, r proto.Request) {
				s := start(t, nil)
				s.request(r)
				host, _, err := s.AwaitReady(s.ctx)
				skipUnless(t, err, "clone")
				s.send(append(c.filters, proceed)...)
				s.tells(c.code, c.frame)
				if alive(host) || s.out.String() != "" {
					t.Errorf("the child was not ended, or it executed; output %q", s.out)
				}
			})
		})
	}
}

// faulty is the path of an agent under strace(1), with the given faults.
func faulty(t testing.TB, inject ...string) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("MUST_WORK") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	command := []string{strace, "-f", "-q", "-o", "/dev/null"}
	for _, i := range inject {
		command = append(command, "-e", "inject="+i)
	}
	return scripted(t, strings.Join(append(command, binary), " "))
}

// A child that dies before it has executed was told as running: its pipe had ended.
func TestNotRunningWhenItDiedBefore(t *testing.T) {
	t.Parallel()
	t.Run("at the checkpoint", func(t *testing.T) {
		kinds(t, sh("echo ran"), func(t *testing.T, r proto.Request) {
			s := start(t, nil)
			s.request(r)
			host, _, err := s.AwaitReady(s.ctx)
			skipUnless(t, err, "clone")
			if err := unix.Kill(host, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			s.tells(0, "{:status, :signaled, 9}")
			if got := s.out.String(); got != "" {
				t.Errorf("output %q", got)
			}
		})
	})
	cwd := "/"
	r := sh("echo ran")
	r.Cwd, r.NoNewPrivs = &cwd, true
	r.Stdio.FDs[0] = devnull
	for _, c := range []struct {
		inject string
		code   int
		frames []string
	}{
		// The agent itself calls close_range(2) once, the child before it is ready twice.
		{"close_range:signal=KILL:when=2", 4, []string{spawnedFrame, "{:error, 32, :ready_frame}"}},
		{"dup3:signal=KILL:when=1", 0, []string{spawnedFrame, readyFrame, "{:status, :signaled, 9}"}},
		{"chdir:signal=KILL:when=1", 0, []string{spawnedFrame, readyFrame, "{:status, :signaled, 9}"}},
		{"chdir:signal=TERM:when=1", 0, []string{spawnedFrame, readyFrame, "{:status, :signaled, 15}"}},
		{"seccomp:signal=KILL:when=1", 0, []string{spawnedFrame, readyFrame, "{:status, :signaled, 9}"}},
		{"execve:signal=KILL:when=1", 0, []string{spawnedFrame, readyFrame, "{:status, :signaled, 9}"}},
		{"execve:error=EIO:signal=KILL:when=1", 0, []string{spawnedFrame, readyFrame, "{:status, :signaled, 9}"}},
		{"execve:error=EIO:when=1", 0, []string{spawnedFrame, readyFrame, "{:error, 5, :execve}"}},
	} {
		t.Run(c.inject, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *client.Options) { o.Path = faulty(t, c.inject) })
			s.request(r)
			s.send(classic(allow), proceed)
			s.tells(c.code, c.frames...)
			if got := s.out.String(); strings.Contains(got, "ran") {
				t.Errorf("output %q", got)
			}
		})
	}
}

// Where there are two children, the first holds the report pipe until it has gone:
// the second may have ended before that, and how is still told.
func TestFirstChildIsSlowToGo(t *testing.T) {
	t.Parallel()
	target := start(t, nil)
	target.request(within(forever, proto.PID))
	host, _, err := target.AwaitReady(target.ctx)
	skipUnless(t, err, "clone")
	for name, c := range map[string]struct {
		script   string
		commands []proto.Command
		frames   []string
	}{
		"executed":        {"kill -KILL $$", nil, []string{spawnedFrame, readyFrame, runningFrame, "{:status, :signaled, 9}"}},
		"failed":          {"", []proto.Command{on(unix.SYS_EXECVE, refuseWith(unix.EPERM), 4), on(unix.SYS_WRITE, unix.SECCOMP_RET_KILL_PROCESS, 4)}, []string{spawnedFrame, readyFrame, "{:error, 1, :execve}"}},
		"did not execute": {"", []proto.Command{on(unix.SYS_EXECVE, unix.SECCOMP_RET_KILL_PROCESS, 4)}, []string{spawnedFrame, readyFrame, "{:status, :signaled, 31}"}},
	} {
		t.Run(name, func(t *testing.T) {
			// Each process waits before it exits, 0.3 s. Nothing here is timed: it
			// is only that the second child is likely to be faster.
			s := start(t, func(o *client.Options) { o.Path = faulty(t, "exit_group:delay_enter=300000:when=1") })
			r := sh(c.script)
			r.Kind, r.Target, r.Namespaces = proto.Enter, host, []proto.Namespace{proto.PID}
			s.request(r)
			s.send(append(c.commands, proceed)...)
			s.tells(0, c.frames...)
		})
	}
}

// What the client wrote before it hung up was lost.
func TestFramesQueuedBeforeAHangup(t *testing.T) {
	t.Parallel()
	const usr1 = int(unix.SIGUSR1)
	linger, kill, atOnce := proto.OrphanPolicy{Linger: true}, proto.OrphanPolicy{GraceMS: 60_000}, proto.OrphanPolicy{}
	const waits = `echo ran; read x < "$1"; echo went on` // and so does not end before the hang-up
	up := []string{spawnedFrame, readyFrame, runningFrame}
	for name, c := range map[string]struct {
		policy   proto.OrphanPolicy
		script   string
		commands []proto.Command
		code     int
		frames   []string
		writes   string
	}{
		"a request only":      {kill, "echo ran", nil, 1, []string{spawnedFrame, readyFrame, "{:status, :signaled, 9}"}, ""},
		"proceed, linger":     {linger, waits, []proto.Command{proceed}, 1, up, "ran\nwent on\n"},
		"proceed, kill":       {kill, "exec sleep 1000", []proto.Command{proceed}, 1, append(up[:3:3], "{:status, :signaled, 15}"), ""},
		"proceed, no grace":   {atOnce, "exec sleep 1000", []proto.Command{proceed}, 1, append(up[:3:3], "{:status, :signaled, 15}"), ""},
		"a signal, linger":    {linger, "exec sleep 1000", []proto.Command{proceed, {Kind: proto.Signal, Signal: usr1}}, 1, up, ""},
		"a signal, kill":      {kill, "exec sleep 1000", []proto.Command{proceed, {Kind: proto.Signal, Signal: usr1}}, 1, append(up[:3:3], "{:status, :signaled, 10}"), ""},
		"abort":               {kill, "echo ran", []proto.Command{classic(allow), {Kind: proto.Abort}}, 0, []string{spawnedFrame, readyFrame, "{:status, :aborted, pid}"}, ""},
		"a filter, proceed":   {linger, waits, []proto.Command{classic(allow), classic(allow), proceed}, 1, up, "ran\nwent on\n"},
		"a filter, refused":   {linger, "echo ran", []proto.Command{{Kind: proto.SeccompInstall}, proceed}, 1, []string{spawnedFrame, readyFrame, "{:error, 22, :seccomp_install}"}, ""},
		"a capability, early": {linger, "echo ran", []proto.Command{setAmbient(1 << 63), proceed}, 1, []string{spawnedFrame, readyFrame, "{:error, 22, :cap_set_ambient}"}, ""},
	} {
		for transportName, transport := range transports {
			t.Run(name+"/"+transportName, func(t *testing.T) {
				t.Parallel()
				s := start(t, transport)
				gate := fifo(t)
				r := sh(c.script, gate)
				r.Orphan = c.policy
				s.raw(stream(t, r, c.commands...))
				s.Hangup()
				host, _ := s.ready()
				s.tells(c.code, c.frames[2:]...)
				if c.script == waits {
					tell(t, gate, "go")
				}
				eventually(t, "the workload ends", func() bool { return !alive(host) })
				if got := s.out.String(); got != c.writes {
					t.Errorf("output %q, want %q", got, c.writes)
				}
			})
		}
	}
}

// A grandchild that has what the workload had kept the session from ending.
func TestGrandchildHoldsNothingBack(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(proto.Request) proto.Request{
		"the terminal":    withPTY,
		"the descriptors": func(r proto.Request) proto.Request { return r },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := fifo(t)
			s := &tty{session: start(t, nil)}
			s.launch(request(sh(`trap "" HUP; (read x < "$1") & exit 3`, gate)))
			s.finishes("{:status, :exited, 3}")
			tell(t, gate, "go") // it was there all the time
		})
	}
	t.Run("a terminal that it goes on writing to", func(t *testing.T) {
		t.Parallel()
		for _, count := range []int{1, 4} {
			s := &tty{session: start(t, nil)}
			// It ends when the terminal has gone.
			s.launch(withPTY(sh(`trap "" HUP; for n in $(seq $1); do (while echo again; do :; done) & done; echo parent; exit 3`, fmt.Sprint(count))))
			s.finishes("{:status, :exited, 3}")
			if got := s.written.String(); !strings.Contains(got, "parent\r\n") {
				t.Errorf("the workload's own output is not in the %d bytes of all", len(got))
			}
		}
	})
}

// An agent that was dumpable showed its descriptors to a workload of its user.
func TestWorkloadCannotLookIntoTheAgent(t *testing.T) {
	t.Parallel()
	skipUnless(t, privileged(), "setuid")
	s := start(t, func(o *client.Options) {
		o.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	})
	s.launch(sh(`id -u; ls /proc/$PPID/fd 2>/dev/null; readlink /proc/$PPID/exe; cat /proc/$PPID/environ 2>/dev/null; echo $?`))
	s.tells(0, "{:status, :exited, 0}")
	if got, want := s.out.String(), fmt.Sprintf("%d\n1\n", nobody); got != want {
		t.Errorf("the workload sees %q, want %q", got, want)
	}
}

// However a session ends, its child has been reaped, and so has the first one where
// there are two.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*session){
		"exit":    func(s *session) { s.send(proceed); s.running(); s.tells(0, "{:status, :exited, 0}") },
		"abort":   func(s *session) { s.send(proto.Command{Kind: proto.Abort}); s.tells(0, "{:status, :aborted, pid}") },
		"hang-up": func(s *session) { s.Hangup(); s.tells(1, "{:status, :signaled, 9}") },
		"failure": func(s *session) {
			s.send(setAmbient(1 << 63))
			s.tells(1, "{:error, 22, :cap_set_ambient}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, bare("/bin/true"), func(t *testing.T, r proto.Request) {
				s := start(t, nil)
				s.request(r)
				host, _, err := s.AwaitReady(s.ctx)
				skipUnless(t, err, "clone")
				children := content(t, fmt.Sprintf("/proc/%d/task/%[1]d/children", s.AgentPID()))
				end(s)
				for _, pid := range append(strings.Fields(children), fmt.Sprint(host)) {
					if _, err := os.Stat("/proc/" + pid); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("process %s is left: %v", pid, err)
					}
				}
			})
		})
	}
}
