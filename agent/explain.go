package agent

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/ns"
	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/stdio"
	"golang.org/x/sys/unix"
)

// Explain reads a request, and the checkpoint commands behind it up to :proceed
// or the end, from the descriptor, and prints the programs that the child would
// run. Nothing is cloned, opened or connected: descriptors are printed by what
// they are for. The returned code is that of a session with such frames.
func Explain(in int, w io.Writer) (int, error) {
	f := etf.Framer{Limit: proto.MaxRequest}
	frame, err := readFrame(in, &f)
	if err != nil {
		return int(exitMalformed), fmt.Errorf("no request on descriptor %d: %w", in, err)
	}
	r, err := proto.DecodeRequest(frame)
	if err != nil {
		return int(exitMalformed), err
	}
	f.Limit = proto.MaxCommand
	e := explanation{w: w, s: Session{state: parked}}
	e.s.world = &e
	e.begin(&r)
	for e.s.state == parked && e.err == nil {
		frame, err := readFrame(in, &f)
		switch {
		case err == io.EOF:
			e.s.handle(event{kind: onProceed})
			continue
		case err != nil:
			return int(exitChannel), err
		}
		e.command(frame)
	}
	return int(e.s.code), e.err
}

// readFrame waits for the next frame; io.EOF where there is none.
func readFrame(fd int, f *etf.Framer) ([]byte, error) {
	for {
		frame, ok, err := f.Next()
		if ok || err != nil {
			return frame, err
		}
		n, err := unix.Read(fd, f.Buffer())
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, fmt.Errorf("read: %w", err)
		case n == 0 && f.Pending():
			return nil, io.ErrUnexpectedEOF
		case n == 0:
			return nil, io.EOF
		default:
			f.Filled(n)
		}
	}
}

// explanation is a world in which programs are printed instead of run.
type explanation struct {
	w       io.Writer
	s       Session
	request *proto.Request
	io      *stdio.Stdio
	err     error
}

func (e *explanation) print(p child.Program) {
	if _, err := fmt.Fprint(e.w, p); err != nil {
		e.err = errors.Join(e.err, err)
	}
}

func (e *explanation) begin(r *proto.Request) {
	e.request, e.io = r, stdio.Sketch(r.Stdio)
	e.s.request = r
	closing := []child.Op{{
		Call:  child.CloseRange,
		Args:  []child.Arg{child.Named("<all others>", 0), child.Named("<all others>", 0), child.Int(0)},
		Stage: string(proto.StageClone),
	}}
	plan := spawnPlan(closing, ns.Create(r.Namespaces))
	if r.Kind == proto.Enter {
		plan = enterPlan(closing, ns.Sketch(r.Namespaces))
	} else {
		fmt.Fprintf(e.w, "clone3(%s)\n", ns.FlagNames(plan.flags))
	}
	for _, p := range plan.programs {
		e.print(p)
	}
}

// command handles one frame as a session at the checkpoint does.
func (e *explanation) command(frame []byte) {
	c, err := proto.DecodeCommand(frame)
	if err != nil {
		e.s.handle(event{kind: onMalformed, err: err})
		return
	}
	e.s.handle(event{kind: kinds[c.Kind], command: c})
}

func (e *explanation) run(p child.Program) error {
	e.print(p)
	e.s.handle(event{kind: onReported})
	return e.err
}

func (e *explanation) execute(filters [][]byte) error {
	first := preparation(e.request, e.io, child.Named("<commands>", -1))
	e.print(lastProgram(first, filters, execution(e.request)))
	return e.err
}

func (e *explanation) signal(unix.Signal) {
	if e.s.last.Kind != 0 {
		_, err := fmt.Fprintln(e.w, e.s.last)
		e.err = errors.Join(e.err, err)
	}
}

func (e *explanation) ids() (host, inner int) { return 0, 0 }

// What follows only happens to a session that has a child.

func (e *explanation) start(*proto.Request) (int, error) { return 0, unix.ENOSYS }
func (e *explanation) advance() (bool, error)            { return true, nil }
func (e *explanation) executed() (bool, error)           { return false, nil }
func (e *explanation) resize(proto.Winsize)              {}
func (e *explanation) input([]byte) bool                 { return true }
func (e *explanation) finish()                           {}
func (e *explanation) send(proto.Event)                  {}
func (e *explanation) arm(time.Duration)                 {}
func (e *explanation) disarm()                           {}
func (e *explanation) hangUp()                           {}
func (e *explanation) unread() bool                      { return false }
func (e *explanation) complain(string)                   {}
