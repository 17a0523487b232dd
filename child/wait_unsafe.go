package child

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Status is how a process ended.
type Status struct {
	Signaled bool // by a signal
	Number   int  // the signal, or the exit status
}

// cldExited is the si_code for SIGCHLD of a process that was not ended by a signal
// (sigaction(2)).
const cldExited = 1

// Reap takes the exit status of a child of ours that has ended. EAGAIN: it has
// not.
func Reap(pidfd int) (Status, error) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PIDFD, pidfd, &info, unix.WEXITED|unix.WNOHANG, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Status{}, err
		}
	}
	if info.Signo == 0 {
		return Status{}, unix.EAGAIN
	}
	return Status{
		Signaled: info.Code != cldExited,
		// Sound: the union of siginfo_t begins at byte 16 on 64-bit
		// architectures; for SIGCHLD si_pid, si_uid and si_status follow.
		Number: int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 24))),
	}, nil
}
