// Package sigfd owns the signals that end the agent: they become readable on an
// eventfd(2), for an epoll loop to see.
//
// It does what os/signal and a goroutine would, without the three threads and the
// five handovers between them that those need: some 0.2 ms of the start of a
// process that often lives for one, and 120 KiB. A signalfd(2) is no way, since it
// needs the signals blocked in every thread, and the runtime's own have them
// unblocked. The handler is a few instructions of assembly that make one system
// call, write(2) to the eventfd.
package sigfd

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// handlerFD is what the handler writes to. A signal handler has no other way to
// know.
//
//lint:ignore U1000 the assembly reads it
var handlerFD int32 = -1

// sigaction is struct sigaction as rt_sigaction(2) has it.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	ignored    = 1 // SIG_IGN
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
	sigsetSize = 8
)

// handlerPC and restorerPC are the addresses of the assembly; restorerPC is 0
// where the kernel brings its own.
func handlerPC() uintptr
func restorerPC() uintptr

// Open makes the signals readable on the eventfd that it returns, close-on-exec and
// non-blocking, for the life of the process; it is for one caller. A signal that the
// process ignores stays ignored: so it was started, as under nohup(1). One that was
// blocked when the process was started is unblocked for the calling thread.
//
// Preconditions: the caller is locked to its thread, and os/signal has none of the
// signals.
func Open(signals ...unix.Signal) (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("eventfd: %w", err)
	}
	handlerFD = int32(fd)
	var set uint64
	for _, s := range signals {
		if err := catch(s); err != nil {
			return -1, err
		}
		set |= 1 << (s - 1)
	}
	// Sound: the kernel reads 8 bytes of set, which outlives the call.
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_UNBLOCK, uintptr(unsafe.Pointer(&set)), 0, sigsetSize, 0, 0)
	if errno != 0 {
		return -1, fmt.Errorf("rt_sigprocmask: %w", errno)
	}
	return fd, nil
}

// catch installs the handler, unless the signal is ignored. It runs on the
// alternate stack that the runtime has given each of its threads: the stack of a
// goroutine may be too small.
func catch(s unix.Signal) error {
	var old sigaction
	if err := act(s, nil, &old); err != nil || old.handler == ignored {
		return err
	}
	return act(s, &sigaction{
		handler:  handlerPC(),
		flags:    saOnstack | saRestart | saRestorer,
		restorer: restorerPC(),
		mask:     ^uint64(0),
	}, nil)
}

// Ignore has the process ignore the signal.
func Ignore(s unix.Signal) error { return act(s, &sigaction{handler: ignored}, nil) }

func act(s unix.Signal, action, old *sigaction) error {
	// Sound: both are nil or structures of the kernel's layout that outlive the
	// call.
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s),
		uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(old)), sigsetSize, 0, 0)
	if errno != 0 {
		return fmt.Errorf("rt_sigaction: %w", errno)
	}
	return nil
}
