package client

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// leaving is how long an agent that has sent its terminal frame may take to exit.
const leaving = time.Second

// agent is the process. One goroutine waits for its end and reaps it; it sleeps in
// the runtime's poller, on a pidfd, and holds no thread.
type agent struct {
	process *os.Process
	pidfd   *os.File // ready to read once the process has exited

	exited chan struct{} // closed when it is reaped; the fields below are there then
	status syscall.WaitStatus
	err    error
}

// startAgent starts the agent with the two ends of the channel, which stay the
// caller's, as descriptors 3 and 4, and kills it when ctx is done before it has
// exited.
func startAgent(ctx context.Context, o Options, c channel) (*agent, error) {
	cmd := exec.Command(o.Path)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = o.Env, o.Dir, o.SysProcAttr
	cmd.ExtraFiles = append([]*os.File{c.requests, c.events}, o.ExtraFiles...)
	// A nil *os.File would be an io.Reader that is not nil.
	if o.Stdin != nil {
		cmd.Stdin = o.Stdin
	}
	if o.Stdout != nil {
		cmd.Stdout = o.Stdout
	}
	if o.Stderr != nil {
		cmd.Stderr = o.Stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	a := &agent{process: cmd.Process, exited: make(chan struct{})}
	pidfd, err := pollablePIDFD(a.process.Pid)
	if err != nil {
		a.kill()
		_, _ = a.process.Wait() // the error that counts is the other one
		return nil, err
	}
	a.pidfd = pidfd
	stop := context.AfterFunc(ctx, a.kill)
	go func() {
		a.watch()
		stop()
	}()
	return a, nil
}

// pollablePIDFD opens a child that was not waited for. Linux 5.3.
func pollablePIDFD(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("pidfd: %w", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

func (a *agent) watch() {
	defer close(a.exited)
	defer a.pidfd.Close()
	if a.err = a.sleep(); a.err != nil {
		return
	}
	state, err := a.process.Wait()
	if err != nil {
		a.err = fmt.Errorf("wait for the agent: %w", err)
		return
	}
	a.status = state.Sys().(syscall.WaitStatus)
}

// sleep returns when the process has exited.
func (a *agent) sleep() error {
	raw, err := a.pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n > 0 && err == nil
		})
	}
	if err != nil {
		return fmt.Errorf("wait for the agent: %w", err)
	}
	return nil
}

// kill is SIGKILL, nothing to a process that is gone.
func (a *agent) kill() { _ = a.process.Kill() }

func (a *agent) wait(ctx context.Context) (syscall.WaitStatus, error) {
	select {
	case <-a.exited:
		return a.status, a.err
	default:
	}
	select {
	case <-a.exited:
		return a.status, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// reap waits for an agent that is about to exit, and kills it where it does not.
func (a *agent) reap() error {
	t := time.NewTimer(leaving)
	defer t.Stop()
	select {
	case <-a.exited:
	case <-t.C:
		a.kill()
		<-a.exited
	}
	return a.err
}
