package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// every is one of each event, in the order of a session that ends well.
var every = []proto.Event{
	{Kind: proto.Spawned, PID: 4194304},
	{Kind: proto.Ready, PID: 1},
	{Kind: proto.Running},
	{Kind: proto.PTYOut, Data: []byte("\x00\xff output\r\n")},
	{Kind: proto.PTYOut, Data: bytes.Repeat([]byte("x"), 64<<10)},
	{Kind: proto.PTYInDropped, N: 70000},
	{Kind: proto.Failed, Errno: 90, Stage: proto.StageCommandTooBig},
	{Kind: proto.Signaled, N: 9},
}

func expectError(t *testing.T, s *Session, want error) {
	t.Helper()
	// Twice: an end is an end.
	for range 2 {
		if e, err := s.Next(t.Context()); !errors.Is(err, want) {
			t.Fatalf("got %v, %v, want %v", e, err, want)
		}
	}
}

func TestEventsComeInOrder(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		go func() {
			p.tell(every...)
			p.expectHangup()
			p.leave()
		}()
		for _, e := range every {
			expect(t, s, e)
		}
		expectError(t, s, io.EOF)
	})
}

func TestFramesInPieces(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		var b []byte
		for _, e := range every {
			if len(e.Data) < 1000 {
				b = proto.AppendEvent(b, e)
			}
		}
		go func() {
			for i := range b {
				p.write(b[i : i+1])
			}
			p.leave()
		}()
		for _, e := range every {
			if len(e.Data) < 1000 {
				expect(t, s, e)
			}
		}
		expectError(t, s, io.EOF)
	})
}

// Frames of all sizes, so that they end everywhere in the read buffer.
func TestFramesOfAllSizes(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		var events []proto.Event
		for n := 1; n < proto.MaxCommand; n = n*3/2 + 1 {
			events = append(events,
				proto.Event{Kind: proto.PTYOut, Data: bytes.Repeat([]byte{byte(n)}, n)},
				proto.Event{Kind: proto.PTYInDropped, N: n})
		}
		longest := proto.MaxCommand - (proto.PTYOutOverhead - 4)
		events = append(events, proto.Event{Kind: proto.PTYOut, Data: make([]byte, longest)})
		go p.tell(events...)
		for _, e := range events {
			expect(t, s, e)
		}
	})
}

func TestWhatIsNoEvent(t *testing.T) {
	exited := proto.AppendEvent(nil, proto.Event{Kind: proto.Exited})
	for name, b := range map[string][]byte{
		"longer than the limit":     binary.BigEndian.AppendUint32(nil, maxEvent+1),
		"four gigabytes":            {0xff, 0xff, 0xff, 0xff},
		"empty":                     {0, 0, 0, 0},
		"no term":                   {0, 0, 0, 2, 131, 255},
		"another term":              {0, 0, 0, 3, 131, 97, 1},
		"behind the terminal frame": append(exited, exited...),
	} {
		t.Run(name, func(t *testing.T) {
			s, p := connect(t, true, nil)
			p.write(b)
			if bytes.HasPrefix(b, exited) {
				expect(t, s, proto.Event{Kind: proto.Exited})
			}
			expectError(t, s, ErrProtocol)
		})
	}
}

func TestMalformedFrameMatchesProto(t *testing.T) {
	s, p := connect(t, false, nil)
	p.write([]byte{0, 0, 0, 3, 131, 97, 1})
	expectError(t, s, proto.ErrMalformed)
}

func TestEndWithoutTerminalFrame(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		p.tell(every[0])
		p.write([]byte{0, 0, 1}) // part of a frame
		p.leave()
		expect(t, s, every[0])
		expectError(t, s, ErrAgentDied)
		var death *AgentDeath
		if _, err := s.Next(t.Context()); !errors.As(err, &death) || !death.Attached {
			t.Errorf("death: %v", err)
		}
	})
}

// A socket whose other end leaves with unread commands in it reports a reset, and
// only once what it has sent was read.
func TestSocketResetIsTheEnd(t *testing.T) {
	s, p := connect(t, true, nil)
	if err := s.Proceed(); err != nil {
		t.Fatal(err)
	}
	p.tell(proto.Event{Kind: proto.Exited, N: 3})
	p.leave()
	expect(t, s, proto.Event{Kind: proto.Exited, N: 3})
	expectError(t, s, io.EOF)
}

func TestContextEndsNextAndNothingIsLost(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		b := proto.AppendEvent(nil, proto.Event{Kind: proto.PTYOut, Data: []byte("whole")})
		p.write(b[:7])
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		for range 2 {
			if _, err := s.Next(ctx); err != context.DeadlineExceeded {
				t.Fatalf("next: %v", err)
			}
		}
		ctx, cancel = context.WithCancel(t.Context())
		stopped := make(chan error)
		go func() {
			_, err := s.Next(ctx)
			stopped <- err
		}()
		cancel()
		if err := <-stopped; err != context.Canceled {
			t.Fatalf("next: %v", err)
		}
		p.write(b[7:])
		expect(t, s, proto.Event{Kind: proto.PTYOut, Data: []byte("whole")})
		p.tell(every[0])
		if e, err := s.Next(context.Background()); err != nil || !same(e, every[0]) {
			t.Fatalf("next without a context: %v, %v", e, err)
		}
	})
}

// A context that is over long after its read must not end that of another.
func TestContextOfTheCallBeforeDoesNotMatter(t *testing.T) {
	s, p := connect(t, false, nil)
	for range 100 {
		p.tell(every[0])
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := s.Next(ctx); err != nil {
			t.Fatal(err)
		}
		go cancel()
		p.tell(every[1])
		expect(t, s, every[1])
	}
}

func TestCloseEndsNext(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, _ *peer) {
		stopped := make(chan error)
		go func() {
			_, err := s.Next(context.Background())
			stopped <- err
		}()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-stopped; err != ErrClosed {
			t.Errorf("next: %v", err)
		}
		expectError(t, s, ErrClosed)
	})
}

func TestOutputCostsNoAllocation(t *testing.T) {
	s, p := connect(t, false, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	frame := proto.AppendEvent(nil, proto.Event{Kind: proto.PTYOut, Data: make([]byte, 60<<10)})
	got := testing.AllocsPerRun(100, func() {
		p.write(frame)
		if e, err := s.Next(ctx); err != nil || len(e.Data) != 60<<10 {
			t.Fatalf("next: %v", err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for each frame", got)
	}
}

func TestAwaitReadyAndRunning(t *testing.T) {
	onEachTransport(t, func(t *testing.T, s *Session, p *peer) {
		p.tell(every[:3]...)
		host, inner, err := s.AwaitReady(t.Context())
		if err != nil || host != every[0].PID || inner != every[1].PID {
			t.Fatalf("ready: %d %d %v", host, inner, err)
		}
		if err := s.AwaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAwaitFails(t *testing.T) {
	failed := proto.Event{Kind: proto.Failed, Errno: int(unix.ENOENT), Stage: proto.StageExecve}
	t.Run("by an error", func(t *testing.T) {
		s, p := connect(t, false, nil)
		p.tell(failed)
		err := s.AwaitRunning(t.Context())
		var e *Error
		if !errors.Is(err, unix.ENOENT) || !errors.As(err, &e) || e.Stage != proto.StageExecve {
			t.Errorf("running: %v", err)
		}
		if got := err.Error(); got != "execve: no such file or directory" {
			t.Errorf("message %q", got)
		}
	})
	t.Run("by another end", func(t *testing.T) {
		s, p := connect(t, false, nil)
		p.tell(every[0], proto.Event{Kind: proto.Signaled, N: 31})
		_, _, err := s.AwaitReady(t.Context())
		var e *EndError
		if !errors.As(err, &e) || e.Result != (Result{proto.Signaled, 31}) {
			t.Errorf("ready: %v", err)
		}
	})
}

func TestWait(t *testing.T) {
	failed := proto.Event{Kind: proto.Failed, Errno: int(unix.EACCES), Stage: proto.StageExecve}
	tooBig := proto.Event{Kind: proto.Failed, Errno: int(unix.EMSGSIZE), Stage: proto.StageCommandTooBig}
	for _, c := range []struct {
		name   string
		events []proto.Event
		want   Result
		text   string
		err    error
	}{
		{"exit", []proto.Event{{Kind: proto.Exited, N: 7}}, Result{proto.Exited, 7}, "exited with status 7", nil},
		{"signal", []proto.Event{{Kind: proto.Signaled, N: 9}}, Result{proto.Signaled, 9}, "killed by signal 9 (killed)", nil},
		{"abort", []proto.Event{{Kind: proto.Aborted, PID: 1}}, Result{Kind: proto.Aborted}, "aborted", nil},
		{"error", []proto.Event{failed}, Result{}, "unknown", unix.EACCES},
		{
			"error of a running session",
			[]proto.Event{{Kind: proto.Running}, tooBig, {Kind: proto.Signaled, N: 9}},
			Result{proto.Signaled, 9},
			"killed by signal 9 (killed)", unix.EMSGSIZE,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, p := connect(t, false, nil)
			p.tell(c.events...)
			got, err := s.Wait(t.Context())
			if got != c.want || got.String() != c.text || !errors.Is(err, c.err) {
				t.Errorf("got %v, %v, want %v, %v", got, err, c.want, c.err)
			}
			p.expectHangup()
		})
	}
}

func TestWaitOutput(t *testing.T) {
	s, p := connect(t, true, nil)
	go p.tell(every...)
	var b bytes.Buffer
	if _, err := s.WaitOutput(t.Context(), &b); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("wait: %v", err)
	}
	if want := string(every[3].Data) + string(every[4].Data); b.String() != want {
		t.Errorf("%d bytes of output, want %d", b.Len(), len(want))
	}
}

func TestWaitOutputGivesTheErrorOfTheWriter(t *testing.T) {
	s, p := connect(t, false, nil)
	p.tell(every[3])
	r, w := io.Pipe()
	r.Close()
	if _, err := s.WaitOutput(t.Context(), w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("wait: %v", err)
	}
}

func BenchmarkNextOutput(b *testing.B) {
	ours, theirs, err := newChannel(false)
	if err != nil {
		b.Fatal(err)
	}
	s := newSession(ours, nil)
	frame := proto.AppendEvent(nil, proto.Event{Kind: proto.PTYOut, Data: make([]byte, 64<<10)})
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := theirs.events.Write(frame); err != nil {
				return // the session was closed
			}
		}
	}()
	for b.Loop() {
		if _, err := s.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Error(err)
	}
	<-done
	theirs.close()
}
