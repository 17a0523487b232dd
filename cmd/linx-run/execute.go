package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// runner is one session.
type runner struct {
	*plan
	pty      bool
	screen   *terminal
	messages *messages
	signals  *signals
	session  *client.Session

	outputErr error // of stdout
}

// execute runs the command and returns its exit status, or that of the error.
func execute(p *plan) (int, error) {
	screen := &terminal{fd: 0}
	defer screen.restore()
	r := &runner{
		plan: p, pty: p.request.Stdio.PTY,
		screen:   screen,
		messages: &messages{terminal: screen, onTerminal: term.IsTerminal(2)},
		signals:  newSignals(p.request.Stdio.PTY, screen),
	}
	if err := r.start(); err != nil {
		return exitFailed, err
	}
	defer r.session.Close()
	r.signals.watch(r.session)
	defer r.signals.stop()

	ctx := context.Background()
	result, err := r.converse(ctx)
	if cannotSend(err) {
		// The agent has left, and what it has said about that is still unread.
		result, err = r.session.Wait(ctx)
	}
	return r.status(result, err)
}

// cannotSend tells whether the error is that of a command, not of the session.
func cannotSend(err error) bool {
	var failed *client.Error
	return !errors.As(err, &failed) && (errors.Is(err, unix.EPIPE) || errors.Is(err, client.ErrClosed))
}

// status is the exit status for the end of the session.
func (r *runner) status(result client.Result, err error) (int, error) {
	var end *client.EndError
	if errors.As(err, &end) {
		result, err = end.Result, nil
	}
	hungUp := r.signals.hungUp()
	switch {
	case errors.Is(r.outputErr, unix.EPIPE):
		return exitSignal + int(unix.SIGPIPE), nil
	case r.outputErr != nil:
		return exitFailed, r.outputErr
	case err == nil:
		return codeOfResult(result), nil
	case hungUp != 0 && (errors.Is(err, client.ErrAgentDied) || errors.Is(err, client.ErrClosed)):
		return exitSignal + int(hungUp), nil
	}
	err = explained(err, r.plan)
	return codeOf(err), err
}

// start starts the agent. A command with a terminal of its own has no use for the
// descriptors of linx-run; stderr is for the agent itself.
func (r *runner) start() error {
	o := client.Options{
		Path:        r.agentPath,
		Stderr:      os.Stderr,
		SysProcAttr: r.signals.attributes(),
	}
	if !r.pty {
		o.Stdin, o.Stdout = os.Stdin, os.Stdout
	}
	if r.trace {
		o.Trace = r.messages.trace
	}
	var err error
	r.session, err = client.Start(context.Background(), o)
	return err
}

// converse is the session from the request to the terminal frame.
func (r *runner) converse(ctx context.Context) (client.Result, error) {
	if err := r.session.Request(r.request); err != nil {
		return client.Result{}, err
	}
	host, inner, err := r.session.AwaitReady(ctx)
	if err != nil {
		return client.Result{}, err
	}
	if err := r.checkpoint(host); err != nil {
		return client.Result{}, err
	}
	if r.pty {
		if err := r.screen.raw(); err != nil {
			return client.Result{}, fmt.Errorf("make the terminal raw: %w", err)
		}
	}
	if err := r.signals.proceed(host, inner); err != nil {
		return client.Result{}, err
	}
	return r.relay(ctx)
}

// checkpoint does what is to be done with the parked child.
func (r *runner) checkpoint(pid int) error {
	if r.mapRoot {
		if err := mapRoot(pid); err != nil {
			return fmt.Errorf("--map-root: %w", err)
		}
	}
	have, err := capSetsOf(pid)
	if err != nil {
		return err
	}
	for _, c := range r.commands(have) {
		if err := r.session.Send(c); err != nil {
			return err
		}
	}
	size, ok := winsize()
	if !ok || !r.pty {
		return nil
	}
	return r.session.Winsize(size)
}

// relay passes input and output on until the session ends.
func (r *runner) relay(ctx context.Context) (client.Result, error) {
	for {
		e, err := r.session.Next(ctx)
		if err != nil {
			return client.Result{}, err
		}
		switch e.Kind {
		case proto.Running:
			if r.pty {
				go r.input()
			}
		case proto.PTYOut:
			r.output(e.Data)
		case proto.PTYInDropped:
			r.messages.line("linx-run: %d bytes of input are lost, the command does not read them", e.N)
		case proto.Failed:
			return client.Result{}, &client.Error{Errno: syscall.Errno(e.Errno), Stage: e.Stage}
		case proto.Exited, proto.Signaled, proto.Aborted:
			return client.Result{Kind: e.Kind, N: e.N}, nil
		}
	}
}

// output writes what the terminal of the command shows. When that fails, nobody
// looks any more: linx-run hangs up, and what still comes is thrown away.
func (r *runner) output(b []byte) {
	if r.outputErr != nil {
		return
	}
	if _, err := os.Stdout.Write(b); err != nil {
		r.outputErr = err
		r.session.Hangup()
	}
}

// input sends stdin to the terminal of the command. The end of a stdin that is no
// terminal becomes what a user types for it, which needs the line before it to be
// complete (termios(3), VEOF).
func (r *runner) input() {
	defer r.screen.guard()
	b := make([]byte, 32<<10)
	last := byte('\n')
	for {
		n, err := os.Stdin.Read(b)
		if n > 0 {
			last = b[n-1]
			if _, err := r.session.Write(b[:n]); err != nil {
				return // the session is over
			}
		}
		if err != nil {
			break
		}
	}
	const eof = "\x04"
	end := eof
	if last != '\n' && last != '\r' {
		end = eof + eof
	}
	// Where it fails the session is over.
	_, _ = io.WriteString(r.session, end)
}
