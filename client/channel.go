package client

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// channel is one side of the control channel: two files, or one socket twice.
type channel struct {
	requests *os.File
	events   *os.File

	hup *hangup
}

// hangup ends the direction of the requests, once.
type hangup struct {
	once sync.Once
	done atomic.Bool
}

// newChannel makes both sides. Ours is non-blocking and in the care of the
// runtime's poller; theirs is blocking, as a port program finds it. All
// descriptors are close-on-exec.
func newChannel(socketpair bool) (ours, theirs channel, err error) {
	if socketpair {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return channel{}, channel{}, fmt.Errorf("socketpair: %w", err)
		}
		f := os.NewFile(uintptr(fds[1]), "control")
		theirs = channel{requests: f, events: f}
		ours, err = channelOf(fds[0], fds[0])
		if err != nil {
			theirs.close()
		}
		return ours, theirs, err
	}
	var requests, events [2]int
	if err := unix.Pipe2(requests[:], unix.O_CLOEXEC); err != nil {
		return channel{}, channel{}, fmt.Errorf("pipe2: %w", err)
	}
	theirs.requests = os.NewFile(uintptr(requests[0]), "requests")
	if err := unix.Pipe2(events[:], unix.O_CLOEXEC); err != nil {
		theirs.close()
		unix.Close(requests[1])
		return channel{}, channel{}, fmt.Errorf("pipe2: %w", err)
	}
	theirs.events = os.NewFile(uintptr(events[1]), "events")
	ours, err = channelOf(requests[1], events[0])
	if err != nil {
		theirs.close()
	}
	return ours, theirs, err
}

// channelOf takes the descriptors over.
func channelOf(requests, events int) (channel, error) {
	for _, fd := range []int{requests, events} {
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(requests)
			if events != requests {
				unix.Close(events)
			}
			return channel{}, fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	c := channel{hup: &hangup{}, requests: os.NewFile(uintptr(requests), "requests")}
	if events == requests {
		c.events = c.requests
	} else {
		c.events = os.NewFile(uintptr(events), "events")
	}
	return c, nil
}

// hangUp ends the direction of the requests, once. A write that waits for room
// fails.
func (c channel) hangUp() {
	c.hup.once.Do(func() {
		c.hup.done.Store(true)
		if c.events == c.requests {
			c.shutdown()
		} else {
			c.requests.Close()
		}
	})
}

// hungUp tells whether hangUp was called.
func (c channel) hungUp() bool { return c.hup.done.Load() }

// shutdown ends one direction of the socket.
func (c channel) shutdown() {
	raw, err := c.requests.SyscallConn()
	if err != nil {
		return // closed: nothing to hang up
	}
	// Both fail where the agent is gone, or the file closed, only.
	_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) })
	// shutdown(2) wakes the other side alone.
	_ = c.requests.SetWriteDeadline(past)
}

// close gives the descriptors back; a file that is closed twice does no harm.
func (c channel) close() {
	for _, f := range []*os.File{c.requests, c.events} {
		if f != nil {
			f.Close()
		}
	}
}
