package agent

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// unread tells how much of what was written to a client it has not read, once the
// writing end is closed. The zero value knows nothing.
type unread struct {
	fd      int
	request uint // TIOCINQ (FIONREAD) of a pipe, SIOCOUTQ of a socket; 0: nothing is known
}

// closeWriting closes the writing end of a pipe, or of a socket that may go on to be
// read. Of a pipe it keeps a reading end, from which it never reads: that does not
// keep the client from seeing the end. Where a pipe cannot be opened again, as one of
// another user's, nothing is known.
func closeWriting(out int) unread {
	// A socket is kept open, for its queue.
	if err := unix.Shutdown(out, unix.SHUT_WR); err != unix.ENOTSOCK {
		return unread{out, unix.SIOCOUTQ}
	}
	defer unix.Close(out)
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(out), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return unread{}
	}
	return unread{fd, unix.TIOCINQ}
}

// some tells whether there is something that the client has not read.
func (u unread) some() bool {
	if u.request == 0 {
		return false
	}
	n, err := unix.IoctlGetInt(u.fd, u.request)
	return err == nil && n > 0
}

// close forgets it.
func (u *unread) close() {
	if u.request != 0 {
		unix.Close(u.fd)
		*u = unread{}
	}
}
