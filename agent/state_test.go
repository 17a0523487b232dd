package agent

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// notes is a world that only writes down what a session does to it.
type notes struct {
	log []string

	forks      bool  // the pid is known after the second clone only
	startErr   error //
	steps      int   // programs up to the checkpoint, besides the first
	runErr     error
	notYet     bool // the child whose pipe has ended did not execute
	outcomeErr error
	inputFull  bool
	unreadFor  int // periods
}

func (n *notes) note(format string, args ...any) { n.log = append(n.log, fmt.Sprintf(format, args...)) }

func (n *notes) start(*proto.Request) (int, error) {
	n.note("start")
	if n.forks {
		return 0, n.startErr
	}
	return 100, n.startErr
}

func (n *notes) advance() (bool, error) {
	n.steps--
	return n.steps < 0, n.runErr
}
func (n *notes) ids() (int, int) { return 100, 7 }
func (n *notes) run(p child.Program) error {
	n.note("run %s", p.Name)
	return n.runErr
}

func (n *notes) execute(filters [][]byte) error {
	n.note("execute %d filters", len(filters))
	return n.runErr
}
func (n *notes) executed() (bool, error) { return !n.notYet, n.outcomeErr }
func (n *notes) signal(s unix.Signal)    { n.note("signal %d", s) }
func (n *notes) resize(w proto.Winsize)  { n.note("resize %dx%d", w.Rows, w.Cols) }
func (n *notes) input(b []byte) bool     { n.note("input %q", b); return !n.inputFull }
func (n *notes) finish()                 { n.note("finish") }
func (n *notes) arm(d time.Duration)     { n.note("arm %v", d) }
func (n *notes) disarm()                 {}
func (n *notes) unread() bool            { n.unreadFor--; return n.unreadFor >= 0 }
func (n *notes) hangUp()                 { n.note("hang up") }
func (n *notes) complain(text string)    { n.note("complain") }
func (n *notes) send(e proto.Event) {
	n.note("send %v", e)
}

func request() *proto.Request {
	return &proto.Request{Argv: []string{"/bin/true"}, Orphan: proto.OrphanPolicy{GraceMS: 1500}}
}

// sample is a plausible event of the kind.
func sample(k eventKind) event {
	e := event{kind: k, request: request()}
	switch k {
	case onCapability:
		e.command = proto.Command{Kind: proto.CapSetAmbient}
	case onFilter:
		allow := []byte{0x06, 0, 0, 0, 0, 0, 0xff, 0x7f}
		e.command = proto.Command{Kind: proto.SeccompInstall, Data: allow}
	case onSignal:
		e.command = proto.Command{Kind: proto.Signal, Signal: 10}
	case onInput:
		e.command = proto.Command{Kind: proto.PTYIn, Data: []byte("x")}
	case onFailed:
		e.err = &child.Failure{Stage: "chdir", Errno: unix.ENOENT}
	case onGarbled:
		e.err = child.ErrMalformed
	}
	return e
}

func TestTableIsTotal(t *testing.T) {
	for st := range numStates {
		for k := range numEvents {
			f := transitions[st][k]
			if f == nil {
				t.Errorf("state %d does not know event %d", st, k)
				continue
			}
			w := &notes{}
			s := &Session{world: w, state: st, request: request()}
			s.handle(sample(k))
			p := reflect.ValueOf(f).Pointer()
			idle := p == reflect.ValueOf(never).Pointer() || p == reflect.ValueOf(ignore).Pointer()
			if idle && (s.state != st || len(w.log) > 0) {
				t.Errorf("state %d, event %d: ignored, but %v", st, k, w.log)
			}
			if s.state < st && !(st == commanding && s.state == parked) {
				t.Errorf("state %d, event %d goes back to %d", st, k, s.state)
			}
		}
	}
}

// Whatever happens, a session that is hung up on, whose child exits, and whose
// timer runs out, ends: no state is a trap.
func TestEveryStateLeads(t *testing.T) {
	for st := range numStates {
		s := &Session{world: &notes{}, state: st, request: request()}
		for range 10 {
			for _, k := range []eventKind{onPeerGone, onHangup, onTimer, onExit, onFlushed} {
				s.handle(sample(k))
			}
		}
		if s.state != gone {
			t.Errorf("from state %d it ends up in %d", st, s.state)
		}
	}
}

func TestStories(t *testing.T) {
	chdir := &child.Failure{Stage: "chdir", Errno: unix.ENOENT}
	capset := &child.Failure{Stage: "cap_set_thread", Errno: unix.EPERM}
	exit := func(code int) event { return event{kind: onExit, status: child.Status{Number: code}} }
	killed := func(n int) event { return event{kind: onExit, status: child.Status{Signaled: true, Number: n}} }
	is := func(k eventKind) event { return sample(k) }
	ready := []event{is(onRequest), is(onReported)}
	up := []event{is(onRequest), is(onReported), is(onProceed), is(onEnded)}
	const (
		spawned = "start|send {:status, :spawned, 100}|"
		toReady = spawned + "send {:status, :ready, 7}|"
		toRun   = toReady + "execute 0 filters|send {:status, :running}|"
	)
	for name, c := range map[string]struct {
		world  notes
		before []event
		events []event
		want   string
		state  state
		code   exitCode
	}{
		"an ordinary life": {
			before: up, events: []event{exit(3), is(onFlushed), is(onHangup)},
			want: toRun + "finish|send {:status, :exited, 3}|hang up|arm 50ms", state: gone, code: 0,
		},
		"the pid of a second child is told when it is known": {
			world: notes{forks: true, steps: 1}, events: []event{is(onRequest), is(onReported), is(onReported)},
			want: "start|send {:status, :spawned, 100}|send {:status, :ready, 7}", state: parked,
		},
		"a client that has no time to read": {
			world: notes{unreadFor: 2}, before: up, events: []event{exit(3), is(onFlushed), is(onTimer), is(onTimer), is(onTimer)},
			want: toRun + "finish|send {:status, :exited, 3}|hang up|arm 50ms|arm 50ms|arm 50ms", state: gone, code: 0,
		},
		"a client that never reads": {
			world: notes{unreadFor: 1000}, before: up,
			events: append([]event{exit(3), is(onFlushed)}, slices.Repeat([]event{is(onTimer)}, patience)...),
			want:   toRun + "finish|send {:status, :exited, 3}|hang up" + strings.Repeat("|arm 50ms", patience), state: gone, code: 0,
		},
		"no request": {
			events: []event{is(onHangup), is(onFlushed), is(onTimer)},
			want:   "complain|arm 5s|hang up|arm 50ms", state: gone, code: 1,
		},
		"malformed request": {
			events: []event{is(onMalformed)}, want: "send {:error, 22, :malformed_request}", state: flushing, code: 2,
		},
		"request too big": {
			events: []event{is(onTooBig)}, want: "send {:error, 90, :request_too_big}", state: flushing, code: 2,
		},
		"clone refused": {
			world: notes{startErr: unix.EPERM}, events: []event{is(onRequest)},
			want: "start|send {:error, 1, :clone}", state: flushing, code: 3,
		},
		"set-up refused": {
			world: notes{startErr: proto.FailedAt(proto.StageConnectUnix, "connect", "", unix.ECONNREFUSED)}, events: []event{is(onRequest)},
			want: "start|send {:error, 111, :connect_unix}", state: flushing, code: 4,
		},
		"killed before it was ready": {
			events: []event{is(onRequest), is(onEnded), killed(9)},
			want:   spawned + "signal 9|finish|send {:error, 32, :ready_frame}", state: flushing, code: 4,
		},
		"a report that is not ours": {
			events: []event{is(onRequest), is(onGarbled), killed(9)},
			want:   spawned + "signal 9|finish|send {:error, 74, :malformed_ready}", state: flushing, code: 4,
		},
		"abort": {
			before: ready, events: []event{is(onAbort), killed(9)},
			want: toReady + "signal 9|finish|send {:status, :aborted, 7}", state: flushing, code: 0,
		},
		"a command that fails": {
			before: ready, events: []event{is(onCapability), {kind: onFailed, err: capset}, exit(1)},
			want: toReady + "run capabilities|signal 9|finish|send {:error, 1, :cap_set_thread}", state: flushing, code: 1,
		},
		"a filter the kernel would refuse": {
			before: ready, events: []event{{kind: onFilter, command: proto.Command{Kind: proto.SeccompInstall}}, killed(9)},
			want: toReady + "signal 9|finish|send {:error, 22, :seccomp_install}", state: flushing, code: 1,
		},
		"filters are kept for the end": {
			before: ready, events: []event{is(onFilter), is(onFilter), is(onProceed)},
			want: toReady + "execute 2 filters", state: executing,
		},
		"signal at the checkpoint": {
			before: ready, events: []event{is(onSignal), killed(9)},
			want: toReady + "signal 9|finish|send {:error, 22, :malformed_command}", state: flushing, code: 1,
		},
		"hang-up at the checkpoint": {
			before: ready, events: []event{is(onHangup), killed(9)},
			want: toReady + "signal 9|finish|send {:status, :signaled, 9}|arm 5s", state: flushing, code: 1,
		},
		"killed at the checkpoint by somebody": {
			before: ready, events: []event{is(onEnded), killed(15)},
			want: toReady + "signal 9|finish|send {:status, :signaled, 15}", state: flushing, code: 0,
		},
		"a directory that is not there": {
			before: ready, events: []event{is(onProceed), {kind: onFailed, err: chdir}, exit(1)},
			want: toReady + "execute 0 filters|signal 9|finish|send {:error, 2, :chdir}", state: flushing, code: 0,
		},
		"never running when it never executed": {
			world: notes{notYet: true}, before: ready, events: []event{is(onProceed), is(onEnded), killed(31)},
			want: toReady + "execute 0 filters|signal 9|finish|send {:status, :signaled, 31}", state: flushing, code: 0,
		},
		"an outcome that cannot be told": {
			world: notes{outcomeErr: unix.ENOENT}, before: ready, events: []event{is(onProceed), is(onEnded), killed(9)},
			want: toReady + "execute 0 filters|signal 9|finish|send {:error, 2, :exec_outcome}", state: flushing, code: 4,
		},
		"a signal to an agent that is ending anyway": {
			before: up, events: []event{is(onTooBig), is(onTerminate), killed(9), is(onTimer)},
			want: toRun + "send {:error, 90, :command_too_big}|signal 9|finish|send {:status, :signaled, 9}|arm 5s", state: gone, code: 0,
		},
		"an exit that cannot be learned": {
			before: up, events: []event{{kind: onExit, err: unix.ECHILD}},
			want: toRun + "finish|send {:error, 10, :exec_outcome}", state: flushing, code: 4,
		},
		"commands while running": {
			before: up, events: []event{is(onSignal), is(onProceed), is(onAbort), is(onFilter), is(onMalformed), is(onWinsize), is(onInput)},
			want: toRun + `signal 10|resize 0x0|input "x"`, state: running,
		},
		"input that does not fit": {
			world: notes{inputFull: true}, before: up, events: []event{is(onInput)},
			want: toRun + `input "x"|send {:pty_in_dropped, 1}`, state: running,
		},
		"a frame too big while running": {
			before: up, events: []event{is(onTooBig), killed(9)},
			want: toRun + "send {:error, 90, :command_too_big}|signal 9|finish|send {:status, :signaled, 9}", state: flushing, code: 0,
		},
		"orphaned, and gone by itself": {
			before: up, events: []event{is(onHangup), exit(0)},
			want: toRun + "signal 15|arm 1.5s|finish|send {:status, :exited, 0}|arm 5s", state: flushing, code: 1,
		},
		"orphaned, and killed": {
			before: up, events: []event{is(onTerminate), is(onTimer), killed(9)},
			want: toRun + "signal 15|arm 1.5s|signal 9|finish|send {:status, :signaled, 9}|arm 5s", state: flushing, code: 1,
		},
		"terminated while it executes": {
			before: ready, events: []event{is(onProceed), is(onTerminate), is(onEnded)},
			want: toReady + "execute 0 filters|arm 5s|send {:status, :running}|signal 15|arm 1.5s", state: orphaned, code: 1,
		},
		"hung up while it executes for ever": {
			before: ready, events: []event{is(onProceed), is(onPeerGone), is(onTimer), killed(9)},
			want: toReady + "execute 0 filters|arm 5s|signal 9|finish|send {:status, :signaled, 9}|arm 5s", state: flushing, code: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.world
			s := &Session{world: &w}
			for _, e := range append(append([]event{}, c.before...), c.events...) {
				s.handle(e)
			}
			if got := strings.Join(w.log, "|"); got != c.want {
				t.Errorf("did\n%s\nwant\n%s", got, c.want)
			}
			if s.state != c.state || s.code != c.code {
				t.Errorf("state %d, code %d; want %d, %d", s.state, s.code, c.state, c.code)
			}
		})
	}
}

func TestLingerLeavesAtOnce(t *testing.T) {
	w := &notes{}
	s := &Session{world: w, state: running, request: &proto.Request{Orphan: proto.OrphanPolicy{Linger: true}}}
	s.handle(event{kind: onHangup})
	if s.state != flushing || s.code != exitChannel || strings.Join(w.log, "|") != "arm 5s" {
		t.Errorf("state %d, code %d, did %v", s.state, s.code, w.log)
	}
}

func TestErrnoOf(t *testing.T) {
	if got := errnoOf(fmt.Errorf("a: %w", unix.ENOENT)); got != unix.ENOENT {
		t.Errorf("wrapped: %v", got)
	}
	if got := errnoOf(errors.New("none")); got != unix.EIO {
		t.Errorf("none: %v", got)
	}
}

func TestParseExecuted(t *testing.T) {
	for _, c := range []struct {
		stat string
		want bool
		err  error
	}{
		{"1 (sh) S 0 1 1 0 -1 4194560 1 2", true, nil},
		{"1 (sh) S 0 1 1 0 -1 4194368 1 2", false, nil},
		{"1 (a) R 1 1 1 1 1 64 1) S 0 1 1 0 -1 0 1 2", true, nil},
		{"1 (sh) S 0 1", false, unix.EBADMSG},
		{"", false, unix.EBADMSG},
		{"1 (sh) S 0 1 1 0 -1 x 1 2", false, unix.EBADMSG},
	} {
		got, err := parseExecuted([]byte(c.stat))
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %t, %v", c.stat, got, err)
		}
	}
}
