package etf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// feed gives the framer at most step bytes of a stream at a time, as read(2)
// would, and returns copies of the payloads that come out.
func feed(t *testing.T, f *Framer, stream []byte, step int) (payloads [][]byte, err error) {
	t.Helper()
	for len(stream) > 0 {
		free := f.Buffer()
		if len(free) == 0 {
			t.Fatal("Buffer has no space")
		}
		n := copy(free[:min(step, len(free))], stream)
		f.Filled(n)
		stream = stream[n:]
		for {
			payload, ok, err := f.Next()
			if err != nil {
				return payloads, err
			}
			if !ok {
				break
			}
			payloads = append(payloads, bytes.Clone(payload))
		}
	}
	return payloads, nil
}

// filled is n bytes of the value c.
func filled(n int, c byte) []byte { return bytes.Repeat([]byte{c}, n) }

func TestFramerSteps(t *testing.T) {
	want := [][]byte{
		[]byte("first"),
		{},
		filled(3000, 1),
		{},
		filled(firstBuffer-FrameHeader, 2),
		filled(firstBuffer, 3), filled(keepBuffer, 4), filled(10, 5), filled(200_000, 6), []byte("last"),
	}
	var stream []byte
	for _, p := range want {
		stream = AppendFrame(stream, p)
	}
	for _, step := range []int{1, 2, 3, 5, 7, 4095, 4096, 4097, 65536, len(stream)} {
		f := Framer{Limit: 200_000}
		got, err := feed(t, &f, stream, step)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if len(got) != len(want) {
			t.Fatalf("step %d: %d frames, want %d", step, len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("step %d: frame %d of %d bytes is another than that of %d bytes", step, i, len(got[i]), len(want[i]))
			}
		}
		if f.Pending() {
			t.Errorf("step %d: something is pending behind the last frame", step)
		}
	}
}

func TestFramerLimit(t *testing.T) {
	tests := []struct {
		name   string
		limit  int
		header uint32
		err    error
	}{
		{"at the limit", 100, 100, nil},
		{"over the limit", 100, 101, ErrTooBig},
		{"the most that can be announced", 4 << 20, 1<<32 - 1, ErrTooBig},
		{"no limit set", 0, 1, ErrTooBig},
		{"negative limit", -1, 1, ErrTooBig},
		{"empty frame, no limit set", 0, 0, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := Framer{Limit: test.limit}
			header := binary.BigEndian.AppendUint32(nil, test.header)
			if _, err := feed(t, &f, header[:3], 3); err != nil {
				t.Errorf("with three bytes of the length: %v", err)
			}
			for range 2 {
				if _, err := feed(t, &f, header[3:], 1); !errors.Is(err, test.err) {
					t.Errorf("got %v, want %v", err, test.err)
				}
				if test.err == nil {
					break
				}
				if _, ok, err := f.Next(); ok || !errors.Is(err, test.err) {
					t.Errorf("asked again: %v, %v, want %v", ok, err, test.err)
				}
			}
		})
	}
}

// TestFramerLimitChanges has the frames of two limits in one read.
func TestFramerLimitChanges(t *testing.T) {
	f := Framer{Limit: 20}
	stream := AppendFrame(nil, filled(20, 1))
	stream = AppendFrame(stream, filled(10, 2))
	stream = AppendFrame(stream, filled(11, 3))
	f.Filled(copy(f.Buffer(), stream))
	if p, ok, err := f.Next(); !ok || err != nil || len(p) != 20 {
		t.Fatalf("first frame: %d bytes, %v, %v", len(p), ok, err)
	}
	f.Limit = 10
	if p, ok, err := f.Next(); !ok || err != nil || len(p) != 10 {
		t.Fatalf("second frame: %d bytes, %v, %v", len(p), ok, err)
	}
	if _, ok, err := f.Next(); ok || !errors.Is(err, ErrTooBig) {
		t.Fatalf("third frame: %v, %v, want %v", ok, err, ErrTooBig)
	}
}

func TestFramerPending(t *testing.T) {
	stream := AppendFrame(nil, []byte("payload"))
	for cut := range len(stream) + 1 {
		f := Framer{Limit: 100}
		if _, err := feed(t, &f, stream[:cut], cut); err != nil {
			t.Fatal(err)
		}
		if want := 0 < cut && cut < len(stream); f.Pending() != want {
			t.Errorf("after %d of %d bytes: pending is %v", cut, len(stream), !want)
		}
	}
}

// TestFramerFrameStays has two frames of one read at hand at the same time, and
// appends to the first.
func TestFramerFrameStays(t *testing.T) {
	f := Framer{Limit: 100}
	f.Filled(copy(f.Buffer(), AppendFrame(AppendFrame(nil, []byte("one")), []byte("two"))))
	one, _, _ := f.Next()
	two, _, _ := f.Next()
	if _, ok, err := f.Next(); ok || err != nil {
		t.Fatalf("a third frame: %v, %v", ok, err)
	}
	_ = append(one, "overwritten"...)
	if string(one) != "one" || string(two) != "two" {
		t.Errorf("got %q and %q", one, two)
	}
}

// TestFramerMemory announces 2 GiB less one byte, within the limit, and sends a
// little.
func TestFramerMemory(t *testing.T) {
	f := Framer{Limit: 1<<31 - 1}
	sent := 0
	send := func(b []byte) {
		for len(b) > 0 {
			n := copy(f.Buffer(), b)
			f.Filled(n)
			b, sent = b[n:], sent+n
			if limit := max(firstBuffer, 2*sent); len(f.buf) > limit {
				t.Fatalf("%d bytes of buffer for %d that arrived", len(f.buf), sent)
			}
		}
	}
	send([]byte{0x7f, 0xff, 0xff, 0xff})
	for range 50 {
		send(filled(10_000, 1))
		if _, ok, err := f.Next(); ok || err != nil {
			t.Fatalf("a frame too early: %v, %v", ok, err)
		}
	}
}

// TestFramerGivesBack sends a request of 4 MiB and, in the same read as its end,
// the start of a command.
func TestFramerGivesBack(t *testing.T) {
	f := Framer{Limit: 4 << 20}
	stream := AppendFrame(nil, filled(4<<20, 7))
	got, err := feed(t, &f, stream, len(stream))
	if err != nil || len(got) != 1 || !bytes.Equal(got[0], filled(4<<20, 7)) {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	if len(f.buf) > firstBuffer {
		t.Errorf("%d bytes are kept behind a big frame", len(f.buf))
	}

	f = Framer{Limit: 4 << 20}
	rest := AppendFrame(nil, []byte("command"))
	stream = append(AppendFrame(nil, filled(100_000, 7)), rest[:6]...)
	f.buf = make([]byte, 200_000)
	f.Filled(copy(f.Buffer(), stream))
	big, ok, err := f.Next()
	if !ok || err != nil {
		t.Fatalf("the big frame: %v, %v", ok, err)
	}
	if _, ok, err = f.Next(); ok || err != nil {
		t.Fatalf("behind the big frame: %v, %v", ok, err)
	}
	if len(f.buf) > firstBuffer {
		t.Errorf("%d bytes are kept for %d", len(f.buf), 6)
	}
	if !bytes.Equal(big, filled(100_000, 7)) {
		t.Error("the big frame has changed")
	}
	got, err = feed(t, &f, rest[6:], 100)
	if err != nil || len(got) != 1 || string(got[0]) != "command" {
		t.Errorf("the command behind the big frame: %q, %v", got, err)
	}
}

// TestFramerAllocs is the steady state: frames of up to 64 KiB with their header,
// cut where it hurts.
func TestFramerAllocs(t *testing.T) {
	var stream []byte
	for _, n := range []int{1, 100, 5000, keepBuffer - FrameHeader, 0, 30_000} {
		stream = AppendFrame(stream, filled(n, 9))
	}
	f := Framer{Limit: keepBuffer}
	frames := 0
	pass := func() {
		for rest := stream; len(rest) > 0; {
			free := f.Buffer()
			n := copy(free[:min(len(free), 60_001)], rest)
			f.Filled(n)
			rest = rest[n:]
			for {
				_, ok, err := f.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				frames++
			}
		}
	}
	pass()
	if n := testing.AllocsPerRun(100, pass); n != 0 {
		t.Errorf("%v allocations for %d frames", n, 6)
	}
	if frames%6 != 0 {
		t.Errorf("%d frames, want a multiple of 6", frames)
	}
}

// TestFramerHandsOutNoOldBytes makes sure that Buffer's space does not reach over
// what has arrived.
func TestFramerHandsOutNoOldBytes(t *testing.T) {
	f := Framer{Limit: 100}
	f.Filled(copy(f.Buffer(), []byte{0, 0, 0, 9, 'a', 'b'}))
	copy(f.Buffer(), "XXXXXXXXX")
	f.Filled(copy(f.Buffer(), "cdefghi"))
	if p, ok, err := f.Next(); !ok || err != nil || string(p) != "abcdefghi" {
		t.Errorf("got %q, %v, %v", p, ok, err)
	}
}

func BenchmarkFramer(b *testing.B) {
	stream := AppendFrame(nil, filled(100, 1))
	f := Framer{Limit: 1 << 20}
	b.ReportAllocs()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		f.Filled(copy(f.Buffer(), stream))
		if _, ok, err := f.Next(); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
