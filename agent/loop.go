package agent

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// loop is one epoll(7) instance: it maps a descriptor to what its events mean.
// Sources that are read until they are empty are edge-triggered, so that no
// event means no system call.
type loop struct {
	fd       int
	sources  map[int32]func(events uint32)
	deadline time.Time // of the timer; zero: not armed
	events   [16]unix.EpollEvent
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &loop{fd: fd, sources: make(map[int32]func(uint32), 8)}, nil
}

func (l *loop) close() { unix.Close(l.fd) }

// watch calls f with the events of fd that are among those given, and with
// EPOLLHUP and EPOLLERR.
func (l *loop) watch(fd int, events uint32, f func(events uint32)) error {
	e := unix.EpollEvent{Events: events, Fd: int32(fd)}
	if err := unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	l.sources[e.Fd] = f
	return nil
}

// forget ends watching fd, which is still open.
func (l *loop) forget(fd int) {
	if _, ok := l.sources[int32(fd)]; ok {
		// Fails for a descriptor that is not watched only.
		_ = unix.EpollCtl(l.fd, unix.EPOLL_CTL_DEL, fd, nil)
		delete(l.sources, int32(fd))
	}
}

// wait handles what has happened; where nothing has, it sleeps until something
// does or the timer is due, unless the caller has work of its own to do.
func (l *loop) wait(busy bool) error {
	n, err := unix.EpollWait(l.fd, l.events[:], l.timeout(busy))
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	for i := range max(n, 0) {
		e := &l.events[i]
		// A source may have been forgotten by the one before it.
		if f := l.sources[e.Fd]; f != nil {
			f(e.Events)
		}
	}
	return nil
}

// timeout is for epoll_wait(2), in ms, rounded up so that the timer is due when
// the time is over.
func (l *loop) timeout(busy bool) int {
	switch {
	case busy:
		return 0
	case l.deadline.IsZero():
		return -1
	default:
		return int((max(0, time.Until(l.deadline)) + time.Millisecond - 1) / time.Millisecond)
	}
}

// due tells once that the time of the timer has come.
func (l *loop) due() bool {
	if l.deadline.IsZero() || time.Now().Before(l.deadline) {
		return false
	}
	l.deadline = time.Time{}
	return true
}
