// Package stdio owns what the workload's descriptors 0, 1 and 2 lead to: it opens
// what a request names, in the agent and before the clone, and writes the
// programs by which the child puts it in place. It owns the pseudoterminal pair.
package stdio

import (
	"slices"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Stdio is the descriptors behind 0, 1 and 2. It owns them; all are close-on-exec
// and above 2. What the programs say stays the same when they are closed: the
// child has its own, under the same numbers.
type Stdio struct {
	sources [3]int // by descriptor number; inherited where it stays as it is
	tty     bool   // the sources are one terminal

	childSide []int // what the agent still has open of the sources
	master    int   // -1: none
}

const inherited = -1

// Open opens what the directives name: /dev/null once, a connection for each
// connect_unix, or the pseudoterminal. The error is an *Error, and nothing is
// open then.
func Open(request proto.Stdio) (*Stdio, error) {
	s := &Stdio{sources: [3]int{inherited, inherited, inherited}, master: -1}
	var err error
	if request.PTY {
		err = s.openTerminal()
	} else {
		err = s.openEach(request.FDs)
	}
	if err != nil {
		s.CloseChildSide()
		s.CloseMaster()
		return nil, err
	}
	return s, nil
}

func (s *Stdio) openEach(directives [3]proto.Directive) (err error) {
	null := -1
	for n, d := range directives {
		switch d.Kind {
		case proto.Inherit:
		case proto.Devnull:
			if null < 0 {
				if null, err = s.own(openNull()); err != nil {
					return err
				}
			}
			s.sources[n] = null
		case proto.ConnectUnix:
			if s.sources[n], err = s.own(dial(d.Path, connectTimeout)); err != nil {
				return err
			}
		default:
			return failed(proto.StageStdio, "open", "", unix.EINVAL)
		}
	}
	return nil
}

func openNull() (int, error) {
	const path = "/dev/null"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, failed(proto.StageStdio, "open", path, err)
	}
	return fd, nil
}

// own takes over what has just been opened. Where the agent was started without
// a descriptor 0, 1 or 2, that may have become one of them; it is moved, or
// putting one source in place would overwrite another.
func (s *Stdio) own(fd int, err error) (int, error) {
	if err != nil {
		return -1, err
	}
	if fd <= 2 {
		low := fd
		fd, err = unix.FcntlInt(uintptr(low), unix.F_DUPFD_CLOEXEC, 3)
		unix.Close(low)
		if err != nil {
			return -1, failed(proto.StageStdio, "fcntl", "", err)
		}
	}
	s.childSide = append(s.childSide, fd)
	return fd, nil
}

// FDs are the descriptors that the child must keep, under these numbers, until it
// has run Plumb. They stay the Stdio's.
func (s *Stdio) FDs() []int {
	var fds []int
	for _, fd := range s.sources {
		if fd != inherited && !slices.Contains(fds, fd) {
			fds = append(fds, fd)
		}
	}
	return fds
}

// CloseChildSide gives back the agent's copies of what the workload gets, for as
// soon as the child is there: a terminal or a connection must not stay open longer
// than the workload has it.
func (s *Stdio) CloseChildSide() {
	for _, fd := range s.childSide {
		unix.Close(fd)
	}
	s.childSide = nil
}
