package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// standing is where a session stands when something happens to it.
type standing string

const (
	unasked    standing = "unasked"
	halfAsked  standing = "half asked" // a frame has come in part
	starting   standing = "starting"
	parked     standing = "parked"
	commanding standing = "commanding"
	executing  standing = "executing"
	running    standing = "running"
)

// standings are all of them, each with what holds a session there.
var standings = []struct {
	at    standing
	holds refusal // none: it stays by itself
}{
	{at: unasked},
	{at: halfAsked},
	{starting, childDumpable(holding)},
	{at: parked},
	{commanding, refusal{unix.SYS_CAPSET, holding, anyArgs, 0}},
	{executing, refusal{unix.SYS_CHDIR, holding, anyArgs, 0}},
	{at: running},
}

// standingStill is a request for a workload that stays, and goes through all of
// standings.
func standingStill(policy proto.OrphanPolicy) proto.Request {
	r := inDirectory(forever, "/")
	r.Orphan = policy
	return r
}

// bring brings a session there; commands go to one, frames come from another, which
// may be the same. host is 0 where there is no child.
func (at standing) bring(ctx context.Context, commands, frames *client.Session, r proto.Request) (host int, err error) {
	switch at {
	case unasked:
		return 0, nil
	case halfAsked:
		return 0, commands.SendRaw([]byte{0, 0, 0, 100, 131, 104})
	}
	if err := commands.Request(r); err != nil {
		return 0, err
	}
	if at == starting {
		e, err := frames.Next(ctx)
		return e.PID, err
	}
	if host, _, err = frames.AwaitReady(ctx); err != nil {
		return host, err
	}
	switch at {
	case commanding:
		err = commands.Send(proto.Command{Kind: proto.CapSetThread})
	case executing:
		err = commands.Proceed()
	case running:
		if err = commands.Proceed(); err == nil {
			err = frames.AwaitRunning(ctx)
		}
	}
	return host, err
}

// brought is a session that was brought there, with the call that holds it there.
type brought struct {
	*session
	frames *client.Session // from which frames are read
	host   int
	held   *held
}

// everywhere runs f with sessions that stand at each point.
func everywhere(t *testing.T, policy proto.OrphanPolicy, change func(*client.Options), f func(*testing.T, standing, *brought)) {
	skipUnless(t, privileged(), "a look into the agent")
	for _, point := range standings {
		t.Run(string(point.at), func(t *testing.T) {
			t.Parallel()
			b := &brought{session: start(t, func(o *client.Options) {
				if point.holds.call != 0 {
					o.Path = refusing(t, point.holds)
				}
				if change != nil {
					change(o)
				}
			})}
			b.frames = b.Session
			eventually(t, "an agent that waits for a request", func() bool { return b.waits() })
			b.bring(point.at, policy)
			if point.holds.call != 0 {
				b.held = hold(t, b.AgentPID())
			}
			f(t, point.at, b)
		})
	}
}

func (b *brought) bring(at standing, policy proto.OrphanPolicy) {
	b.t.Helper()
	var err error
	if b.host, err = at.bring(b.ctx, b.Session, b.frames, standingStill(policy)); err != nil {
		b.t.Fatal(err)
	}
}

// left fails where the agent does not exit with that code, or the child is there
// when it has.
func (b *brought) left(code int) {
	b.t.Helper()
	b.exits(code)
	if b.host != 0 && !gone(b.host) {
		b.t.Errorf("child %d is still there", b.host)
	}
}

var (
	patient   = proto.OrphanPolicy{GraceMS: 60_000}
	lingering = proto.OrphanPolicy{Linger: true}
)

// Wherever a session stands, a hang-up ends it: at once, or as soon as what is in
// flight is done.
func TestHangup(t *testing.T) {
	t.Parallel()
	last := map[standing]string{
		starting: "{:status, :signaled, 9}", parked: "{:status, :signaled, 9}", commanding: "{:status, :signaled, 9}",
		executing: "{:status, :signaled, 15}", running: "{:status, :signaled, 15}",
	}
	for name, socketpair := range map[string]bool{"pipes": false, "socketpair": true} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, patient, func(o *client.Options) { o.Socketpair = socketpair }, func(t *testing.T, at standing, b *brought) {
				b.Hangup()
				if b.held != nil {
					b.held.release()
				}
				b.ends(last[at], 1)
				b.left(1)
				if at == unasked || at == halfAsked {
					if got := b.out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "hung up") {
						t.Errorf("stderr: %q", got)
					}
				}
			})
		})
	}
}

// A client that closes just the end from which it reads has hung up as well.
func TestReaderIsGone(t *testing.T) {
	t.Parallel()
	for _, policy := range []proto.OrphanPolicy{patient, lingering} {
		for _, at := range []standing{unasked, halfAsked, parked, running} {
			t.Run(fmt.Sprintf("%s, linger %t", at, policy.Linger), func(t *testing.T) {
				t.Parallel()
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				b := &brought{session: start(t, func(o *client.Options) {
					o.Path = scripted(t, binary+" 4>&5 5>&-")
					o.ExtraFiles = []*os.File{w}
				})}
				w.Close()
				null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				if b.frames, err = client.Attach(handOver(t, null), handOver(t, r), nil); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { b.frames.Close() })
				b.bring(at, policy)
				b.frames.Close()
				b.exits(1)
				lingers := at == running && policy.Linger
				if b.host != 0 && alive(b.host) != lingers {
					t.Errorf("child %d is there: %t", b.host, !lingers)
				}
				if lingers {
					b.end()
				}
			})
		}
	}
}

// end ends a workload that has survived its agent.
func (b *brought) end() {
	b.t.Helper()
	if err := unix.Kill(b.host, unix.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the end of the workload", func() bool { return !alive(b.host) })
}

// handOver is the descriptor of the file, which is closed.
func handOver(t testing.TB, f *os.File) int {
	t.Helper()
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// What is in flight when the client hangs up may hang itself, as on a file system
// that is gone. It is not waited for without end.
func TestHangupWhileTheChildHangs(t *testing.T) {
	t.Parallel()
	everywhere(t, patient, nil, func(t *testing.T, at standing, b *brought) {
		if b.held == nil {
			return // nothing is in flight there
		}
		b.Hangup()
		b.ends("{:status, :signaled, 9}", 1)
		b.left(1)
	})
}

// A signal that ends the agent is a hang-up, wherever the session stands.
func TestTerminatedAgent(t *testing.T) {
	t.Parallel()
	for _, n := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		t.Run(unix.SignalName(n), func(t *testing.T) {
			everywhere(t, patient, nil, func(t *testing.T, at standing, b *brought) {
				if err := unix.Kill(b.AgentPID(), n); err != nil {
					t.Fatal(err)
				}
				switch at {
				case unasked, halfAsked:
					b.ends("", 1)
					if got := b.out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "terminated") {
						t.Errorf("stderr: %q", got)
					}
				case executing:
					// It may still execute, and is told to end then.
					b.held.release()
					b.ends("{:status, :signaled, 15}", 1)
				case running:
					b.ends("{:status, :signaled, 15}", 1)
				default:
					b.ends("{:status, :signaled, 9}", 1)
				}
				b.left(1)
			})
		})
	}
}

// waits tells whether what was started is an agent by now, and sleeps in its loop: one of
// its threads is in epoll_wait(2), for as many events as the loop takes at once,
// which the poller of the runtime does not.
func (b *brought) waits() bool {
	b.t.Helper()
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", b.AgentPID()))
	if err != nil {
		status, exit := b.AgentExit(b.ctx)
		b.t.Fatalf("%v; the agent ended with %v, %v; output: %s", err, status, exit, b.out)
	}
	calls, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", b.AgentPID()))
	if err != nil {
		b.t.Fatal(err)
	}
	return program == binary && slices.ContainsFunc(calls, func(path string) bool {
		call, err := os.ReadFile(path)
		if err != nil {
			return false // the thread has ended
		}
		fields := strings.Fields(string(call))
		return len(fields) > 3 && fields[0] == strconv.Itoa(unix.SYS_EPOLL_PWAIT) && fields[3] == "0x10"
	})
}

// It is one from the first frame on, also for an agent that has not waited for
// anything yet.
func TestTerminatedAtOnce(t *testing.T) {
	t.Parallel()
	b := &brought{session: start(t, func(o *client.Options) { o.Path = refusing(t, childDumpable(holding)) })}
	b.frames = b.Session
	b.bring(starting, patient)
	if err := unix.Kill(b.AgentPID(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.ends("{:status, :signaled, 9}", 1)
	b.left(1)
}

// An agent that is killed takes its child along, wherever the session stands.
func TestKilledAgent(t *testing.T) {
	t.Parallel()
	everywhere(t, patient, nil, func(t *testing.T, _ standing, b *brought) { b.killed() })
}

// killed kills the agent, and waits for the end of the workload.
func (b *brought) killed() {
	b.t.Helper()
	b.kill()
	if b.held != nil {
		b.held.close()
	}
	if b.host != 0 {
		eventually(b.t, "the end of the child", func() bool { return !alive(b.host) })
	}
}

// kill kills the agent.
func (b *brought) kill() {
	b.t.Helper()
	if err := unix.Kill(b.AgentPID(), unix.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	status, err := b.AgentExit(b.ctx)
	if err != nil || !status.Signaled() {
		b.t.Fatalf("the agent ended with %v, %v", status, err)
	}
}

// The same for workloads that are not the children of an ordinary clone.
func TestKilledAgentOfAnotherKind(t *testing.T) {
	t.Parallel()
	_, target := sandbox(t, forever, every...)
	for name, c := range map[string]struct {
		path    string
		request proto.Request
	}{
		"pid 1":            {binary, within(forever, proto.PID)},
		"everything":       {binary, within(forever, every...)},
		"a second clone":   {refusing(t, withoutClone3), within(forever, proto.Time, proto.PID)},
		"a terminal":       {binary, onTerminal(forever)},
		"entered":          {binary, entering(forever, target)},
		"entered the user": {binary, entering(forever, target, proto.User)},
	} {
		t.Run(name, func(t *testing.T) {
			b := &brought{session: start(t, func(o *client.Options) { o.Path = c.path })}
			b.host = b.launch(c.request)
			b.killed()
		})
	}
}

// A workload that lingers survives its agent, however that ends. Before it runs it
// is no workload, and does not.
func TestLinger(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*brought){
		"hang-up": func(b *brought) { b.Hangup(); b.ends("", 1) },
		"signal":  func(b *brought) { _ = unix.Kill(b.AgentPID(), unix.SIGTERM); b.ends("", 1) },
		"SIGKILL": (*brought).kill,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &brought{session: start(t, nil)}
			r := sh(`trap 'echo heard; exit' USR1; echo up; while :; do sleep 0.01; done`)
			r.Orphan = lingering
			b.host = b.launch(r)
			eventually(t, "a workload that is up", func() bool { return b.out.String() == "up\n" })
			end(b)
			if !alive(b.host) {
				t.Fatal("the workload is gone")
			}
			if err := unix.Kill(b.host, unix.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			eventually(t, "an answer of the workload", func() bool { return b.out.String() == "up\nheard\n" })
			eventually(t, "its end", func() bool { return !alive(b.host) })
		})
	}
	t.Run("not yet running", func(t *testing.T) {
		t.Parallel()
		b := &brought{session: start(t, nil)}
		b.frames = b.Session
		b.bring(parked, lingering)
		b.Hangup()
		b.ends("{:status, :signaled, 9}", 1)
		b.left(1)
	})
	t.Run("not yet running, agent killed", func(t *testing.T) {
		t.Parallel()
		b := &brought{session: start(t, nil)}
		b.frames = b.Session
		b.bring(parked, lingering)
		b.killed()
	})
}

// A terminal hangs up with its agent. What ignores that lingers.
func TestLingerOnATerminal(t *testing.T) {
	t.Parallel()
	for name, ignores := range map[string]bool{"ignores SIGHUP": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marker := filepath.Join(t.TempDir(), "up")
			script := `: >"$1"; exec sleep 1000`
			if ignores {
				script = `trap '' HUP; ` + script
			}
			r := onTerminal(sh(script, marker))
			r.Orphan = lingering
			b := &brought{session: start(t, nil)}
			b.host = b.launch(r)
			eventually(t, "a workload that is up", func() bool { return ran(marker) })
			b.Hangup()
			b.ends("", 1)
			if ignores {
				if !alive(b.host) {
					t.Fatal("the workload is gone")
				}
				b.end()
				return
			}
			eventually(t, "the end of the workload", func() bool { return !alive(b.host) })
		})
	}
}

// SIGTERM first; SIGKILL to what is still there when the grace is over.
func TestGrace(t *testing.T) {
	t.Parallel()
	const (
		obeys   = `trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done`
		ignores = `trap '' TERM; echo up; exec sleep 1000`
	)
	for _, c := range []struct {
		name   string
		script string
		grace  uint32
		last   string
	}{
		{"it ends in time", obeys, 60_000, "{:status, :exited, 3}"},
		{"it does not", ignores, 50, "{:status, :signaled, 9}"},
		{"there is no time", ignores, 0, "{:status, :signaled, 9}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			r := sh(c.script)
			r.Orphan = proto.OrphanPolicy{GraceMS: c.grace}
			s.launch(r)
			eventually(t, "a workload that is up", func() bool { return s.out.String() == "up\n" })
			s.Hangup()
			s.ends(c.last, 1)
		})
	}
}

// A frame that was in the pipe when the client hung up is not forgotten.
func TestQueuedFramesAreActedOnBeforeTheHangup(t *testing.T) {
	t.Parallel()
	signal := func(n unix.Signal) proto.Command { return proto.Command{Kind: proto.Signal, Signal: int(n)} }
	for _, c := range []struct {
		name     string
		policy   proto.OrphanPolicy
		commands []proto.Command
		last     string
		code     int
	}{
		{"abort", patient, []proto.Command{{Kind: proto.Abort}}, "{:status, :aborted, pid}", 0},
		{"proceed", patient, []proto.Command{proceed}, "{:status, :signaled, 15}", 1},
		{"a signal", patient, []proto.Command{proceed, signal(unix.SIGUSR1)}, "{:status, :signaled, 10}", 1},
		{"filters, and a signal", patient, []proto.Command{allowAll, allowAll, proceed, signal(unix.SIGUSR1)}, "{:status, :signaled, 10}", 1},
		{"a command that is none", patient, []proto.Command{signal(unix.SIGUSR1)}, "{:error, 22, :malformed_command}", 1},
	} {
		for name, socketpair := range map[string]bool{"pipes": false, "socketpair": true} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := start(t, func(o *client.Options) {
					o.Path, o.Socketpair = refusing(t, childDumpable(holding)), socketpair
				})
				s.request(standingStill(c.policy))
				h := hold(t, s.AgentPID())
				s.send(c.commands...)
				s.Hangup()
				h.release()
				frames := s.frames()
				s.exits(c.code)
				got := frames[len(frames)-1]
				if strings.HasPrefix(got, "{:status, :aborted, ") {
					got = "{:status, :aborted, pid}"
				}
				if got != c.last {
					t.Errorf("frames %v, want %s for the last", frames, c.last)
				}
			})
		}
	}
	t.Run("proceed, lingering", func(t *testing.T) {
		t.Parallel()
		marker := filepath.Join(t.TempDir(), "ran")
		b := &brought{session: start(t, nil)}
		r := sh(`: >"$1"; exec sleep 1000`, marker)
		r.Orphan = lingering
		b.request(r)
		b.send(proceed)
		b.Hangup()
		b.host, _ = b.ready()
		b.ends("", 1)
		eventually(t, "the mark of the workload", func() bool { return ran(marker) })
		b.end()
	})
}

// beClient is a client that brings a session somewhere and stays until it is
// killed: args are the path of the agent, where to, and how the workload lingers.
// It prints the pids of the agent and of the child.
func beClient(args []string) error {
	s, err := client.Start(context.Background(), client.Options{Path: args[0]})
	if err != nil {
		return err
	}
	policy := patient
	if args[2] == "linger" {
		policy = lingering
	}
	host, err := standing(args[1]).bring(context.Background(), s, s, standingStill(policy))
	if err != nil {
		return err
	}
	fmt.Println(s.AgentPID(), host)
	_, err = io.Copy(io.Discard, os.Stdin) // which does not end
	return err
}

// A client that is killed has hung up.
func TestKilledClient(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range standings {
		for _, policy := range []string{"kill", "linger"} {
			t.Run(string(point.at)+", "+policy, func(t *testing.T) {
				t.Parallel()
				path := binary
				if point.holds.call != 0 {
					path = refusing(t, point.holds)
				}
				c := exec.CommandContext(deadline(t), self, "as", "client", path, string(point.at), policy)
				stdin, err := c.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				defer stdin.Close()
				stdout, err := c.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				c.Stderr = os.Stderr
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				var agent, host int
				line, err := bufio.NewReader(stdout).ReadString('\n')
				if err == nil {
					_, err = fmt.Sscan(line, &agent, &host)
				}
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				var h *held
				if point.holds.call != 0 {
					h = hold(t, agent)
				}
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = c.Wait() // it was killed
				if h != nil {
					h.release()
				}
				eventually(t, "the end of the agent", func() bool { return !alive(agent) })
				switch {
				case host == 0:
				case policy == "linger" && (point.at == running || point.at == executing):
					if !alive(host) {
						t.Fatal("the workload is gone")
					}
					if err := unix.Kill(host, unix.SIGKILL); err != nil {
						t.Fatal(err)
					}
					fallthrough
				default:
					eventually(t, "the end of the child", func() bool { return !alive(host) })
				}
			})
		}
	}
}
