package child

import "golang.org/x/sys/unix"

// Syscall is a system call that programs use, by its name in section 2 of the
// manual and its number on this architecture.
type Syscall struct {
	Name   string
	Number uintptr
}

// Two numbers that the kernel does not have are the interpreter's own.
const (
	numberClone = ^uintptr(0) - iota
	numberStop
)

// The system calls of programs.
var (
	// Clone goes on in a new process, a child of the agent (CLONE_PARENT); the
	// process that called it exits. Its only argument is more clone flags; Out
	// holds the new process's id as the caller's pid namespace sees it before
	// the new process runs (CLONE_PARENT_SETTID).
	Clone = Syscall{"clone", numberClone}

	// Stop ends the program with success.
	Stop = Syscall{"stop", numberStop}

	Capset        = Syscall{"capset", unix.SYS_CAPSET}
	Chdir         = Syscall{"chdir", unix.SYS_CHDIR}
	CloseRange    = Syscall{"close_range", unix.SYS_CLOSE_RANGE}
	Close         = Syscall{"close", unix.SYS_CLOSE}
	Dup3          = Syscall{"dup3", unix.SYS_DUP3}
	Execve        = Syscall{"execve", unix.SYS_EXECVE}
	ExitGroup     = Syscall{"exit_group", unix.SYS_EXIT_GROUP}
	Fcntl         = Syscall{"fcntl", unix.SYS_FCNTL}
	Getpid        = Syscall{"getpid", unix.SYS_GETPID}
	Ioctl         = Syscall{"ioctl", unix.SYS_IOCTL}
	Prctl         = Syscall{"prctl", unix.SYS_PRCTL}
	Prlimit64     = Syscall{"prlimit64", unix.SYS_PRLIMIT64}
	Read          = Syscall{"read", unix.SYS_READ}
	RtSigaction   = Syscall{"rt_sigaction", unix.SYS_RT_SIGACTION}
	RtSigprocmask = Syscall{"rt_sigprocmask", unix.SYS_RT_SIGPROCMASK}
	Seccomp       = Syscall{"seccomp", unix.SYS_SECCOMP}
	Setns         = Syscall{"setns", unix.SYS_SETNS}
	Setsid        = Syscall{"setsid", unix.SYS_SETSID}
	Unshare       = Syscall{"unshare", unix.SYS_UNSHARE}
)
