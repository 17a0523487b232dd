package agent

import (
	"errors"
	"io"
	"time"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/ns"
	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/relay"
	"github.com/linxprocess/linx-process/stdio"
	"golang.org/x/sys/unix"
)

// ptyInputLimit is how many bytes of :pty_in wait for the workload to read.
const ptyInputLimit = 1 << 20

// workload is the real world of a session: the child and all descriptors that
// lead to it.
type workload struct {
	loop       *loop
	port       *port
	session    *Session
	closeRange bool // close_range(2) is there

	request  *proto.Request
	io       *stdio.Stdio
	target   *ns.Target // enter only, until it has been joined
	process  *child.Process
	upcoming []child.Program // up to the checkpoint
	forks    bool            // the workload is to come from a second clone
	first    int             // pidfd of the child that cloned the workload and exits; -1: none

	preparation []child.Op // the last program: its beginning
	execution   child.Op   // and its end

	ptyInput    *relay.Buffer
	ptyReadable bool
	ptyWritable bool
}

func (w *workload) start(r *proto.Request) (pid int, err error) {
	w.request = r
	if w.io, err = stdio.Open(r.Stdio); err != nil {
		return 0, err
	}
	if r.Kind == proto.Enter {
		if w.target, err = ns.Pin(r.Target, r.Namespaces); err != nil {
			return 0, err
		}
	}
	w.execution = execution(r)
	if w.process, err = child.New(space(r, w.execution)); err != nil {
		return 0, proto.FailedAt(proto.StagePipe2, "pipe2", "", err)
	}
	// Built before the clone: what is written after it takes a copy of its page.
	w.preparation = preparation(r, w.io, child.Int(w.process.CommandFD))
	if err := w.clone(); err != nil {
		return 0, err
	}
	w.io.CloseChildSide()
	if err := w.watch(); err != nil {
		return 0, err
	}
	if w.forks {
		return 0, nil
	}
	return w.process.PID, nil
}

// clone starts the child. Without clone3(2) a time namespace takes more steps.
func (w *workload) clone() error {
	closing, err := w.closing()
	if err != nil {
		return err
	}
	plan := w.plan(closing)
	err = w.process.Start(plan.flags, plan.programs[0])
	if err == unix.ENOSYS && w.target == nil {
		plan = spawnPlan(closing, ns.CreateWithoutClone3(w.request.Namespaces))
		err = w.process.Start(plan.flags, plan.programs[0])
	}
	w.upcoming, w.forks = plan.programs[1:], plan.forks()
	return err
}

func (w *workload) plan(closing []child.Op) plan {
	if w.target != nil {
		return enterPlan(closing, w.target)
	}
	return spawnPlan(closing, ns.Create(w.request.Namespaces))
}

// closing are the ops that leave the parked child with what it needs.
func (w *workload) closing() ([]child.Op, error) {
	keep := append(w.io.FDs(), w.process.CommandFD, w.process.ReportFD)
	if w.target != nil {
		keep = append(keep, w.target.FDs()...)
	}
	if w.closeRange {
		return closeAllBut(keep), nil
	}
	fds, err := openDescriptors()
	return closeEach(fds, keep), err
}

func (w *workload) watch() error {
	if err := w.loop.watch(w.process.Reports(), unix.EPOLLIN, func(uint32) { w.readReport() }); err != nil {
		return err
	}
	if err := w.watchExit(); err != nil {
		return err
	}
	if master := w.io.Master(); master >= 0 {
		return w.loop.watch(master, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET, func(events uint32) {
			w.ptyReadable = w.ptyReadable || events&(unix.EPOLLIN|unix.EPOLLHUP) != 0
			w.ptyWritable = w.ptyWritable || events&unix.EPOLLOUT != 0
		})
	}
	return nil
}

func (w *workload) watchExit() error {
	return w.loop.watch(w.process.PIDFD, unix.EPOLLIN, func(uint32) { w.reap() })
}

func (w *workload) advance() (done bool, err error) {
	if _, err := w.adopt(); err != nil {
		return false, err
	}
	if len(w.upcoming) == 0 {
		w.closeTarget()
		return true, nil
	}
	next := w.upcoming[0]
	w.upcoming = w.upcoming[1:]
	return false, w.process.Run(next)
}

// adopt makes the second child the workload, once there is one. Its id comes
// from a child that a hostile process might have got at, so it has to be a child
// of ours; and that has not been reaped, so the id is nobody else's.
func (w *workload) adopt() (adopted bool, err error) {
	if !w.forks {
		return false, nil
	}
	pid := int(w.process.Word(wordHostPID))
	if pid == 0 {
		return false, nil
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		return false, proto.FailedAt(proto.StageFork, "waitid", "", err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false, proto.FailedAt(proto.StageFork, "pidfd_open", "", err)
	}
	w.forks = false
	w.loop.forget(w.process.PIDFD)
	w.first = w.process.Replace(pid, pidfd)
	if err := w.loop.watch(w.first, unix.EPOLLIN, func(uint32) { w.reapFirst() }); err != nil {
		return true, err
	}
	return true, w.watchExit()
}

func (w *workload) closeTarget() {
	if w.target != nil {
		w.target.Close()
		w.target = nil
	}
}

func (w *workload) ids() (host, inner int) {
	return w.process.PID, int(w.process.Word(wordInnerPID))
}

func (w *workload) run(p child.Program) error { return w.process.Run(p) }

func (w *workload) execute(filters [][]byte) error {
	return w.process.Run(lastProgram(w.preparation, filters, w.execution))
}

func (w *workload) executed() (bool, error) {
	return hasExecuted(w.process.PID)
}

// settle gives back what was for the child before it executed. It is not done
// there and then, where the client waits to hear of it.
func (w *workload) settle() {
	if w.session.state == running {
		w.process.Release()
		w.preparation, w.execution = nil, child.Op{}
	}
}

func (w *workload) signal(n unix.Signal) {
	// ESRCH: it has ended, and the exit is on its way.
	_ = unix.PidfdSendSignal(w.process.PIDFD, n, nil, 0)
}

func (w *workload) resize(size proto.Winsize) {
	// EFAULT and ENOTTY cannot be for a master of ours.
	_ = w.io.SetWinsize(size)
}

func (w *workload) input(data []byte) bool {
	return w.io.Master() < 0 || w.ptyInput.Push(data)
}

func (w *workload) send(e proto.Event) { w.port.send(e) }

func (w *workload) arm(d time.Duration) { w.loop.deadline = time.Now().Add(d) }

func (w *workload) disarm() { w.loop.deadline = time.Time{} }

func (w *workload) hangUp() { w.port.closeOut(w.loop) }

func (w *workload) unread() bool { return w.port.unread.some() }

func (w *workload) complain(text string) { complain(text) }

// readReport takes what the child has to say, if there is something.
func (w *workload) readReport() (something bool) {
	if w.process.Reports() < 0 {
		return false
	}
	err := w.process.Report()
	switch {
	case err == unix.EAGAIN:
		return false
	case err == nil:
		w.session.handle(event{kind: onReported})
		return true
	}
	w.lastReport(err)
	return false
}

// lastReport handles a report behind which nothing comes.
func (w *workload) lastReport(err error) {
	w.loop.forget(w.process.Reports())
	var failure *child.Failure
	switch {
	case errors.As(err, &failure):
		w.session.handle(event{kind: onFailed, err: err})
	case err == io.EOF:
		w.session.handle(event{kind: onEnded})
	default:
		w.session.handle(event{kind: onGarbled, err: err})
	}
}

// reap learns how the child ended, once what it reported before has been
// handled. Exits are learned from the pidfd, not from SIGCHLD: the Go runtime
// keeps that unblocked on threads of its own, so a signalfd(2) for it gets
// nothing, and an agent that was started with SIGCHLD ignored would have nothing
// to wait for.
func (w *workload) reap() {
	ended := w.process.PIDFD
	for w.readReport() {
	}
	// The first of two children is gone as soon as there is a second, which may
	// have nothing to report yet.
	adopted, err := w.adopt()
	if err != nil {
		w.session.handle(event{kind: onFailed, err: err})
	}
	if adopted && w.session.state == ending {
		w.signal(unix.SIGKILL)
	}
	if w.process.PIDFD != ended {
		return
	}
	// The pipe may not have ended: the first of two children holds it too, and may
	// be slower to go.
	if w.process.Reports() >= 0 {
		w.lastReport(w.process.LastReport())
	}
	status, err := child.Reap(w.process.PIDFD)
	if err == unix.EAGAIN {
		return
	}
	w.loop.forget(w.process.PIDFD)
	w.session.handle(event{kind: onExit, err: err, status: status})
}

func (w *workload) reapFirst() {
	if _, err := child.Reap(w.first); err != unix.EAGAIN {
		w.loop.forget(w.first)
		unix.Close(w.first)
		w.first = -1
	}
}

// relay moves bytes between the PTY and the frames, one frame's worth of output
// at most; busy where there may be more to do at once. While the queue is full
// the PTY is not read, and the workload feels it.
func (w *workload) relay() (busy bool) {
	if w.io == nil || w.io.Master() < 0 || w.session.state < running {
		return false
	}
	if w.ptyWritable && w.ptyInput.Len() > 0 {
		switch err := w.ptyInput.Flush(w.io.Master()); err {
		case nil:
		case unix.EAGAIN:
			w.ptyWritable = false
		default:
			w.ptyInput.Drop()
		}
	}
	if w.ptyReadable && !w.port.queue.Full() {
		// EIO: nobody has the slave open. Somebody may open it again, and the
		// next edge tells.
		_, err := w.port.queue.FillFromPTY(w.io.Master())
		w.ptyReadable = err == nil
	}
	return w.ptyReadable && !w.port.queue.Full()
}

// finalOutput bounds what is read from the PTY once the workload has been
// reaped, in bytes: more than the kernel holds of what it wrote, so that all of
// that is there; a grandchild that goes on writing is not waited for.
const finalOutput = 256 << 10

func (w *workload) finish() {
	if master := w.io.Master(); master >= 0 {
		for total := 0; total < finalOutput; {
			n, err := w.port.queue.FillFromPTY(master)
			if err != nil {
				break
			}
			total += n
		}
		w.loop.forget(master)
		w.io.CloseMaster()
	}
}

// close gives back what is left. A workload that lingers is left alone.
func (w *workload) close() {
	w.closeTarget()
	if w.first >= 0 {
		_ = unix.PidfdSendSignal(w.first, unix.SIGKILL, nil, 0)
		_ = unix.Waitid(unix.P_PIDFD, w.first, nil, unix.WEXITED, nil)
		unix.Close(w.first)
		w.first = -1
	}
	if w.process != nil {
		w.process.Close()
	}
	if w.io != nil {
		w.io.CloseChildSide()
		w.io.CloseMaster()
	}
}
