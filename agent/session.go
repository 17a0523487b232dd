// Package agent owns the session: its states, the table of what each event does
// in each state, the loop that turns descriptors into events, the orphan policy
// and the exit codes. It is wiring and decisions; what the kernel has to do for
// it is in the packages below.
package agent

import (
	"errors"
	"time"

	"github.com/linxprocess/linx-process/caps"
	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/seccomp"
	"golang.org/x/sys/unix"
)

// world is all that a session acts upon. The real one is the workload with its
// descriptors; the test of the table has one that only takes notes.
type world interface {
	// start makes the child and has its first program run. pid is 0 where it
	// is known only once advance is through.
	start(*proto.Request) (pid int, err error)
	// advance has the next program up to the checkpoint run; done where there
	// is none left.
	advance() (done bool, err error)
	// ids are the child's pid as the agent and as the child itself sees it.
	ids() (host, inner int)
	run(child.Program) error
	execute(filters [][]byte) error
	// executed tells whether the child whose report pipe has ended executed.
	executed() (bool, error)
	signal(unix.Signal)
	resize(proto.Winsize)
	// input takes bytes for the PTY; false where they do not fit. Without a
	// PTY it takes them and drops them.
	input([]byte) bool
	// finish ends the workload's descriptors: what it wrote to the PTY before
	// it exited goes into the output queue.
	finish()
	send(proto.Event)
	arm(time.Duration)
	disarm()
	// hangUp closes fd 4.
	hangUp()
	// unread tells whether the client has yet to read what was sent to it.
	unread() bool
	complain(string)
}

// event is one thing that has happened. Which of the fields mean something
// depends on the kind.
type event struct {
	kind    eventKind
	request *proto.Request
	command proto.Command
	err     error        // onMalformed, onTooBig, onFailed, onGarbled; onExit: how it ended is not known
	status  child.Status // onExit
}

// Session is one client, one request, one workload.
type Session struct {
	world   world
	state   state
	request *proto.Request
	filters seccomp.Stack
	told    bool        // :spawned has been sent
	lost    bool        // the client is gone, or a signal has ended the agent's work
	last    proto.Event // the terminal frame, where it is not the exit status
	code    exitCode
	drained int // periods of draining that have passed
}

// Periods in which a session that only waits for others gives up.
const (
	// suspicion is how long a program in flight may take once the client has
	// gone: chdir(2) and execve(2) may hang on a file system that does.
	suspicion = 5 * time.Second
	// hurried is how long a client that has hung up, or that a signal to the agent
	// takes for one, may take to read what was meant for it.
	hurried = 5 * time.Second
	// drainPeriod is how long the client may take to notice the terminal frame;
	// patience how often it gets that again while it has not even read the frame.
	drainPeriod = 50 * time.Millisecond
	patience    = int(2 * time.Second / drainPeriod)
)

func (s *Session) handle(e event) { transitions[s.state][e.kind](s, e) }

// end kills the child; once it is reaped, last is the terminal frame, or the
// status of its exit where last is the zero event.
func (s *Session) end(last proto.Event, code exitCode) {
	s.last, s.code = last, code
	s.state = ending
	s.world.disarm()
	s.world.signal(unix.SIGKILL)
}

// leave sends the terminal frame, if there is one, and begins to leave.
func (s *Session) leave(last proto.Event, code exitCode) {
	if last.Kind != 0 {
		s.world.send(last)
	}
	s.code = code
	s.state = flushing
	s.world.disarm()
	if s.lost {
		s.world.arm(hurried)
	}
}

func failed(errno unix.Errno, stage proto.Stage) proto.Event {
	return proto.Event{Kind: proto.Failed, Errno: int(errno), Stage: stage}
}

// failure is the terminal frame for an error of the packages below. fallback is
// the stage of errors that name none.
func failure(err error, fallback proto.Stage) proto.Event {
	stage := fallback
	var inChild *child.Failure
	var inAgent *proto.StageError
	switch {
	case errors.As(err, &inChild):
		stage = proto.Stage(inChild.Stage)
	case errors.As(err, &inAgent):
		stage = inAgent.Stage
	}
	return failed(errnoOf(err), stage)
}

// errnoOf is the errno inside err; EIO for an error that has none.
func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}

func (s *Session) begin(e event) {
	s.request = e.request
	pid, err := s.world.start(s.request)
	if err != nil {
		last := failure(err, proto.StageClone)
		s.leave(last, codeOf(last.Stage))
		return
	}
	s.state = starting
	if pid != 0 {
		s.tellSpawned(pid)
	}
}

func (s *Session) tellSpawned(pid int) {
	s.told = true
	s.world.send(proto.Event{Kind: proto.Spawned, PID: pid})
}

func (s *Session) refuseRequest(e event) {
	if e.kind == onTooBig {
		s.leave(failed(unix.EMSGSIZE, proto.StageRequestTooBig), exitMalformed)
		return
	}
	s.leave(failed(unix.EINVAL, proto.StageMalformedRequest), exitMalformed)
}

func (s *Session) leaveUnasked(e event) {
	if e.kind == onHangup {
		s.world.complain("the client hung up before it sent a request")
	} else {
		s.world.complain("terminated before there was a request")
	}
	s.lost = true
	s.leave(proto.Event{}, exitChannel)
}

func (s *Session) started(event) {
	done, err := s.world.advance()
	if err != nil {
		last := failure(err, proto.StageFork)
		s.end(last, codeOf(last.Stage))
		return
	}
	if !done {
		return
	}
	host, inner := s.world.ids()
	if !s.told {
		s.tellSpawned(host)
	}
	s.world.send(proto.Event{Kind: proto.Ready, PID: inner})
	s.park(event{})
}

func (s *Session) park(event) {
	s.world.disarm()
	s.state = parked
}

func (s *Session) startFailed(e event) {
	last := failure(e.err, proto.StageClone)
	s.end(last, codeOf(last.Stage))
}

func (s *Session) endBeforeReady(e event) {
	if e.kind == onGarbled {
		s.end(failed(unix.EBADMSG, proto.StageMalformedReady), exitSetup)
		return
	}
	s.end(failed(unix.EPIPE, proto.StageReadyFrame), exitSetup)
}

func (s *Session) exitBeforeReady(e event) {
	s.leave(failed(unix.EPIPE, proto.StageReadyFrame), exitSetup)
}

func (s *Session) changeCapabilities(e event) {
	var ops []child.Op
	masks := e.command.Masks
	switch e.command.Kind {
	case proto.CapDropBounding:
		ops = caps.DropBounding(masks[0])
	case proto.CapSetThread:
		ops = caps.SetThread(masks[0], masks[1], masks[2])
	default:
		ops = caps.SetAmbient(masks[0])
	}
	s.state = commanding
	if err := s.world.run(child.Program{Name: "capabilities", Ops: ops}); err != nil {
		s.end(failure(err, proto.StageExecOutcome), exitSetup)
	}
}

func (s *Session) addFilter(e event) {
	if err := s.filters.Add(e.command.Data); err != nil {
		s.end(failure(err, proto.StageSeccompInstall), exitChannel)
	}
}

func (s *Session) resize(e event) { s.world.resize(e.command.Winsize) }

func (s *Session) proceed(event) {
	s.state = executing
	if err := s.world.execute(s.filters.Filters()); err != nil {
		s.end(failure(err, proto.StageExecve), exitReported)
	}
}

func (s *Session) abort(event) {
	_, inner := s.world.ids()
	s.end(proto.Event{Kind: proto.Aborted, PID: inner}, exitReported)
}

func (s *Session) refuseCommand(e event) {
	if e.kind == onTooBig {
		s.end(failed(unix.EMSGSIZE, proto.StageCommandTooBig), exitChannel)
		return
	}
	s.end(failed(unix.EINVAL, proto.StageMalformedCommand), exitChannel)
}

func (s *Session) commandFailed(e event) {
	s.end(failure(e.err, proto.StageMalformedCommand), exitChannel)
}

func (s *Session) executeFailed(e event) {
	s.end(failure(e.err, proto.StageExecve), exitReported)
}

func (s *Session) executed(event) {
	ok, err := s.world.executed()
	switch {
	case err != nil:
		s.end(failure(err, proto.StageExecOutcome), exitSetup)
	case !ok:
		s.endAsItDid(event{})
	default:
		s.state = running
		s.world.disarm()
		s.world.send(proto.Event{Kind: proto.Running})
		if s.lost {
			s.orphan(event{})
		}
	}
}

// endAsItDid is for a child that died before it executed by no doing of ours.
func (s *Session) endAsItDid(event) { s.end(proto.Event{}, exitReported) }

func (s *Session) endGarbled(event) {
	s.end(failed(unix.EBADMSG, proto.StageExecOutcome), exitSetup)
}

// endQuietly is for a client that is not there any more.
func (s *Session) endQuietly(event) {
	s.lost = true
	s.end(proto.Event{}, exitChannel)
}

// suspect gives a program in flight some time to be done, after which the frames
// behind it are read, and the hang-up behind those.
func (s *Session) suspect(event) { s.world.arm(suspicion) }

// suspectForGood is suspect where no hang-up follows.
func (s *Session) suspectForGood(event) {
	s.lost = true
	s.world.arm(suspicion)
}

func (s *Session) signal(e event) { s.world.signal(unix.Signal(e.command.Signal)) }

func (s *Session) input(e event) {
	if !s.world.input(e.command.Data) {
		s.world.send(proto.Event{Kind: proto.PTYInDropped, N: len(e.command.Data)})
	}
}

func (s *Session) killForFrame(event) {
	s.world.send(failed(unix.EMSGSIZE, proto.StageCommandTooBig))
	s.end(proto.Event{}, exitReported)
}

// orphan applies the policy to a running workload.
func (s *Session) orphan(event) {
	s.lost = true
	if s.request.Orphan.Linger {
		s.leave(proto.Event{}, exitChannel)
		return
	}
	s.code = exitChannel
	s.state = orphaned
	s.world.signal(unix.SIGTERM)
	s.world.arm(time.Duration(s.request.Orphan.GraceMS) * time.Millisecond)
}

// giveUp is a signal to the agent while it is ending anyway.
func (s *Session) giveUp(event) { s.lost = true }

func (s *Session) kill(event) { s.end(proto.Event{}, s.code) }

func (s *Session) exited(e event) {
	last, code := s.last, s.code
	switch {
	case e.err != nil:
		last, code = failure(e.err, proto.StageExecOutcome), exitSetup
	case last.Kind == 0:
		last = ended(e.status)
	}
	s.world.finish()
	s.leave(last, code)
}

// hurry bounds the flush for a client that has hung up.
func (s *Session) hurry(event) { s.world.arm(hurried) }

func (s *Session) drain(event) {
	s.state = draining
	s.world.hangUp()
	s.world.arm(drainPeriod)
}

// waitForReader goes on draining for a client that has no time to read: if it
// found the pipe closed that it still writes to, the terminal frame would be lost
// to it.
func (s *Session) waitForReader(event) {
	if s.drained++; s.drained < patience && s.world.unread() {
		s.world.arm(drainPeriod)
		return
	}
	s.state = gone
}

func (s *Session) vanish(event) { s.state = gone }
