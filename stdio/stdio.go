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
	sources [3]source // by descriptor number
	tty     bool      // the sources are one terminal

	childSide []int // what the agent still has open of the sources
	master    int   // -1: none
}

// source is what a descriptor of the workload is made of. The zero value stands
// for the agent's own, which stays as it is.
type source struct {
	fd   int
	name string // in a program that is printed
}

func (s source) inherited() bool { return s.name == "" }

const (
	nameNull     = "<null>"
	nameTerminal = "<terminal>"
)

// socketNames are the names of sockets, by descriptor number.
var socketNames = [3]string{"<stdin socket>", "<stdout socket>", "<stderr socket>"}

// Open opens what the directives name: /dev/null once, a connection for each
// connect_unix, or the pseudoterminal. The error is an *proto.StageError, and nothing is
// open then.
func Open(request proto.Stdio) (*Stdio, error) {
	s := &Stdio{master: -1}
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

// Sketch opens nothing: its programs can be printed.
func Sketch(request proto.Stdio) *Stdio {
	s := &Stdio{tty: request.PTY, master: -1}
	for n, d := range request.FDs {
		switch {
		case request.PTY:
			s.sources[n].name = nameTerminal
		case d.Kind == proto.Devnull:
			s.sources[n].name = nameNull
		case d.Kind == proto.ConnectUnix:
			s.sources[n].name = socketNames[n]
		}
	}
	return s
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
			s.sources[n] = source{null, nameNull}
		case proto.ConnectUnix:
			fd, err := s.own(dial(d.Path, connectTimeout))
			if err != nil {
				return err
			}
			s.sources[n] = source{fd, socketNames[n]}
		default:
			return proto.FailedAt(proto.StageStdio, "open", "", unix.EINVAL)
		}
	}
	return nil
}

func openNull() (int, error) {
	const path = "/dev/null"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, proto.FailedAt(proto.StageStdio, "open", path, err)
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
			return -1, proto.FailedAt(proto.StageStdio, "fcntl", "", err)
		}
	}
	s.childSide = append(s.childSide, fd)
	return fd, nil
}

// FDs are the descriptors that the child must keep, under these numbers, until it
// has run Plumb. They stay the Stdio's.
func (s *Stdio) FDs() []int {
	var fds []int
	for _, from := range s.sources {
		if !from.inherited() && !slices.Contains(fds, from.fd) {
			fds = append(fds, from.fd)
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
