package client

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/proto"
)

// chunk is how many bytes of PTY input go into one command. The agent drops a
// chunk that does not fit its buffer as a whole, so small ones lose less.
const chunk = 32 << 10

// sender writes whole frames, one at a time.
type sender struct {
	mu    sync.Mutex
	frame []byte
	err   error // of a frame that was written in part: no frame can follow
}

// Request sends the request, the first frame of a session. What is no request of
// the protocol is proto.ErrMalformed, too long a one etf.ErrTooBig, and is not
// sent. It blocks while the channel is full, see SetSendDeadline.
func (s *Session) Request(r proto.Request) error {
	payload, err := proto.EncodeRequest(r)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	return s.send(payload, r)
}

// Send sends a command, with the errors of Request.
func (s *Session) Send(c proto.Command) error {
	payload, err := proto.EncodeCommand(c)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	return s.send(payload, c)
}

// Proceed lets the child at the checkpoint execute.
func (s *Session) Proceed() error { return s.Send(proto.Command{Kind: proto.Proceed}) }

// Abort ends the child at the checkpoint.
func (s *Session) Abort() error { return s.Send(proto.Command{Kind: proto.Abort}) }

// Signal sends a signal, 1 … 64, to the running workload.
func (s *Session) Signal(n syscall.Signal) error {
	return s.Send(proto.Command{Kind: proto.Signal, Signal: int(n)})
}

// Winsize sets the size of the PTY.
func (s *Session) Winsize(w proto.Winsize) error {
	return s.Send(proto.Command{Kind: proto.PTYWinsize, Winsize: w})
}

// Write sends p to the PTY, in commands of at most 32 KiB. That it was sent does not
// say that it arrives: an agent that cannot keep it drops whole commands and says
// so (proto.PTYInDropped).
func (s *Session) Write(p []byte) (n int, err error) {
	for n < len(p) {
		data := p[n:min(n+chunk, len(p))]
		if err := s.Send(proto.Command{Kind: proto.PTYIn, Data: data}); err != nil {
			return n, err
		}
		n += len(data)
	}
	return n, nil
}

// SendFrame sends payload as one frame, whatever it holds.
func (s *Session) SendFrame(payload []byte) error { return s.send(payload, raw(payload)) }

// SendRaw sends b as it is, without a length before it: part of a frame, several,
// or none at all.
func (s *Session) SendRaw(b []byte) error {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	return s.write(b, raw(b))
}

// SetSendDeadline bounds all methods that send, those that block now too: past t
// they fail with os.ErrDeadlineExceeded. A frame that was written in part by then
// cannot be followed by another, and every later send fails. The zero time is no
// deadline.
func (s *Session) SetSendDeadline(t time.Time) error {
	return s.channel.requests.SetWriteDeadline(t)
}

// raw is bytes in a trace.
type raw []byte

func (r raw) String() string { return etf.Inspect(etf.Binary(r)) }

func (s *Session) send(payload []byte, text fmt.Stringer) error {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	// One write for the length and the payload: two would wake the agent twice.
	s.sender.frame = etf.AppendFrame(s.sender.frame[:0], payload)
	if cap(s.sender.frame) > 2*chunk {
		defer func() { s.sender.frame = nil }()
	}
	return s.write(s.sender.frame, text)
}

// write writes b whole.
//
// Preconditions: the sender is locked.
func (s *Session) write(b []byte, text fmt.Stringer) error {
	switch {
	case s.sender.err != nil:
		return s.sender.err
	case s.channel.hungUp():
		return ErrClosed
	}
	if s.trace != nil {
		s.trace(Sent, text.String())
	}
	n, err := s.channel.requests.Write(b)
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrClosed) || s.channel.hungUp() {
		err = ErrClosed
	} else {
		err = fmt.Errorf("send: %w", err)
	}
	if n > 0 {
		s.sender.err = err
	}
	return err
}
