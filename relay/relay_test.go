package relay

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// pipe is a non-blocking pipe with the smallest buffer that the kernel gives.
func pipe(t testing.TB) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func take(t *testing.T, fd, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	got, err := unix.Read(fd, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:got]
}

func TestPushTakesAllOrNothing(t *testing.T) {
	b := NewBuffer(10)
	for _, c := range []struct {
		n    int
		want bool
		room int
	}{{4, true, 6}, {7, false, 6}, {6, true, 0}, {1, false, 0}, {0, true, 0}} {
		if got := b.Push(make([]byte, c.n)); got != c.want || b.Room() != c.room {
			t.Errorf("%d bytes: %t, room %d; want %t, %d", c.n, got, b.Room(), c.want, c.room)
		}
	}
}

func TestBytesComeOutAsTheyWentIn(t *testing.T) {
	r, w := pipe(t)
	b := NewBuffer(1 << 20)
	var in, out bytes.Buffer
	blocked := 0
	for i := range 2000 {
		chunk := bytes.Repeat([]byte{byte(i)}, i%700)
		in.Write(chunk)
		if !b.Push(chunk) {
			t.Fatal("no room")
		}
		switch err := b.Flush(w); err {
		case nil:
		case unix.EAGAIN:
			blocked++
			out.Write(take(t, r, 10_000))
		default:
			t.Fatal(err)
		}
	}
	for b.Flush(w) == unix.EAGAIN {
		out.Write(take(t, r, 64<<10))
	}
	unix.Close(w)
	rest, err := io.ReadAll(os.NewFile(uintptr(r), "pipe"))
	if err != nil {
		t.Fatal(err)
	}
	out.Write(rest)
	if blocked == 0 {
		t.Error("the pipe was never full")
	}
	if !bytes.Equal(in.Bytes(), out.Bytes()) {
		t.Errorf("%d bytes in, %d out, or not the same", in.Len(), out.Len())
	}
}

func TestMemoryFollowsTheContent(t *testing.T) {
	b := NewBuffer(1 << 20)
	if cap(b.mem) != 0 {
		t.Error("an unused buffer has memory")
	}
	b.Push(make([]byte, 5000))
	if cap(b.mem) > 16<<10 {
		t.Errorf("%d bytes for 5000", cap(b.mem))
	}
	b.Drop()
	if b.Len() != 0 || cap(b.mem) != 0 {
		t.Error("Drop keeps something")
	}
}

func TestFlushIntoNothing(t *testing.T) {
	r, w := pipe(t)
	unix.Close(r)
	b := NewBuffer(10)
	b.Push([]byte("x"))
	if err := b.Flush(w); err != unix.EPIPE {
		t.Errorf("flush: %v", err)
	}
}

// A pipe stands for the master here: what matters is where the bytes go.
func TestFillFromPTY(t *testing.T) {
	r, w := pipe(t)
	o := NewOutput()
	o.Send(proto.Event{Kind: proto.Running})
	before := o.Len()
	text := bytes.Repeat([]byte("0123456789"), 1000)
	if _, err := unix.Write(w, text); err != nil {
		t.Fatal(err)
	}
	n, err := o.FillFromPTY(r)
	if n != len(text) || err != unix.EAGAIN {
		t.Fatalf("filled %d, %v", n, err)
	}
	frame := o.mem[o.start+before : o.end]
	e, err := proto.DecodeEvent(frame[4:])
	if err != nil || e.Kind != proto.PTYOut || !bytes.Equal(e.Data, text) {
		t.Errorf("%v, %v", e, err)
	}
	if n, err := o.FillFromPTY(r); n != 0 || err != unix.EAGAIN || o.Len() != before+len(frame) {
		t.Errorf("an empty PTY: %d, %v, queue of %d", n, err, o.Len())
	}
	unix.Close(w)
	if _, err := o.FillFromPTY(r); err != unix.EIO {
		t.Errorf("an ended PTY: %v", err)
	}
}

func TestOutputGetsFull(t *testing.T) {
	o := NewOutput()
	for i := 0; !o.Full(); i++ {
		o.Send(proto.Event{Kind: proto.Exited, N: i})
		if o.Len() > 2*outputLimit {
			t.Fatal("never full")
		}
	}
	n := o.Len()
	o.Send(proto.Event{Kind: proto.Exited})
	if o.Len() == n {
		t.Error("a control frame does not go into a full queue")
	}
}

// One chunk of PTY output, through the queue and out again.
func BenchmarkRelayChunk(b *testing.B) {
	r, w := pipe(b)
	outR, outW := pipe(b)
	o := NewOutput()
	chunk := make([]byte, 4096)
	sink := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unix.Write(w, chunk); err != nil {
			b.Fatal(err)
		}
		if _, err := o.FillFromPTY(r); err != unix.EAGAIN {
			b.Fatal(err)
		}
		if err := o.Flush(outW); err != nil {
			b.Fatal(err)
		}
		if _, err := unix.Read(outR, sink); err != nil {
			b.Fatal(err)
		}
	}
}
