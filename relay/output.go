package relay

import (
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Sizes of the output queue, in bytes.
const (
	outputLimit = 256 << 10 // PTY output is not read while the queue holds more
	chunkMax    = 64 << 10  // of one :pty_out frame
	chunkMin    = 4 << 10   // what the kernel gives in one read(2) of a PTY
)

// Output is the queue of frames to the client. Control frames always go in:
// their number is bounded by the protocol. PTY output goes in while there is
// room.
type Output struct{ *Buffer }

// NewOutput makes an empty queue.
func NewOutput() Output { return Output{NewBuffer(outputLimit)} }

// Send puts the frame of the event into the queue.
func (o Output) Send(e proto.Event) {
	o.mem = proto.AppendEvent(o.mem[:o.end], e)
	o.end = len(o.mem)
	o.mem = o.mem[:cap(o.mem)]
}

// Full tells that no PTY output may come in for now.
func (o Output) Full() bool { return o.Room() < proto.PTYOutOverhead+chunkMin }

// FillFromPTY reads what the non-blocking PTY master has to give, at most one
// frame of it, straight into the queue. It returns how many bytes it read, and
// the error that ended the reading: nil (there may be more), unix.EAGAIN (not
// now), unix.EIO (nobody has the slave open now). No allocation in the steady
// state.
func (o Output) FillFromPTY(master int) (int, error) {
	b := o.Reserve(proto.PTYOutOverhead + chunkMax)
	room, n := b[proto.PTYOutOverhead:], 0
	var err error
	for n+chunkMin <= len(room) && err == nil {
		var got int
		got, err = unix.Read(master, room[n:])
		switch {
		case err == unix.EINTR:
			err = nil
		case err != nil:
		case got == 0:
			err = unix.EIO
		default:
			n += got
		}
	}
	if n > 0 {
		proto.PutPTYOutHeader(b, n)
		o.Commit(proto.PTYOutOverhead + n)
	}
	return n, err
}
