package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime's own hooks around a fork, which package syscall uses. The linker
// allows these two names to be pulled (go.dev/issue/67401). The third,
// runtime_AfterForkInChild, would put back the signal mask; the child keeps
// every signal blocked until the program before execve(2) has reset their
// dispositions.

//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()

// cloneArgs is struct clone_args of clone3(2), as of Linux 5.7.
type cloneArgs struct {
	flags, pidFD, childTID, parentTID, exitSignal, stack, stackSize,
	tls, setTID, setTIDSize, cgroup uint64
}

// clone makes the child, which runs the program in the arena. It returns in the
// agent only. Where clone3(2) is not there (ENOSYS: before Linux 5.3, or by the
// default filter of a container engine) it uses clone(2), which cannot say
// CLONE_NEWTIME: with that the result is ENOSYS.
//
// The child does not share memory with the agent but for the arena (no
// CLONE_VM), so it may go on in a copy of this frame. The contract of interpret
// holds from runtimeBeforeFork on.
//
//go:norace
//go:nocheckptr
//go:noinline
func clone(flags uint64, mem []byte, first command, commands, reports int) (pid, pidfd int, errno syscall.Errno) {
	var (
		fd   int32 // CLONE_PIDFD stores it here, in the agent's memory
		args = cloneArgs{
			flags:      flags | unix.CLONE_PIDFD,
			pidFD:      uint64(uintptr(unsafe.Pointer(&fd))), // sound: fd outlives the call
			exitSignal: uint64(unix.SIGCHLD),
		}
		arena = unsafe.Pointer(&mem[0]) // sound: mapped memory, which does not move
		r     uintptr
	)
	runtimeBeforeFork()
	r, _, errno = syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0, 0, 0, 0)
	if errno == syscall.ENOSYS && flags&unix.CLONE_NEWTIME == 0 {
		r, _, errno = syscall.RawSyscall6(unix.SYS_CLONE,
			uintptr(args.flags|args.exitSignal), 0, uintptr(unsafe.Pointer(&fd)), 0, 0, 0)
	}
	if errno == 0 && r == 0 {
		interpret(arena, first, uintptr(commands), uintptr(reports))
	}
	runtimeAfterFork()
	if errno != 0 {
		return -1, -1, errno
	}
	return int(r), int(fd), 0
}

func address(mem []byte) uintptr { return uintptr(unsafe.Pointer(&mem[0])) }
