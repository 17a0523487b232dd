package ns

import (
	"errors"
	"slices"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Target is a running process whose namespaces are to be joined. It owns its
// descriptors, all close-on-exec: a pidfd, and one of each namespace to join.
// What it says of itself stays the same after Close.
type Target struct {
	pidfd  int
	joins  []join // in the order of proto.Namespace
	closed bool
}

type join struct {
	kind proto.Namespace
	fd   int
}

// Pin takes hold of a process, its id being that of the caller's pid namespace,
// and of those of its namespaces that are in want: nil stands for every one that
// differs from the caller's. Of those named, one that is the caller's own already
// is not joined again (a user namespace cannot be).
//
// Nothing is joined here. By the pidfd, which is there first and is polled before
// and after, all descriptors are of one process that lived all that time; nothing
// is looked up by its id or by a path again.
//
// The error is an *proto.StageError, of stage open_ns_proc or open_ns_<ns>:
//
//	ESRCH           the target is gone, or a zombie; or there is no such process
//	EINVAL, ENOENT  the id is that of a thread, or none (pidfd_open(2))
//	ENOENT          of stage open_ns_proc: /proc hides the target, or the caller
//	                (hidepid; the procfs of another pid namespace)
//	ENOENT          of another stage: this kernel has no such namespace, and it
//	                was named; where it was not, it is left out
//	EACCES          the caller may not trace the target (ptrace(2), "Ptrace access
//	                mode checking"), as where it is not dumpable
//	EXDEV           what is in that place is not procfs, or not of the caller's pid
//	                namespace, or no namespace
func Pin(pid int, want []proto.Namespace) (*Target, error) {
	t := &Target{pidfd: -1}
	err := t.pin(pid, want)
	if err == nil {
		return t, nil
	}
	// What failed may have failed because the target went away meanwhile.
	if t.pidfd >= 0 {
		if gone := t.alive(); gone != nil {
			err = gone
		}
	}
	t.Close()
	return nil, err
}

// Sketch is a target of which nothing is known but what is wanted of it, nil being
// all that could differ: its programs can be printed.
func Sketch(want []proto.Namespace) *Target {
	t := &Target{pidfd: -1, closed: true}
	for n := range proto.Namespace(proto.NumNamespaces) {
		if want == nil || slices.Contains(want, n) {
			t.joins = append(t.joins, join{n, -1})
		}
	}
	return t
}

func (t *Target) pin(pid int, want []proto.Namespace) error {
	if int(int32(pid)) != pid {
		// The kernel would look at the lower half only, another process.
		return proto.FailedAt(proto.StageOpenNSProc, "pidfd_open", "", unix.ESRCH)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return proto.FailedAt(proto.StageOpenNSProc, "pidfd_open", "", err)
	}
	t.pidfd = pidfd
	p, err := openProc()
	if err != nil {
		return err
	}
	defer p.close()
	dir, err := p.process(pid)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	// If the target lives now, its id had not gone to another process when the
	// directory was opened.
	if err := t.alive(); err != nil {
		return err
	}
	if err := t.collect(p.self, dir, want); err != nil {
		return err
	}
	return t.alive()
}

// collect goes through the namespaces: self and dir are the agent's and the
// target's /proc/<pid>/ns.
func (t *Target) collect(self, dir int, want []proto.Namespace) error {
	asked := CloneFlags(want)
	for n := range proto.Namespace(proto.NumNamespaces) {
		if want != nil && asked&kinds[n].flag == 0 {
			continue
		}
		own, present, err := ownID(self, n)
		if !present && want == nil {
			continue
		}
		if err != nil {
			return err
		}
		if err := t.open(dir, n, own); err != nil {
			return err
		}
	}
	return nil
}

// ownID is the namespace that a child of the agent's is in if it joins none. For
// pid and time that need not be the agent's: whoever started it may have called
// unshare(2) before. Not present is what this kernel does not have.
func ownID(self int, n proto.Namespace) (id identity, present bool, err error) {
	k := kinds[n]
	fd, id, err := openNS(n, self, k.file)
	if err != nil {
		return identity{}, !errors.Is(err, unix.ENOENT), err
	}
	unix.Close(fd)
	if k.born != k.file {
		if fd, id, err = openNS(n, self, k.born); err != nil {
			return identity{}, true, err
		}
		unix.Close(fd)
	}
	return id, true, nil
}

// open takes hold of a namespace of the target, unless it is the agent's own.
// The target's is the one that it is in itself: that is where setns(2) with its
// pidfd leads, too.
func (t *Target) open(dir int, n proto.Namespace, own identity) error {
	fd, id, err := openNS(n, dir, kinds[n].file)
	if err != nil {
		return err
	}
	if id == own {
		unix.Close(fd)
		return nil
	}
	t.joins = append(t.joins, join{n, fd})
	return nil
}

// alive is ESRCH once the target has ended, be it reaped or not: then its pidfd
// is readable (pidfd_open(2), Linux 5.3).
func (t *Target) alive() error {
	fds := []unix.PollFd{{Fd: int32(t.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return proto.FailedAt(proto.StageOpenNSProc, "poll", "", err)
		case n > 0:
			return proto.FailedAt(proto.StageOpenNSProc, "poll", "", unix.ESRCH)
		default:
			return nil
		}
	}
}

// Joins are the namespaces to be joined.
func (t *Target) Joins() []proto.Namespace {
	list := make([]proto.Namespace, len(t.joins))
	for i, j := range t.joins {
		list[i] = j.kind
	}
	return list
}

// FDs are the descriptors that the child must keep, under these numbers, until
// it has joined. They stay the Target's.
func (t *Target) FDs() []int {
	fds := []int{t.pidfd}
	for _, j := range t.joins {
		fds = append(fds, j.fd)
	}
	return fds
}

// Close gives back the descriptors. A child that has been cloned has its own.
func (t *Target) Close() {
	if t.closed {
		return
	}
	t.closed = true
	for _, fd := range t.FDs() {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
