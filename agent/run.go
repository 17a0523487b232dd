package agent

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"

	"github.com/linxprocess/linx-process/agent/sigfd"
	"github.com/linxprocess/linx-process/relay"
	"golang.org/x/sys/unix"
)

// Run serves one session: requests and commands come in on the descriptor in,
// frames go out on out; it takes both over. It returns the exit code of the
// process, which has been changed for good: it is not dumpable and locked to its
// thread.
func Run(in, out int) int {
	// A child whose PDEATHSIG is set dies with the thread that cloned it.
	runtime.LockOSThread()
	code, err := run(in, out)
	if err != nil {
		complain(err.Error())
	}
	return int(code)
}

func run(in, out int) (exitCode, error) {
	closeRange, err := isolate()
	if err != nil {
		return exitSetup, err
	}
	l, err := newLoop()
	if err != nil {
		return exitSetup, err
	}
	defer l.close()
	p, err := openPort(l, in, out)
	if err != nil {
		return exitChannel, err
	}
	defer p.close(l)
	s := &Session{}
	w := &workload{
		loop: l, port: p, session: s, closeRange: closeRange, first: -1,
		ptyInput: relay.NewBuffer(ptyInputLimit), ptyWritable: true,
	}
	s.world = w
	defer w.close()
	if err := watchTermination(l, func() { s.handle(event{kind: onTerminate}) }); err != nil {
		return exitSetup, err
	}
	b := bridge{port: p, session: s, work: w}
	for busy := b.pump(); s.state != gone; busy = b.pump() {
		w.settle()
		if err := l.wait(busy); err != nil {
			return exitSetup, err
		}
		if l.due() {
			s.handle(event{kind: onTimer})
		}
	}
	return s.code, nil
}

// isolate keeps the agent's descriptors and memory from the workload. It tells
// whether close_range(2) is there, with its flag.
func isolate() (closeRange bool, err error) {
	// Neither traced nor looked into by a process of the same user.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return false, fmt.Errorf("prctl(PR_SET_DUMPABLE): %w", err)
	}
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err == nil {
		return true, nil
	}
	fds, err := openDescriptors()
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return false, err
}

// openDescriptors are those of the agent from 3 on.
func openDescriptors() ([]int, error) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("open descriptors: %w", err)
	}
	var fds []int
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// watchTermination has f called in the loop for a signal that ends the agent.
func watchTermination(l *loop, f func()) error {
	// The runtime would print its stacks for the quit key of a terminal that the
	// agent shares with the workload.
	if err := sigfd.Ignore(unix.SIGQUIT); err != nil {
		return err
	}
	fd, err := sigfd.Open(unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	if err != nil {
		return err
	}
	return l.watch(fd, unix.EPOLLIN|unix.EPOLLET, func(uint32) { f() })
}

// complain says on stderr what no frame can. A plain write: a broken pipe there
// must not end the agent by SIGPIPE.
func complain(text string) { _, _ = unix.Write(2, []byte("linx-process: "+text+"\n")) }
