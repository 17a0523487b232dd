package client

import (
	"context"
	"fmt"
	"io"
	"syscall"

	"github.com/linxprocess/linx-process/proto"
)

// Result is how a session ended that did not fail.
type Result struct {
	Kind proto.EventKind // Exited, Signaled or Aborted
	N    int             // exit status; signal number; 0
}

// String is, for people, how it ended.
func (r Result) String() string {
	switch r.Kind {
	case proto.Exited:
		return fmt.Sprintf("exited with status %d", r.N)
	case proto.Signaled:
		return fmt.Sprintf("killed by signal %d (%v)", r.N, syscall.Signal(r.N))
	case proto.Aborted:
		return "aborted"
	default:
		return "unknown"
	}
}

// AwaitReady reads up to {:status, :ready, pid}: the child is parked at the
// checkpoint. host is its pid as the agent's pid namespace has it, inner as it has
// it itself. The errors are those of Next, an *Error where the session failed, an
// *EndError where it ended otherwise.
func (s *Session) AwaitReady(ctx context.Context) (host, inner int, err error) {
	for {
		e, err := s.progress(ctx)
		if err != nil {
			return 0, 0, err
		}
		switch e.Kind {
		case proto.Spawned:
			host = e.PID
		case proto.Ready:
			return host, e.PID, nil
		}
	}
}

// AwaitRunning reads up to {:status, :running}: execve(2) has succeeded. The errors
// are those of AwaitReady.
func (s *Session) AwaitRunning(ctx context.Context) error {
	for {
		e, err := s.progress(ctx)
		if err != nil || e.Kind == proto.Running {
			return err
		}
	}
}

// progress is Next with a terminal frame as an error.
func (s *Session) progress(ctx context.Context) (proto.Event, error) {
	e, err := s.Next(ctx)
	switch {
	case err != nil:
		return e, err
	case e.Kind == proto.Failed:
		return e, failure(e)
	case e.Kind.Terminal():
		return e, &EndError{resultOf(e)}
	}
	return e, nil
}

// Wait is WaitOutput with the output thrown away.
func (s *Session) Wait(ctx context.Context) (Result, error) {
	return s.WaitOutput(ctx, io.Discard)
}

// WaitOutput reads up to the terminal frame and writes the output of the PTY to w.
// The errors are those of Next, an *Error where the session failed, and that of w.
// A running session that fails, by a frame that is too big, gives both: the *Error,
// and the Result that follows it.
func (s *Session) WaitOutput(ctx context.Context, w io.Writer) (Result, error) {
	var failed error
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return Result{}, err
		}
		switch {
		case e.Kind == proto.PTYOut:
			if _, err := w.Write(e.Data); err != nil {
				return Result{}, fmt.Errorf("output: %w", err)
			}
		case e.Kind == proto.Failed && s.terminal(e):
			return Result{}, failure(e)
		case e.Kind == proto.Failed:
			failed = failure(e)
		case e.Kind.Terminal():
			return resultOf(e), failed
		}
	}
}

func failure(e proto.Event) error {
	return &Error{Errno: syscall.Errno(e.Errno), Stage: e.Stage}
}

func resultOf(e proto.Event) Result { return Result{Kind: e.Kind, N: e.N} }
