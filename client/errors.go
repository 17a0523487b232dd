package client

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/linxprocess/linx-process/proto"
)

var (
	// ErrClosed says that the session was closed, or, of a command, that the
	// session hung up or has had its terminal frame.
	ErrClosed = errors.New("session closed")

	// ErrAgentDied says that the events ended without a terminal frame. The
	// error is an *AgentDeath.
	ErrAgentDied = errors.New("the agent ended without a terminal frame")

	// ErrProtocol says that the agent sent what the protocol does not have.
	ErrProtocol = errors.New("the agent broke the protocol")

	// ErrNoAgent says that the session has no agent process of its own.
	ErrNoAgent = errors.New("no agent process was started")
)

// Error is {:error, errno, stage}. It matches the errno with errors.Is.
type Error struct {
	Errno syscall.Errno
	Stage proto.Stage
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Stage, e.Errno) }

func (e *Error) Unwrap() error { return e.Errno }

// EndError says that the session ended while something else was waited for.
type EndError struct{ Result Result }

func (e *EndError) Error() string {
	return "the session ended before that: " + e.Result.String()
}

// AgentDeath is how an agent ended that sent no terminal frame. It matches
// ErrAgentDied.
type AgentDeath struct {
	// Attached says that it was not started by the session; Status is unknown.
	Attached bool
	Status   syscall.WaitStatus
}

func (d *AgentDeath) Error() string {
	switch {
	case d.Attached:
		return ErrAgentDied.Error()
	case d.Status.Signaled():
		return fmt.Sprintf("%v: signal %d (%v)", ErrAgentDied, d.Status.Signal(), d.Status.Signal())
	default:
		return fmt.Sprintf("%v: exit status %d", ErrAgentDied, d.Status.ExitStatus())
	}
}

// Is tells that target is ErrAgentDied.
func (d *AgentDeath) Is(target error) bool { return target == ErrAgentDied }
