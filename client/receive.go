package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

const (
	// readSize is how large the read buffer is in bytes: more than one frame of
	// PTY output as the agent makes them.
	readSize = 128 << 10

	// maxEvent is the longest payload of an event in bytes.
	maxEvent = proto.MaxCommand
)

// receiver is what Next keeps between calls.
type receiver struct {
	buf  []byte
	r, w int // buf[r:w] was read and not yet returned

	running bool        // :running was seen
	ended   atomic.Bool // the terminal frame was seen
	err     error       // what Next returns from now on

	deadline deadline
}

// Next returns the next event, or an error:
//
//   - io.EOF behind the terminal frame, at the end of the stream
//   - ErrAgentDied where the stream ended without a terminal frame; it waits for
//     the agent to exit first, to tell how
//   - ErrProtocol for what is no event, or behind the terminal frame
//   - the error of ctx, after which Next can be called again: nothing is lost
//   - ErrClosed after Close
//
// The event's Data is valid until the next call. With the terminal frame the
// session hangs up, for which the agent waits. Output of a PTY costs no allocation.
func (s *Session) Next(ctx context.Context) (proto.Event, error) {
	if s.receiver.err != nil {
		return proto.Event{}, s.receiver.err
	}
	payload, err := s.nextFrame(ctx)
	if err == nil {
		var e proto.Event
		if e, err = s.event(payload); err == nil {
			return e, nil
		}
	}
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		s.receiver.err = err
	}
	return proto.Event{}, err
}

// event decodes a frame and follows the states of the protocol.
func (s *Session) event(payload []byte) (proto.Event, error) {
	e, err := proto.DecodeEvent(payload)
	switch {
	case err != nil:
		return e, fmt.Errorf("%w: %w", ErrProtocol, err)
	case s.receiver.ended.Load():
		return e, fmt.Errorf("%w: %v behind the terminal frame", ErrProtocol, e)
	}
	if s.trace != nil {
		s.trace(Received, e.String())
	}
	if e.Kind == proto.Running {
		s.receiver.running = true
	}
	if s.terminal(e) {
		s.receiver.ended.Store(true)
		s.channel.hangUp()
	}
	return e, nil
}

// terminal tells whether the event ends the session. An error of a running session
// does not: the end of the workload follows.
func (s *Session) terminal(e proto.Event) bool {
	return e.Kind.Terminal() && !(e.Kind == proto.Failed && s.receiver.running)
}

// nextFrame returns the payload of the next frame, valid until the next call.
func (s *Session) nextFrame(ctx context.Context) ([]byte, error) {
	v := &s.receiver
	for {
		need := etf.FrameHeader
		if rest := v.buf[v.r:v.w]; len(rest) >= etf.FrameHeader {
			n := binary.BigEndian.Uint32(rest)
			if n > maxEvent {
				return nil, fmt.Errorf("%w: frame of %d bytes", ErrProtocol, n)
			}
			need += int(n)
			if len(rest) >= need {
				v.r += need
				return rest[etf.FrameHeader:need:need], nil
			}
		}
		v.makeRoom(need)
		if err := s.read(ctx); err != nil {
			return nil, err
		}
	}
}

// makeRoom makes the buffer hold need bytes from r on.
func (v *receiver) makeRoom(need int) {
	switch {
	case need > len(v.buf):
		old := v.buf[v.r:v.w]
		v.buf = make([]byte, max(need, readSize))
		v.r, v.w = 0, copy(v.buf, old)
	case v.r == v.w:
		v.r, v.w = 0, 0
	case v.r+need > len(v.buf) || len(v.buf)-v.w < readSize/2:
		v.r, v.w = 0, copy(v.buf, v.buf[v.r:v.w])
	}
}

// read reads once into the room behind what is there.
func (s *Session) read(ctx context.Context) error {
	v := &s.receiver
	v.deadline.follow(ctx, s.channel.events)
	n, err := s.channel.events.Read(v.buf[v.w:])
	v.w += n
	switch {
	case n > 0 || err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrClosed):
		return ErrClosed
	// A socket whose other end was closed with unread commands in it.
	case err == io.EOF, errors.Is(err, unix.ECONNRESET):
		return s.endOfStream(ctx)
	default:
		return fmt.Errorf("receive: %w", err)
	}
}

// endOfStream is io.EOF behind the terminal frame.
func (s *Session) endOfStream(ctx context.Context) error {
	if s.receiver.ended.Load() {
		return io.EOF
	}
	s.channel.hangUp()
	if s.agent == nil {
		return &AgentDeath{Attached: true}
	}
	status, err := s.agent.wait(ctx)
	if err != nil {
		return err
	}
	return &AgentDeath{Status: status}
}

// deadline ends the reads of a file when the context of the last follow is done.
// It stays with that context between the calls, so that many reads under one
// context cost one registration.
type deadline struct {
	done <-chan struct{} // of the context that is followed; nil for one without

	mu   sync.Mutex
	turn int // counts the contexts
	stop func() bool
}

// follow makes reads of f from now on fail once ctx is done.
func (d *deadline) follow(ctx context.Context, f *os.File) {
	if ctx.Done() == d.done {
		return
	}
	if d.stop != nil {
		d.stop()
		d.stop = nil
	}
	d.done = ctx.Done()

	// A function of the last context that runs already must not set its deadline
	// after this.
	d.mu.Lock()
	d.turn++
	turn := d.turn
	// It fails for a closed file only, as the read will.
	_ = f.SetReadDeadline(time.Time{})
	d.mu.Unlock()

	if d.done == nil {
		return
	}
	d.stop = context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.turn == turn {
			_ = f.SetReadDeadline(past)
		}
	})
}
