package agent

import (
	"errors"
	"fmt"

	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/relay"
	"golang.org/x/sys/unix"
)

// port is the control channel: frames in on one descriptor, frames out on the
// other. It owns both.
type port struct {
	in, out  int
	framer   etf.Framer
	queue    relay.Output
	readable bool // fd in may have more
	writable bool // fd out may take more
	ended    bool // end of file, or an error, on fd in
	broken   bool // fd out takes nothing any more
	suspect  bool // a hang-up was seen by epoll; what is in the pipe comes first
	unread   unread
	dropped  int // bytes of :pty_in_dropped that wait for room in the queue
}

func openPort(l *loop, in, out int) (*port, error) {
	p := &port{in: in, out: out, queue: relay.NewOutput(), readable: true, writable: true}
	p.framer.Limit = proto.MaxRequest
	for _, fd := range []int{in, out} {
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("fd %d: %w", fd, err)
		}
	}
	err := errors.Join(
		l.watch(in, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET, func(events uint32) {
			p.readable = true
			if events&(unix.EPOLLHUP|unix.EPOLLRDHUP|unix.EPOLLERR) != 0 {
				p.suspect = true
			}
		}),
		l.watch(out, unix.EPOLLOUT|unix.EPOLLET, func(events uint32) {
			p.writable = true
			// The reader of a pipe has gone (EPOLLERR), or a socket's peer (EPOLLHUP).
			if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
				p.suspect, p.broken = true, true
			}
		}),
	)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// hungUp tells that nothing more will come: all that the client wrote has been
// read.
func (p *port) hungUp() bool { return p.ended || p.broken && !p.readable }

// next is the next frame, nil where there is none yet. It is valid until the
// next call. The error is etf.ErrTooBig.
func (p *port) next() ([]byte, error) {
	for {
		frame, ok, err := p.framer.Next()
		if ok || err != nil {
			return frame, err
		}
		if !p.readable {
			return nil, nil
		}
		if n := p.read(p.framer.Buffer()); n > 0 {
			p.framer.Filled(n)
		}
	}
}

// discard reads and forgets some, for a session that has no use for frames; busy
// where there may be more.
func (p *port) discard() (busy bool) {
	for range 16 {
		if p.readable {
			p.read(p.framer.Buffer()) // and never says that it is filled
		}
	}
	return p.readable
}

func (p *port) read(b []byte) int {
	n, err := unix.Read(p.in, b)
	switch {
	case err == unix.EINTR:
	case err == unix.EAGAIN:
		p.readable = false
	case err != nil || n == 0:
		p.readable, p.ended = false, true
	}
	return n
}

// send queues the frame of the event. Several :pty_in_dropped are summed up
// while the client does not read, so that a flood of input costs no memory.
func (p *port) send(e proto.Event) {
	switch {
	case p.broken:
		return
	case e.Kind == proto.PTYInDropped && p.queue.Full():
		p.dropped += e.N
		return
	}
	p.tellDropped()
	p.queue.Send(e)
}

func (p *port) tellDropped() {
	if p.dropped > 0 {
		p.queue.Send(proto.Event{Kind: proto.PTYInDropped, N: p.dropped})
		p.dropped = 0
	}
}

// flush writes what the client takes.
func (p *port) flush() {
	if !p.queue.Full() {
		p.tellDropped()
	}
	if p.writable && !p.broken {
		switch err := p.queue.Flush(p.out); err {
		case nil:
		case unix.EAGAIN:
			p.writable = false
		default:
			p.broken, p.suspect = true, true
		}
	}
	if p.broken {
		p.queue.Drop()
	}
}

// closeOut tells the client that there is nothing more to read. From then on only
// the end of fd in is a hang-up: the client may still be writing.
func (p *port) closeOut(l *loop) {
	if p.out >= 0 {
		l.forget(p.out)
		if p.broken {
			unix.Close(p.out) // nobody is going to read
		} else {
			p.unread = closeWriting(p.out)
		}
		p.out, p.writable, p.broken = -1, false, false
	}
}

// close gives back the descriptors.
func (p *port) close(l *loop) {
	p.closeOut(l)
	p.unread.close()
	l.forget(p.in)
	unix.Close(p.in)
}
