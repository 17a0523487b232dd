package main

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/linxprocess/linx-process/client"
	"golang.org/x/sys/unix"
)

// termination are the signals that ask a program to end.
var termination = []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP}

// How a signal gets to the command depends on whose terminal it has.
//
//	a terminal of its own   Ctrl-C is a byte of its input. A signal to linx-run is
//	(--pty)                 meant for linx-run: it hangs up, and the orphan policy
//	                        ends the command.
//	the terminal of         The agent and the command are in linx-run's process
//	linx-run                group, in the foreground with it: else the command
//	                        could not read from the terminal. The terminal itself
//	                        sends SIGINT and SIGQUIT to all of them, so linx-run
//	                        passes on the others only. The agent is started with
//	                        SIGINT and SIGHUP ignored, or it would hang up.
//	none                    The agent is in a session of its own, and linx-run
//	                        passes on every signal. So it is where linx-run was
//	                        started to ignore the terminal's signals (nohup(1)).
//
// The first process of a pid namespace gets no signal that it has no handler for
// (pid_namespaces(7)), but SIGKILL: that is what linx-run sends it instead of one
// that would have ended it.
type signals struct {
	arrived  chan os.Signal
	caught   []os.Signal // of termination: those that linx-run was not started to ignore
	pty      bool
	terminal *os.File // of linx-run and the command; nil where there is none
	screen   *terminal

	mu      sync.Mutex
	session *client.Session
	pid     int // of the command, once it may be sent a signal; 0 before
	inner   int
	first   syscall.Signal // that made linx-run hang up
}

// newSignals looks at what linx-run was started with, and prepares for the start of
// the agent, which inherits what is ignored.
func newSignals(pty bool, screen *terminal) *signals {
	s := &signals{arrived: make(chan os.Signal, 8), pty: pty, screen: screen}
	shielded := signal.Ignored(unix.SIGHUP) || signal.Ignored(unix.SIGINT)
	for _, sig := range termination {
		if !signal.Ignored(sig) {
			s.caught = append(s.caught, sig)
		}
	}
	if !pty && !shielded {
		// The controlling terminal, whatever stdin is. An error: there is none.
		s.terminal, _ = os.OpenFile("/dev/tty", os.O_RDONLY, 0)
	}
	if s.terminal != nil {
		signal.Ignore(unix.SIGINT, unix.SIGHUP)
	}
	return s
}

// attributes are those of the agent process.
func (s *signals) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: s.terminal == nil}
}

// watch handles signals from now on.
func (s *signals) watch(session *client.Session) {
	s.session = session
	// A handler for SIGPIPE makes a write to a closed stdout an error, instead of
	// the death of linx-run before the terminal is put back.
	signal.Notify(s.arrived, append(s.caught, unix.SIGPIPE)...)
	if s.pty {
		signal.Notify(s.arrived, unix.SIGWINCH, unix.SIGCONT)
	}
	go func() {
		defer s.screen.guard()
		for sig := range s.arrived {
			s.handle(sig.(syscall.Signal))
		}
	}()
}

// stop ends watch.
func (s *signals) stop() {
	signal.Stop(s.arrived)
	close(s.arrived)
	if s.terminal != nil {
		s.terminal.Close()
	}
}

func (s *signals) handle(sig syscall.Signal) {
	switch sig {
	case unix.SIGPIPE:
	case unix.SIGCONT:
		s.screen.again()
		s.resize()
	case unix.SIGWINCH:
		s.resize()
	default:
		s.end(sig)
	}
}

// resize tells the command the size of the terminal. An error is that of a session
// that is over.
func (s *signals) resize() {
	if size, ok := winsize(); ok {
		_ = s.session.Winsize(size)
	}
}

// end is a signal of termination.
func (s *signals) end(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid == 0 || s.pty {
		if s.first != 0 {
			s.session.Close() // asked twice: at once
			return
		}
		s.first = sig
		s.session.Hangup()
		return
	}
	switch {
	case s.inner == 1 && unhandled(s.pid, sig):
		_ = s.session.Signal(unix.SIGKILL)
	case !s.fromTerminal(sig):
		_ = s.session.Signal(sig)
	}
}

// proceed lets the child execute. From then on signals are for it: one that is sent
// behind this reaches it when it runs.
func (s *signals) proceed(pid, inner int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid, s.inner = pid, inner
	return s.session.Proceed()
}

// hungUp is the signal that made linx-run hang up, 0 where none did.
func (s *signals) hungUp() syscall.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// fromTerminal tells whether the command has had the signal from the terminal. What
// it cannot tell apart is a SIGINT that someone sends to linx-run in the
// foreground.
func (s *signals) fromTerminal(sig syscall.Signal) bool {
	if s.terminal == nil || !slices.Contains([]syscall.Signal{unix.SIGINT, unix.SIGQUIT}, sig) {
		return false
	}
	foreground, err := unix.IoctlGetInt(int(s.terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// unhandled tells whether the process leaves the signal to the kernel: it neither
// catches nor ignores it (proc_pid_status(5)).
func unhandled(pid int, sig syscall.Signal) bool {
	status, err := statusOf(pid)
	return err == nil && (status["SigCgt"]|status["SigIgn"])&(1<<(sig-1)) == 0
}
