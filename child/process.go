package child

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is the child, from before it exists until its report pipe has ended.
// It owns the arena, both pipes and the pidfd; Close gives them back.
type Process struct {
	PID   int // as the agent's pid namespace sees it; 0 before Start
	PIDFD int // close-on-exec; -1 before Start

	// The numbers of the child's ends of the pipes, which it must keep while it
	// is parked. In the agent they are closed once the child exists.
	CommandFD, ReportFD int

	arena    arena
	commands [2]int // read end, write end
	reports  [2]int
	sequence uint32
	program  Program // the one in flight, or the last one
}

// ErrMalformed is a report that no child of ours writes.
var ErrMalformed = errors.New("malformed report")

// Failure is an op that failed in the child.
type Failure struct {
	Program string
	Call    string
	Stage   string
	Errno   syscall.Errno
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s: %s (%s): %v", f.Program, f.Call, f.Stage, f.Errno)
}

func (f *Failure) Unwrap() error { return f.Errno }

// New maps an arena for programs of up to space bytes (Program.Size) and makes
// the pipes. The error wraps the errno.
func New(space int) (*Process, error) {
	p := &Process{PIDFD: -1, commands: [2]int{-1, -1}, reports: [2]int{-1, -1}}
	if err := p.open(space); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Process) open(space int) error {
	if err := unix.Pipe2(p.commands[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("pipe2: %w", err)
	}
	// For the agent's loop; the child's end never has to wait either, since
	// there is at most one report in the pipe.
	if err := unix.Pipe2(p.reports[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("pipe2: %w", err)
	}
	p.CommandFD, p.ReportFD = p.commands[0], p.reports[1]
	mem, err := unix.Mmap(-1, 0, programOffset+space, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	p.arena = arena{mem: mem, base: address(mem)}
	return nil
}

// Reports is the agent's end of the report pipe, non-blocking, for its loop.
func (p *Process) Reports() int { return p.reports[0] }

// Start clones the child with the given CLONE_NEW* flags; it runs first at
// once. The error is the bare errno of clone3(2) or clone(2); ENOSYS where
// CLONE_NEWTIME was asked for and there is no clone3.
//
// Preconditions: the caller is locked to its thread, on whose life PDEATHSIG
// depends, and no goroutine makes descriptors that are not close-on-exec.
func (p *Process) Start(flags uint64, first Program) error {
	if err := p.arena.layout(first); err != nil {
		return err
	}
	p.program = first
	pid, pidfd, errno := clone(flags, p.arena.mem, p.command(), p.commands[0], p.reports[1])
	if errno != 0 {
		return errno
	}
	p.PID, p.PIDFD = pid, pidfd
	closeFD(&p.commands[0])
	closeFD(&p.reports[1])
	return nil
}

func (p *Process) command() command {
	p.sequence++
	return command{sequence: p.sequence, count: uint32(len(p.program.Ops))}
}

// Run has the parked child run the program.
//
// Preconditions: the program before it has been reported (one in flight at a
// time).
func (p *Process) Run(program Program) error {
	if err := p.arena.layout(program); err != nil {
		return err
	}
	p.program = program
	c := p.command()
	var b [commandSize]byte
	binary.NativeEndian.PutUint32(b[0:], c.sequence)
	binary.NativeEndian.PutUint32(b[4:], c.count)
	if _, err := unix.Write(p.commands[1], b[:]); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Report reads the report of the program in flight: nil for success, a *Failure
// where an op failed, io.EOF where the child has executed or is gone, EAGAIN
// where there is nothing yet, and ErrMalformed.
func (p *Process) Report() error {
	var b [reportSize]byte
	n, err := unix.Read(p.reports[0], b[:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return unix.EAGAIN
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return p.LastReport()
	case n != reportSize || binary.NativeEndian.Uint32(b[:]) != p.sequence:
		return ErrMalformed
	}
	return p.decode(b[:])
}

// LastReport is what Report returns at the end of the pipe: a *Failure that could
// not be written to it, or io.EOF. It is for a child that has ended while another
// process still holds the pipe.
func (p *Process) LastReport() error {
	if err := p.decode(p.arena.mem[:reportSize]); err != nil {
		return err
	}
	return io.EOF
}

// decode is nil for a report of success, as an arena that no failure was
// written to is.
func (p *Process) decode(b []byte) error {
	index := binary.NativeEndian.Uint32(b[4:])
	errno := syscall.Errno(binary.NativeEndian.Uint32(b[8:]))
	switch {
	case errno == 0:
		return nil
	case errno > 4095 || int(index) >= len(p.program.Ops):
		return ErrMalformed
	}
	o := p.program.Ops[index]
	return &Failure{Program: p.program.Name, Call: o.Call.Name, Stage: o.Stage, Errno: errno}
}

// Word is the result that an op left in the word.
func (p *Process) Word(w Word) uint64 { return p.arena.word(w) }

// Replace makes the process with that pidfd the child, as after a Clone op: it
// runs the same programs from the same arena. The old pidfd is the caller's to
// reap and to close.
func (p *Process) Replace(pid, pidfd int) (old int) {
	old = p.PIDFD
	p.PID, p.PIDFD = pid, pidfd
	return old
}

// Release gives back the arena and the pipes; a child that is still parked then
// exits. The pidfd stays.
func (p *Process) Release() {
	for _, fd := range []*int{&p.commands[0], &p.commands[1], &p.reports[0], &p.reports[1]} {
		closeFD(fd)
	}
	if p.arena.mem != nil {
		// Fails for memory that is not mapped only.
		_ = unix.Munmap(p.arena.mem)
		p.arena = arena{}
	}
}

// Close gives back everything.
func (p *Process) Close() {
	p.Release()
	closeFD(&p.PIDFD)
}

func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}
