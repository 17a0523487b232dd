// Package client owns the other end of the control protocol: it starts an agent
// (the program linx-process) or takes over a channel to one, sends the request
// and the commands, and yields the events, each as the typed value of package
// proto. It knows nothing of how the agent does its work.
//
// A session is one agent, one request, one workload:
//
//	s, err := client.Start(ctx, client.Options{Path: "linx-process", Stdout: os.Stdout})
//	defer s.Close()
//	err = s.Request(proto.Request{Argv: []string{"/bin/echo", "hello"}, Orphan: proto.DefaultOrphan})
//	pid, _, err := s.AwaitReady(ctx)   // parked: id maps, cgroups, … by pid
//	err = s.Proceed()
//	result, err := s.Wait(ctx)
//
// Commands may be sent before anything has been read; they are acted on in order.
//
// Events are read by one goroutine at a time (Next, and all that calls it:
// AwaitReady, AwaitRunning, Wait, WaitOutput). Every other method may be called
// from any goroutine at any time. Nothing is read ahead of Next but one buffer, so
// a client that is slow holds up the agent, and that the workload, as the protocol
// has it.
package client

import (
	"context"
	"os"
	"sync"
	"syscall"
)

// Direction tells in a trace which way a frame went.
type Direction byte

const (
	Sent     Direction = '>' // client to agent
	Received Direction = '<' // agent to client
)

// Options is how an agent is started.
type Options struct {
	// Path is the agent binary. A name without a slash is looked up on PATH.
	Path string

	// Env is the environment of the agent, as KEY=value; nil stands for that of
	// this process. A request that has none passes it on to the workload.
	Env []string

	// Dir is the working directory of the agent, empty for that of this process.
	Dir string

	// Stdin, Stdout and Stderr become descriptors 0, 1 and 2 of the agent, which
	// a workload inherits; nil is /dev/null. They stay the caller's.
	Stdin, Stdout, Stderr *os.File

	// ExtraFiles become descriptors from 5 on. They stay the caller's. No agent
	// wants any: they are there to show that none leaks into a workload.
	ExtraFiles []*os.File

	// Socketpair makes descriptors 3 and 4 one AF_UNIX stream socket, as some
	// ports do, instead of the ends of two pipes.
	Socketpair bool

	// Trace is called with each frame, in the syntax of Elixir: with one that is
	// sent, before it is written, by the goroutine that sends it; with one that
	// is received by the goroutine that reads, before Next returns it.
	Trace func(d Direction, frame string)

	// SysProcAttr is for the agent process; nil for none.
	SysProcAttr *syscall.SysProcAttr
}

// Session is one connection to one agent. It owns its descriptors and, where it
// started it, the agent process; Close gives both back.
type Session struct {
	trace   func(Direction, string)
	channel channel
	agent   *agent // nil where the session was attached

	sender   sender
	receiver receiver

	close func() error
}

// Start starts an agent. When ctx is done before Close, the agent is killed; ctx
// does nothing else.
func Start(ctx context.Context, o Options) (*Session, error) {
	ours, theirs, err := newChannel(o.Socketpair)
	if err != nil {
		return nil, err
	}
	a, err := startAgent(ctx, o, theirs)
	theirs.close()
	if err != nil {
		ours.close()
		return nil, err
	}
	s := newSession(ours, o.Trace)
	s.agent = a
	return s, nil
}

// Attach makes a session of two descriptors to an agent that something else has
// started: requests is written to and leads to the agent's descriptor 3, events is
// read from and leads to 4. They may be one, of a stream socket. The session takes
// both over, also when it fails, and makes them non-blocking. trace may be nil, see
// Options. There is no agent process then: AgentPID is 0, Close ends none.
func Attach(requests, events int, trace func(Direction, string)) (*Session, error) {
	c, err := channelOf(requests, events)
	if err != nil {
		return nil, err
	}
	return newSession(c, trace), nil
}

func newSession(c channel, trace func(Direction, string)) *Session {
	s := &Session{trace: trace, channel: c}
	s.close = sync.OnceValue(s.shutDown)
	return s
}

// Hangup closes the way to the agent, as a client that goes away does; what was
// sent is still acted upon. Events can be read on. With the policy to linger the
// agent leaves without a terminal frame, which Next gives as ErrAgentDied.
func (s *Session) Hangup() { s.channel.hangUp() }

// Close hangs up and ends the agent: it waits for one that has sent its terminal
// frame, and kills (SIGKILL) one that has not, or that is not gone after a second.
// The agent is reaped when Close returns; a workload whose policy is not to linger
// has been sent SIGKILL then. Close again does nothing more and returns the same.
// To end a session by the orphan policy, use Hangup and Wait.
func (s *Session) Close() error { return s.close() }

func (s *Session) shutDown() error {
	s.channel.hangUp()
	var err error
	if s.agent != nil {
		if !s.receiver.ended.Load() {
			s.agent.kill()
		}
		err = s.agent.reap()
	}
	s.channel.close()
	return err
}

// AgentPID is the process id of the agent, 0 where the session was attached.
func (s *Session) AgentPID() int {
	if s.agent == nil {
		return 0
	}
	return s.agent.process.Pid
}

// AgentExit waits for the agent to exit and returns how it did: ExitStatus, or
// Signal. It does not make it exit. The error is that of ctx, that of waitid(2), or
// ErrNoAgent for a session that was attached.
func (s *Session) AgentExit(ctx context.Context) (syscall.WaitStatus, error) {
	if s.agent == nil {
		return 0, ErrNoAgent
	}
	return s.agent.wait(ctx)
}
