package proto

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/etf"
)

func TestDecodeCommandRefuses(t *testing.T) {
	command := func(name string, args ...etf.Value) etf.Value {
		return append(etf.Tuple{etf.Atom(name)}, args...)
	}
	winsize := func(sizes ...etf.Value) etf.Value { return command("pty_winsize", etf.Tuple(sizes)) }
	n := etf.Int(1)
	tests := []struct {
		name  string
		value etf.Value
		says  string
	}{
		{"unknown atom", etf.Atom("go"), "unknown"},
		{"unknown tuple", command("go", n), "unknown"},
		{"a string", etf.Binary("proceed"), "unknown"},
		{"an integer", n, "unknown"},
		{"an empty tuple", etf.Tuple{}, "0 elements"},
		{"a list", etf.List{etf.Atom("proceed")}, "unknown"},
		{"a name as a string", etf.Tuple{etf.Binary("signal"), n}, "unknown"},
		{"{:proceed}", command("proceed"), "1 elements"},
		{"{:proceed, 1}", command("proceed", n), ":proceed"},
		{"{:abort}", command("abort"), "1 elements"},
		{":signal", etf.Atom("signal"), "{:signal,"},
		{":pty_in", etf.Atom("pty_in"), "{:pty_in,"},
		{"{:signal, 1, 1}", command("signal", n, n), "{:signal,"},
		{"five elements", command("signal", n, n, n, n), "5 elements"},
		{"signal 0", command("signal", etf.Int(0)), "1 … 64"},
		{"signal 65", command("signal", etf.Int(65)), "1 … 64"},
		{"signal −1", command("signal", etf.Int(-1)), "1 … 64"},
		{"signal 2⁶³+1", command("signal", etf.Mask(1<<63+1)), "1 … 64"},
		{"signal as an atom", command("signal", etf.Atom("term")), "1 … 64"},
		{"mask −1", command("cap_drop_bounding", etf.Int(-1)), "cap_drop_bounding"},
		{"mask of atoms", command("cap_drop_bounding", etf.List{etf.Atom("chown")}), "cap_drop_bounding"},
		{"ambient −1", command("cap_set_ambient", etf.Int(-1)), "cap_set_ambient"},
		{"two masks for one", command("cap_set_ambient", n, n), "cap_set_ambient"},
		{"two masks for three", command("cap_set_thread", n, n), "cap_set_thread"},
		{"third mask −1", command("cap_set_thread", n, n, etf.Int(-1)), "cap_set_thread"},
		{"first mask a binary", command("cap_set_thread", etf.Binary("\x01"), n, n), "cap_set_thread"},
		{"filter an atom", command("seccomp_install", etf.Atom("nil")), "seccomp_install"},
		{"filter with options", command("seccomp_install", etf.Binary(""), etf.List{}), "seccomp_install"},
		{"filter of tuples", command("seccomp_install", etf.List{etf.Tuple{n, n, n, n}}), "seccomp_install"},
		{"winsize of three", winsize(n, n, n), "pty_winsize"},
		{"winsize of five", winsize(n, n, n, n, n), "pty_winsize"},
		{"winsize flat", command("pty_winsize", n, n, n), "pty_winsize"},
		{"winsize an integer", command("pty_winsize", n), "pty_winsize"},
		{"rows 65536", winsize(etf.Int(65536), n, n, n), "pty_winsize"},
		{"ypix −1", winsize(n, n, n, etf.Int(-1)), "pty_winsize"},
		{"cols an atom", winsize(n, etf.Atom("a"), n, n), "pty_winsize"},
		{"input an integer", command("pty_in", n), "pty_in"},
		{"input an atom", command("pty_in", etf.Atom("eof")), "pty_in"},
		{"input of 256", command("pty_in", etf.List{etf.Int(256)}), "pty_in"},
		{"nested input", command("pty_in", etf.List{etf.Binary("a")}), "pty_in"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := DecodeCommand(encode(t, test.value))
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, %v", got, err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
			if !reflect.DeepEqual(got, Command{}) {
				t.Errorf("there is %v beside the error", got)
			}
		})
	}
	two64 := []byte("\x83h\x02w\x11cap_drop_boundingn\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	if got, err := DecodeCommand(two64); !errors.Is(err, ErrMalformed) {
		t.Errorf("mask 2⁶⁴: %v, %v", got, err)
	}
}

// TestDecodeCommandAllocs has every command of the corpus decode without an
// allocation, but for the lists that have to be copied.
func TestDecodeCommandAllocs(t *testing.T) {
	for _, version := range versions {
		for name, frame := range corpus(t, "commands", version) {
			if name == "pty_in_long_charlist" {
				continue
			}
			n := testing.AllocsPerRun(10, func() {
				if _, err := DecodeCommand(frame); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%s %s: %v allocations", version, name, n)
			}
		}
	}
}

func TestDecodeCommandShares(t *testing.T) {
	frame := encode(t, etf.Tuple{etf.Atom("pty_in"), etf.Binary("abc")})
	c, err := DecodeCommand(frame)
	if err != nil {
		t.Fatal(err)
	}
	if &c.Data[0] != &frame[len(frame)-3] {
		t.Error("Data is a copy")
	}
}

func TestEncodeCommandRefuses(t *testing.T) {
	for _, c := range []Command{{}, {Kind: PTYIn + 1}, {Kind: Signal}, {Kind: Signal, Signal: 65}, {Kind: Signal, Signal: -1}} {
		if got, err := EncodeCommand(c); !errors.Is(err, ErrMalformed) || got != nil {
			t.Errorf("%v: % x, %v", c, got, err)
		}
	}
	big := Command{Kind: PTYIn, Data: make([]byte, MaxCommand)}
	if got, err := EncodeCommand(big); !errors.Is(err, etf.ErrTooBig) || got != nil {
		t.Errorf("over the limit: %d bytes, %v", len(got), err)
	}
}

func ExampleCommand() {
	for _, c := range []Command{
		{Kind: CapSetThread, Masks: [3]uint64{0, 0x1ff, 1<<64 - 1}},
		{Kind: SeccompInstall, Data: make([]byte, 200_000)},
		{Kind: PTYWinsize, Winsize: Winsize{Rows: 24, Cols: 80}},
		{Kind: PTYIn, Data: []byte("ls -l\r")},
		{Kind: Signal, Signal: 15},
		{Kind: Proceed},
		{},
	} {
		fmt.Println(c)
	}
	// Output:
	// {:cap_set_thread, 0x0, 0x1FF, 0xFFFFFFFFFFFFFFFF}
	// {:seccomp_install, <<200000 bytes>>}
	// {:pty_winsize, {24, 80, 0, 0}}
	// {:pty_in, "ls -l\r"}
	// {:signal, 15}
	// :proceed
	// Command(0)
}

// FuzzCommand: what decodes encodes, and decodes to the same again.
func FuzzCommand(f *testing.F) {
	seeds(f, "commands")
	f.Fuzz(func(t *testing.T, frame []byte) {
		c, err := DecodeCommand(frame)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := EncodeCommand(c)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		got, err := DecodeCommand(again)
		if len(got.Data) == 0 && len(c.Data) == 0 { // of another shape
			got.Data, c.Data = nil, nil
		}
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%v became %v, %v", c, got, err)
		}
	})
}

func BenchmarkDecodeCommand(b *testing.B) {
	for name, v := range map[string]etf.Value{
		"pty_in": etf.Tuple{etf.Atom("pty_in"), etf.Binary("ls -l\r")},
		"signal": etf.Tuple{etf.Atom("signal"), etf.Int(15)},
	} {
		frame := encode(b, v)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeCommand(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
