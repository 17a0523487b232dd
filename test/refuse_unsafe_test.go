package test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refusal makes a system call of an agent and of its children end otherwise than
// by doing what it does.
type refusal struct {
	call  uintptr
	errno unix.Errno // or one of those below
	arg   int        // only where this argument, its lower 32 bits, is value
	value uint32
}

const (
	killing unix.Errno = 0       // the call kills the process
	holding unix.Errno = 1 << 16 // the call lasts until it is let go, the process is killed, or the agent ends

	// anyArgs is for refusals that do not look at the arguments.
	anyArgs = -1
)

// listenerFD is where an agent has the listener of its filter (seccomp_unotify(2)).
const listenerFD = 100

// refusing is the path of an agent that finds these refusals in place. They are a
// filter, seccomp(2), that a process installs before it becomes the agent.
func refusing(t testing.TB, refusals ...refusal) string {
	t.Helper()
	return refusingWith(t, nil, refusals...)
}

// refusingWith is refusing for an agent with arguments.
func refusingWith(t testing.TB, arguments []string, refusals ...refusal) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, r := range refusals {
		rules = append(rules, fmt.Sprintf("%d,%d,%d,%d", r.call, r.errno, r.arg, r.value))
	}
	command := append([]string{self, "as", "refusing", strings.Join(rules, ":"), binary}, arguments...)
	return scripted(t, strings.Join(command, " "))
}

// refuse is the process that becomes the agent: args are the refusals, and what to
// execute.
func refuse(args []string) error {
	var filter []unix.SockFilter
	add := func(code uint16, jt, jf uint8, k uint32) {
		filter = append(filter, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
	}
	const (
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jumpIf  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		give    = unix.BPF_RET | unix.BPF_K
		numbers = 0  // offset of nr in struct seccomp_data
		firstOf = 16 // of the lower half of args[0]
	)
	for text := range strings.SplitSeq(args[0], ":") {
		var r refusal
		if _, err := fmt.Sscanf(text, "%d,%d,%d,%d", &r.call, &r.errno, &r.arg, &r.value); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		verdict := unix.SECCOMP_RET_ERRNO | uint32(r.errno)
		switch r.errno {
		case killing:
			verdict = unix.SECCOMP_RET_KILL_PROCESS
		case holding:
			verdict = unix.SECCOMP_RET_USER_NOTIF
		}
		add(load, 0, 0, numbers)
		if r.arg == anyArgs {
			add(jumpIf, 0, 1, uint32(r.call))
		} else {
			add(jumpIf, 0, 3, uint32(r.call))
			add(load, 0, 0, uint32(firstOf+8*r.arg))
			add(jumpIf, 0, 1, r.value)
		}
		add(give, 0, 0, verdict)
	}
	add(give, 0, 0, unix.SECCOMP_RET_ALLOW)
	// The filter is the thread's, and so is execve(2).
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl(PR_SET_NO_NEW_PRIVS): %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Sound: program lives to the end of the call, in which the kernel copies it.
	listener, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	// The agent takes it over without knowing, and answers nobody.
	if _, err := unix.FcntlInt(listener, unix.F_DUPFD, listenerFD); err != nil {
		return fmt.Errorf("fcntl: %w", err)
	}
	return unix.Exec(args[1], args[1:], os.Environ())
}

// held is a process that has come to a call that holds it.
type held struct {
	t        testing.TB
	listener int
	answer   [24]byte // struct seccomp_notif_resp
}

// hold waits until the agent, or its child, has come to such a call.
func hold(t testing.TB, agent int) *held {
	t.Helper()
	skipUnless(t, privileged(), "pidfd_getfd")
	pidfd, err := unix.PidfdOpen(agent, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	h := &held{t: t, listener: -1}
	eventually(t, "an agent with a listener", func() bool {
		h.listener, err = unix.PidfdGetfd(pidfd, listenerFD, 0)
		return err == nil
	})
	t.Cleanup(h.close)
	if !h.receive() {
		t.Fatal("the agent is gone")
	}
	return h
}

// receive waits for the next call; false when there is none to come.
func (h *held) receive() bool {
	fds := []unix.PollFd{{Fd: int32(h.listener), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n == 0 || fds[0].Revents&unix.POLLIN == 0:
			return false
		}
		var call [80]byte // struct seccomp_notif
		// Sound: the kernel writes as many bytes as there are.
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&call)))
		switch errno {
		case 0:
			copy(h.answer[:8], call[:8]) // id
			return true
		case unix.EINTR, unix.ENOENT:
		default:
			return false
		}
	}
}

// close gives up the listener: without one, calls that are held fail.
func (h *held) close() {
	if h.listener >= 0 {
		unix.Close(h.listener)
		h.listener = -1
	}
}

// release lets the call go, and all that come behind it.
func (h *held) release() {
	h.answer[20] = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	done := make(chan struct{})
	go func() {
		defer close(done)
		for more := true; more; more = h.receive() {
			// Sound: the kernel reads as many bytes as there are. It fails where
			// the process is gone only.
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(h.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&h.answer)))
		}
	}()
	h.t.Cleanup(func() { <-done })
}
