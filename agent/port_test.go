package agent

import (
	"testing"

	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// wires is a port with the client's ends of its two pipes.
type wires struct {
	*port
	loop           *loop
	client, reader int // fd 3 is written to by client, fd 4 read from by reader
}

func newWires(t *testing.T) *wires {
	t.Helper()
	var in, out [2]int
	for _, p := range []*[2]int{&in, &out} {
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
	}
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPort(l, in[0], out[1])
	if err != nil {
		t.Fatal(err)
	}
	w := &wires{port: p, loop: l, client: in[1], reader: out[0]}
	t.Cleanup(func() {
		w.close(l)
		l.close()
		for _, fd := range []int{w.client, w.reader} {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	})
	return w
}

func (w *wires) write(t *testing.T, b []byte) {
	t.Helper()
	if n, err := unix.Write(w.client, b); n != len(b) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	w.poll(t)
}

// poll has the loop look at the descriptors without waiting.
func (w *wires) poll(t *testing.T) {
	t.Helper()
	if err := w.loop.wait(true); err != nil {
		t.Fatal(err)
	}
}

func frame(t *testing.T, c proto.Command) []byte {
	t.Helper()
	payload, err := proto.EncodeCommand(c)
	if err != nil {
		t.Fatal(err)
	}
	return etf.AppendFrame(nil, payload)
}

func TestPortReadsFramesBeforeTheHangup(t *testing.T) {
	w := newWires(t)
	two := append(frame(t, proto.Command{Kind: proto.Proceed}), frame(t, proto.Command{Kind: proto.Signal, Signal: 9})...)
	w.write(t, two)
	unix.Close(w.client)
	w.client = -1
	w.poll(t)
	if !w.suspect {
		t.Error("the hang-up was not seen")
	}
	for _, want := range []proto.CommandKind{proto.Proceed, proto.Signal} {
		if w.hungUp() {
			t.Errorf("hung up before %d", want)
		}
		b, err := w.next()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := proto.DecodeCommand(b); err != nil || c.Kind != want {
			t.Errorf("%v, %v; want %d", c, err, want)
		}
	}
	if b, err := w.next(); b != nil || err != nil || !w.hungUp() {
		t.Errorf("behind the last: %v, %v, hung up %t", b, err, w.hungUp())
	}
}

// A client that does not see the terminal frame yet may be writing: after fd 4 is
// closed nothing but the end of fd 3 ends the wait.
func TestPortDrainsAfterItClosed(t *testing.T) {
	for name, broken := range map[string]bool{"reader there": false, "reader gone": true} {
		t.Run(name, func(t *testing.T) {
			w := newWires(t)
			if broken {
				unix.Close(w.reader)
				w.reader = -1
				w.poll(t)
				w.discard()
				if !w.hungUp() {
					t.Error("a reader that is gone is no hang-up")
				}
			}
			w.closeOut(w.loop)
			w.discard()
			if w.hungUp() {
				t.Error("hung up while the client can still write")
			}
			w.write(t, make([]byte, 10_000))
			for w.discard() {
			}
			if w.hungUp() || w.readable {
				t.Errorf("hung up %t, readable %t", w.hungUp(), w.readable)
			}
			unix.Close(w.client)
			w.client = -1
			w.poll(t)
			w.discard()
			if !w.hungUp() {
				t.Error("the end of fd 3 is no hang-up")
			}
		})
	}
}

func TestPortSumsUpWhatIsDropped(t *testing.T) {
	w := newWires(t)
	for !w.queue.Full() {
		w.send(proto.Event{Kind: proto.PTYOut, Data: make([]byte, 10_000)})
	}
	full := w.queue.Len()
	for range 1000 {
		w.send(proto.Event{Kind: proto.PTYInDropped, N: 3})
	}
	if w.queue.Len() != full {
		t.Errorf("the queue grew from %d to %d bytes", full, w.queue.Len())
	}
	w.send(proto.Event{Kind: proto.Exited, N: 7})
	var got []string
	var f etf.Framer
	f.Limit = proto.MaxCommand
	for len(got) < 2 {
		w.flush()
		n, err := unix.Read(w.reader, f.Buffer())
		if err != nil {
			t.Fatal(err)
		}
		w.poll(t)
		f.Filled(n)
		for {
			b, ok, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			e, err := proto.DecodeEvent(b)
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != proto.PTYOut {
				got = append(got, e.String())
			}
		}
	}
	if got[0] != "{:pty_in_dropped, 3000}" || got[1] != "{:status, :exited, 7}" {
		t.Errorf("got %v", got)
	}
}

func TestPortTooBig(t *testing.T) {
	w := newWires(t)
	w.write(t, []byte{0x00, 0x40, 0x00, 0x01}) // 4 MiB and one byte
	if _, err := w.next(); err != etf.ErrTooBig {
		t.Errorf("a request over the limit: %v", err)
	}
}

// What the client has not read is known also behind the close, over either kind of
// channel, and does not keep the client from seeing the end.
func TestUnread(t *testing.T) {
	pipe := func() (client, agent int) {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		return p[0], p[1]
	}
	socket := func() (client, agent int) {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return p[0], p[1]
	}
	for name, open := range map[string]func() (int, int){"pipe": pipe, "socket": socket} {
		t.Run(name, func(t *testing.T) {
			client, agent := open()
			defer unix.Close(client)
			if _, err := unix.Write(agent, []byte("frame")); err != nil {
				t.Fatal(err)
			}
			u := closeWriting(agent)
			defer u.close()
			if !u.some() {
				t.Error("nothing is unread before it is read")
			}
			var b [10]byte
			if n, err := unix.Read(client, b[:]); n != 5 || err != nil {
				t.Fatalf("read: %d, %v", n, err)
			}
			if u.some() {
				t.Error("something is unread after it was read")
			}
			if n, err := unix.Read(client, b[:]); n != 0 || err != nil {
				t.Errorf("no end: %d, %v", n, err)
			}
		})
	}
	if (unread{}).some() {
		t.Error("who knows nothing says that there is something")
	}
}
