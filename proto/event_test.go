package proto

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/etf"
)

func TestDecodeEventRefuses(t *testing.T) {
	status := func(vs ...etf.Value) etf.Value { return append(etf.Tuple{etf.Atom("status")}, vs...) }
	n := etf.Int(1)
	tests := map[string]etf.Value{
		"an atom":                  etf.Atom("status"),
		"a 1-tuple":                status(),
		"unknown":                  etf.Tuple{etf.Atom("stdout"), etf.Binary("")},
		"unknown status":           status(etf.Atom("parked"), n),
		"running with a pid":       status(etf.Atom("running"), n),
		"spawned without a pid":    status(etf.Atom("spawned")),
		"spawned −1":               status(etf.Atom("spawned"), etf.Int(-1)),
		"spawned 2³¹":              status(etf.Atom("spawned"), etf.Int(1<<31)),
		"exited as an atom":        status(etf.Atom("exited"), etf.Atom("normal")),
		"four elements":            status(etf.Atom("exited"), n, n),
		"output of three":          etf.Tuple{etf.Atom("pty_out"), etf.Binary(""), n},
		"output an atom":           etf.Tuple{etf.Atom("pty_out"), etf.Atom("eof")},
		"dropped a binary":         etf.Tuple{etf.Atom("pty_in_dropped"), etf.Binary("")},
		"error without a stage":    etf.Tuple{etf.Atom("error"), n},
		"error, stage a string":    etf.Tuple{etf.Atom("error"), n, etf.Binary("clone")},
		"error, errno as an atom":  etf.Tuple{etf.Atom("error"), etf.Atom("eperm"), etf.Atom("clone")},
		"error, a negative number": etf.Tuple{etf.Atom("error"), etf.Int(-1), etf.Atom("clone")},
	}
	for name, v := range tests {
		if got, err := DecodeEvent(encode(t, v)); !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(got, Event{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestAppendEvent appends to what is there, and nothing for what is no event.
func TestAppendEvent(t *testing.T) {
	before := []byte("before")
	got := AppendEvent(bytes.Clone(before), Event{Kind: Running})
	if !bytes.HasPrefix(got, append(before, 0, 0, 0, byte(len(got)-10), 131)) {
		t.Errorf("% x", got)
	}
	for _, e := range []Event{{}, {Kind: Failed + 1}, {Kind: Failed, Stage: Stage(strings.Repeat("s", 256))}} {
		if got := AppendEvent(before, e); !bytes.Equal(got, before) {
			t.Errorf("%v: % x", e, got)
		}
	}
}

// TestPTYOutHeader holds the header against what erlang_go encodes.
func TestPTYOutHeader(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 65535, 65536, 1 << 20} {
		data := bytes.Repeat([]byte{'x'}, n)
		want := etf.AppendFrame(nil, encode(t, etf.Tuple{etf.Atom("pty_out"), etf.Binary(data)}))
		got := make([]byte, PTYOutOverhead+n)
		copy(got[PTYOutOverhead:], data)
		PutPTYOutHeader(got, n)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: header % x, want % x", n, got[:PTYOutOverhead], want[:PTYOutOverhead])
		}
		if again := AppendEvent(nil, Event{Kind: PTYOut, Data: data}); !bytes.Equal(again, want) {
			t.Errorf("%d bytes: AppendEvent has another frame", n)
		}
	}
	frame := make([]byte, PTYOutOverhead+100)
	if n := testing.AllocsPerRun(10, func() { PutPTYOutHeader(frame, 100) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	dst := make([]byte, 0, 1024)
	e := Event{Kind: PTYOut, Data: frame}
	if n := testing.AllocsPerRun(10, func() { dst = AppendEvent(dst[:0], e) }); n != 0 {
		t.Errorf("AppendEvent: %v allocations", n)
	}
}

func TestTerminal(t *testing.T) {
	for k := Spawned; k <= Failed; k++ {
		want := k == Exited || k == Signaled || k == Aborted || k == Failed
		if k.Terminal() != want {
			t.Errorf("%v: terminal is %v", Event{Kind: k}, !want)
		}
	}
}

func ExampleEvent() {
	for _, e := range []Event{
		{Kind: Spawned, PID: 4711},
		{Kind: Ready, PID: 1},
		{Kind: Running},
		{Kind: PTYOut, Data: []byte("\x1b[1mhi\r\n")},
		{Kind: PTYOut, Data: make([]byte, 200_000)},
		{Kind: PTYInDropped, N: 4096},
		{Kind: Failed, Errno: 22, Stage: StageMalformedRequest},
		{Kind: Exited, N: 3},
		{},
	} {
		fmt.Println(e)
	}
	// Output:
	// {:status, :spawned, 4711}
	// {:status, :ready, 1}
	// {:status, :running}
	// {:pty_out, "\e[1mhi\r\n"}
	// {:pty_out, <<200000 bytes>>}
	// {:pty_in_dropped, 4096}
	// {:error, 22, :malformed_request}
	// {:status, :exited, 3}
	// Event(0)
}

// FuzzEvent: what decodes encodes, and decodes to the same again.
func FuzzEvent(f *testing.F) {
	seeds(f, "events")
	f.Fuzz(func(t *testing.T, frame []byte) {
		e, err := DecodeEvent(frame)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%v", err)
			}
			return
		}
		again := AppendEvent(nil, e)
		if len(again) < etf.FrameHeader {
			if len(e.Stage) <= 255 {
				t.Fatalf("%v: nothing is encoded", e)
			}
			return
		}
		got, err := DecodeEvent(again[etf.FrameHeader:])
		if len(got.Data) == 0 && len(e.Data) == 0 { // of another shape
			got.Data, e.Data = nil, nil
		}
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%v became %v, %v", e, got, err)
		}
	})
}

func BenchmarkAppendEvent(b *testing.B) {
	for name, e := range map[string]Event{
		"spawned": {Kind: Spawned, PID: 4711},
		"exited":  {Kind: Exited},
		"failed":  {Kind: Failed, Errno: 2, Stage: StageExecve},
		"pty_out": {Kind: PTYOut, Data: make([]byte, 4096)},
	} {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, 0, 8192)
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendEvent(dst[:0], e)
			}
		})
	}
}

func BenchmarkPutPTYOutHeader(b *testing.B) {
	dst := make([]byte, PTYOutOverhead)
	b.ReportAllocs()
	for b.Loop() {
		PutPTYOutHeader(dst, 4096)
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	frame := AppendEvent(nil, Event{Kind: Spawned, PID: 4711})[etf.FrameHeader:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEvent(frame); err != nil {
			b.Fatal(err)
		}
	}
}
