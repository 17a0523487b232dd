package client

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

func TestRequestArrives(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		cwd := "/tmp"
		want := proto.Request{
			Kind: proto.Enter, Argv: []string{"/bin/sh", "-c", ""}, Env: []string{"A=b"},
			Namespaces: []proto.Namespace{proto.User, proto.PID}, Target: 7,
			Cwd: &cwd, NoNewPrivs: true, Orphan: proto.OrphanPolicy{GraceMS: 1},
		}
		if err := s.Request(want); err != nil {
			t.Fatal(err)
		}
		b, err := p.hear()
		if err != nil {
			t.Fatal(err)
		}
		got, err := proto.DecodeRequest(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestCommandsArriveInOrder(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		size := proto.Winsize{Rows: 24, Cols: 80, XPix: 1, YPix: 65535}
		for _, send := range []func() error{
			func() error { return s.Winsize(size) },
			s.Proceed,
			func() error { return s.Signal(unix.SIGTERM) },
			func() error { return s.Send(proto.Command{Kind: proto.CapSetThread, Masks: [3]uint64{1, 2, 1 << 63}}) },
			s.Abort,
		} {
			if err := send(); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []proto.Command{
			{Kind: proto.PTYWinsize, Winsize: size},
			{Kind: proto.Proceed},
			{Kind: proto.Signal, Signal: 15},
			{Kind: proto.CapSetThread, Masks: [3]uint64{1, 2, 1 << 63}},
			{Kind: proto.Abort},
		} {
			if got := p.hearCommand(); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

func TestWriteSplits(t *testing.T) {
	s, p := connect(t, true, nil)
	input := make([]byte, 5*chunk+1)
	for i := range input {
		input[i] = byte(i / 7)
	}
	written := make(chan error)
	go func() {
		n, err := s.Write(input)
		if n != len(input) && err == nil {
			err = io.ErrShortWrite
		}
		written <- err
	}()
	var got []byte
	for range 6 {
		c := p.hearCommand()
		if c.Kind != proto.PTYIn || len(c.Data) > chunk {
			t.Fatalf("command %d of %d bytes", c.Kind, len(c.Data))
		}
		got = append(got, c.Data...)
	}
	if err := <-written; err != nil || !bytes.Equal(got, input) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n, err := s.Write(nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
}

// What several goroutines send must not get mixed up.
func TestFramesStayWhole(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		const senders, each = 4, 50
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for range each {
					if _, err := s.Write(bytes.Repeat([]byte{byte(i)}, 9000*(i+1))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var count [senders]int
		// What the last one sends is longer than a chunk and comes in two.
		for range (senders + 1) * each {
			b := p.hearCommand().Data
			if len(b) == 0 || !bytes.Equal(b, bytes.Repeat(b[:1], len(b))) {
				t.Fatal("mixed up")
			}
			count[b[0]] += len(b)
		}
		wg.Wait()
		for i, n := range count {
			if want := each * 9000 * (i + 1); n != want {
				t.Errorf("sender %d: %d bytes, want %d", i, n, want)
			}
		}
	})
}

func TestRawBytesAndFrames(t *testing.T) {
	s, p := connect(t, false, nil)
	if err := s.SendRaw([]byte{0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := s.SendRaw([]byte{0, 1, 'x'}); err != nil {
		t.Fatal(err)
	}
	if err := s.SendFrame([]byte("no term")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"x", "no term"} {
		if got, err := p.hear(); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	s, _ := connect(t, false, nil)
	long := make([]byte, proto.MaxCommand)
	for name, c := range map[string]struct {
		send func() error
		want error
	}{
		"request without argv": {func() error { return s.Request(proto.Request{}) }, proto.ErrMalformed},
		"unknown command":      {func() error { return s.Send(proto.Command{}) }, proto.ErrMalformed},
		"signal 65":            {func() error { return s.Signal(syscall.Signal(65)) }, proto.ErrMalformed},
		"filter over the limit": {func() error {
			return s.Send(proto.Command{Kind: proto.SeccompInstall, Data: long})
		}, etf.ErrTooBig},
	} {
		if err := c.send(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSendBehindTheEnd(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Session, *peer){
		"hang-up": func(_ *testing.T, s *Session, _ *peer) { s.Hangup() },
		"close": func(t *testing.T, s *Session, _ *peer) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		},
		"terminal frame": func(t *testing.T, s *Session, p *peer) {
			p.tell(proto.Event{Kind: proto.Exited})
			expect(t, s, proto.Event{Kind: proto.Exited})
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
				end(t, s, p)
				if err := s.Proceed(); err != ErrClosed {
					t.Errorf("proceed: %v", err)
				}
				p.expectHangup()
			})
		})
	}
}

func TestSendToAPeerThatHasLeft(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		p.leave()
		if err := s.Proceed(); !errors.Is(err, unix.EPIPE) {
			t.Errorf("proceed: %v", err)
		}
	})
}

// blocked sends until the channel is full, and returns where the last one will
// give its error.
func blocked(t *testing.T, s *Session) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		for {
			if _, err := s.Write(make([]byte, chunk)); err != nil {
				result <- err
				return
			}
		}
	}()
	return result
}

func TestHangupAndCloseEndASendThatIsBlocked(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, _ *peer) {
		result := blocked(t, s)
		s.Hangup()
		if err := <-result; err != ErrClosed {
			t.Errorf("send: %v", err)
		}
	})
}

func TestSendDeadline(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		result := make(chan error)
		go func() { result <- s.SendFrame(make([]byte, 4<<20)) }()
		if _, err := p.requests.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := s.SetSendDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("send: %v", err)
		}
		if err := s.SetSendDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		// The frame was cut, and one that follows must not become its rest.
		if err := s.Proceed(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("proceed: %v", err)
		}
		go s.Hangup()
		p.expectHangup()
	})
}

func TestTrace(t *testing.T) {
	var mu sync.Mutex
	var got []string
	s, p := connect(t, false, func(d Direction, frame string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(d)+" "+frame)
	})
	p.tell(every[0], proto.Event{Kind: proto.Exited, N: 1})
	if err := errors.Join(
		s.Request(proto.Request{Argv: []string{"/bin/true"}, Orphan: proto.DefaultOrphan}),
		s.Winsize(proto.Winsize{Rows: 24, Cols: 80}),
		s.SendRaw([]byte("raw")),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Proceed(); err != ErrClosed {
		t.Error(err)
	}
	want := []string{
		`> {:spawn, %{argv: ["/bin/true"]}}`,
		`> {:pty_winsize, {24, 80, 0, 0}}`,
		`> "raw"`,
		`< {:status, :spawned, 4194304}`,
		`< {:status, :exited, 1}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("trace:\n%q\nwant:\n%q", got, want)
	}
}
