package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/etf"
)

// encode is a payload of any term.
func encode(t testing.TB, v etf.Value) []byte {
	t.Helper()
	b, err := etf.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func texts(ss ...string) etf.List {
	list := etf.List{}
	for _, s := range ss {
		list = append(list, etf.Binary(s))
	}
	return list
}

func tuple(vs ...etf.Value) etf.Tuple { return vs }

var (
	argv = etf.Entry{Key: "argv", Value: texts("/bin/true")}
	one  = etf.Entry{Key: "target", Value: etf.Int(1)}
)

// spawn is {:spawn, %{argv: …}} with more entries.
func spawn(more ...etf.Entry) etf.Value {
	return tuple(etf.Atom("spawn"), append(etf.Map{argv}, more...))
}

func enter(more ...etf.Entry) etf.Value {
	return tuple(etf.Atom("enter"), append(etf.Map{argv}, more...))
}

func TestDecodeRequestRefuses(t *testing.T) {
	unix := func(path string) etf.Value { return tuple(etf.Atom("connect_unix"), etf.Binary(path)) }
	stdio := func(v etf.Value) etf.Value { return spawn(etf.Entry{Key: "stdio", Value: v}) }
	on := func(stream string, v etf.Value) etf.Value { return tuple(etf.Atom(stream), v) }
	tests := []struct {
		name  string
		value etf.Value
		says  string // what the error has to name
	}{
		{"an atom", etf.Atom("spawn"), "{:spawn, map}"},
		{"another tag", tuple(etf.Atom("start"), etf.Map{argv}), "{:spawn, map}"},
		{"a tag that is a string", tuple(etf.Binary("spawn"), etf.Map{argv}), "{:spawn, map}"},
		{"a 1-tuple", tuple(etf.Atom("spawn")), "{:spawn, map}"},
		{"a 3-tuple", tuple(etf.Atom("spawn"), etf.Map{argv}, etf.Int(1)), "{:spawn, map}"},
		{"a map alone", etf.Map{argv}, "{:spawn, map}"},
		{"a keyword list", tuple(etf.Atom("spawn"), etf.List{tuple(etf.Atom("argv"), texts("a"))}), "map"},

		{"no argv", tuple(etf.Atom("spawn"), etf.Map{}), "argv"},
		{"argv []", tuple(etf.Atom("spawn"), etf.Map{{Key: "argv", Value: texts()}}), "argv"},
		{"argv a string", tuple(etf.Atom("spawn"), etf.Map{{Key: "argv", Value: etf.Binary("/bin/true")}}), "argv"},
		{"argv of an atom", tuple(etf.Atom("spawn"), etf.Map{{Key: "argv", Value: etf.List{etf.Atom("true")}}}), "argv"},
		{"argv of integers", tuple(etf.Atom("spawn"), etf.Map{{Key: "argv", Value: etf.List{etf.Int(97)}}}), "argv"},
		{"argv nil", tuple(etf.Atom("spawn"), etf.Map{{Key: "argv", Value: etf.Atom("nil")}}), "argv"},
		{"argv[0] with a NUL", tuple(etf.Atom("spawn"), etf.Map{{Key: "argv", Value: texts("/bin\x00/true")}}), "argv: string 0"},
		{"argv[2] ends in a NUL", tuple(etf.Atom("spawn"), etf.Map{{Key: "argv", Value: texts("a", "b", "c\x00")}}), "argv: string 2"},

		{"env a map", spawn(etf.Entry{Key: "env", Value: etf.Map{}}), "env"},
		{"env of pairs", spawn(etf.Entry{Key: "env", Value: etf.List{tuple(etf.Binary("A"), etf.Binary("1"))}}), "env"},
		{"env without =", spawn(etf.Entry{Key: "env", Value: texts("A=1", "B")}), "env: string 1"},
		{"env without a key", spawn(etf.Entry{Key: "env", Value: texts("=1")}), "env: string 0"},
		{"env of an empty string", spawn(etf.Entry{Key: "env", Value: texts("")}), "env: string 0"},
		{"env with a NUL", spawn(etf.Entry{Key: "env", Value: texts("A=1\x00B=2")}), "env: string 0"},

		{"namespaces an atom", spawn(etf.Entry{Key: "namespaces", Value: etf.Atom("pid")}), "namespaces"},
		{"namespaces unknown", spawn(etf.Entry{Key: "namespaces", Value: etf.List{etf.Atom("pid"), etf.Atom("mnt")}}), "namespaces"},
		{"namespaces as strings", spawn(etf.Entry{Key: "namespaces", Value: texts("pid")}), "namespaces"},
		{"namespaces a mask", spawn(etf.Entry{Key: "namespaces", Value: etf.Int(1)}), "namespaces"},

		{"no target", enter(), "target"},
		{"target 0", enter(etf.Entry{Key: "target", Value: etf.Int(0)}), "target"},
		{"target −1", enter(etf.Entry{Key: "target", Value: etf.Int(-1)}), "target"},
		{"target 2³¹", enter(etf.Entry{Key: "target", Value: etf.Int(1 << 31)}), "target"},
		{"target 2⁶⁴−1", enter(etf.Entry{Key: "target", Value: etf.Mask(1<<64 - 1)}), "target"},
		{"target 2³²+1", enter(etf.Entry{Key: "target", Value: etf.Int(1<<32 + 1)}), "target"},
		{"target a string", enter(etf.Entry{Key: "target", Value: etf.Binary("1")}), "target"},

		{"stdio unknown", stdio(etf.Atom("null")), "stdio"},
		{"stdio a string", stdio(etf.Binary("pty")), "stdio"},
		{"stdio one directive", stdio(unix("/a")), "stdio"},
		{"stdio a map", stdio(etf.Map{{Key: "stdin", Value: etf.Atom("devnull")}}), "stdio"},
		{"stdio, unknown stream", stdio(etf.List{on("stdlog", etf.Atom("devnull"))}), "stdio"},
		{"stdio, a stream twice", stdio(etf.List{on("stdin", etf.Atom("devnull")), on("stdin", etf.Atom("devnull"))}), "stdio"},
		{"stdio, an atom in the list", stdio(etf.List{etf.Atom("stdin")}), "stdio"},
		{"stdio, a 3-tuple in the list", stdio(etf.List{tuple(etf.Atom("stdin"), etf.Atom("devnull"), etf.Int(1))}), "stdio"},
		{"stdio, a stream as a string", stdio(etf.List{tuple(etf.Binary("stdin"), etf.Atom("devnull"))}), "stdio"},
		{"stdio, pty for a stream", stdio(etf.List{on("stdin", etf.Atom("pty"))}), "stdio"},
		{"stdio, unknown directive", stdio(etf.List{on("stdin", etf.Atom("null"))}), "stdio"},
		{"stdio, another tuple", stdio(etf.List{on("stdin", tuple(etf.Atom("file"), etf.Binary("/a")))}), "stdio"},
		{"stdio, connect_unix alone", stdio(etf.List{on("stdin", etf.Atom("connect_unix"))}), "stdio"},
		{"stdio, connect_unix of three", stdio(etf.List{on("stdin", tuple(etf.Atom("connect_unix"), etf.Binary("/a"), etf.Int(1)))}), "stdio"},
		{"stdio, a path that is an atom", stdio(etf.List{on("stdin", tuple(etf.Atom("connect_unix"), etf.Atom("a")))}), "stdio"},
		{"stdio, an empty path", stdio(etf.List{on("stderr", unix(""))}), "stderr"},
		{"stdio, a path with a NUL", stdio(etf.List{on("stdout", unix("/a\x00b"))}), "stdout"},
		{"stdio, an abstract path", stdio(etf.List{on("stdout", unix("\x00abstract"))}), "stdout"},

		{"cwd an atom", spawn(etf.Entry{Key: "cwd", Value: etf.Atom("nil")}), "cwd"},
		{"cwd a list", spawn(etf.Entry{Key: "cwd", Value: texts("/")}), "cwd"},
		{"cwd with a NUL", spawn(etf.Entry{Key: "cwd", Value: etf.Binary("/\x00")}), "cwd"},

		{"no_new_privs 1", spawn(etf.Entry{Key: "no_new_privs", Value: etf.Int(1)}), "no_new_privs"},
		{"no_new_privs nil", spawn(etf.Entry{Key: "no_new_privs", Value: etf.Atom("nil")}), "no_new_privs"},
		{"no_new_privs a string", spawn(etf.Entry{Key: "no_new_privs", Value: etf.Binary("true")}), "no_new_privs"},

		{"orphan_policy unknown", spawn(etf.Entry{Key: "orphan_policy", Value: etf.Atom("kill")}), "orphan_policy"},
		{"orphan_policy −1", spawn(etf.Entry{Key: "orphan_policy", Value: tuple(etf.Atom("kill"), etf.Int(-1))}), "orphan_policy"},
		{"orphan_policy 2³¹", spawn(etf.Entry{Key: "orphan_policy", Value: tuple(etf.Atom("kill"), etf.Int(1<<31))}), "orphan_policy"},
		{"orphan_policy 2³²", spawn(etf.Entry{Key: "orphan_policy", Value: tuple(etf.Atom("kill"), etf.Int(1<<32))}), "orphan_policy"},
		{"orphan_policy :infinity", spawn(etf.Entry{Key: "orphan_policy", Value: tuple(etf.Atom("kill"), etf.Atom("infinity"))}), "orphan_policy"},
		{"orphan_policy of three", spawn(etf.Entry{Key: "orphan_policy", Value: tuple(etf.Atom("kill"), etf.Int(1), etf.Int(1))}), "orphan_policy"},
		{"orphan_policy, another tag", spawn(etf.Entry{Key: "orphan_policy", Value: tuple(etf.Atom("stop"), etf.Int(1))}), "orphan_policy"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := DecodeRequest(encode(t, test.value))
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, %v", got, err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
			if !reflect.DeepEqual(got, Request{}) {
				t.Errorf("there is %v beside the error", got)
			}
		})
	}
}

// rawMap is {tag, map} of entries that are encoded already.
func rawMap(tag string, entries ...[]byte) []byte {
	b := append([]byte{131, 'h', 2, 'w', byte(len(tag))}, tag...)
	b = binary.BigEndian.AppendUint32(append(b, 't'), uint32(len(entries)))
	return append(b, bytes.Join(entries, nil)...)
}

// rawEntry is one entry: a key and a value without their version bytes.
func rawEntry(t testing.TB, e etf.Entry) []byte {
	return append(encode(t, e.Key)[1:], encode(t, e.Value)[1:]...)
}

func TestDecodeRequestKeyTwice(t *testing.T) {
	a := rawEntry(t, argv)
	target := rawEntry(t, one)
	unknown := rawEntry(t, etf.Entry{Key: "unknown", Value: etf.Int(1)})
	if _, err := DecodeRequest(rawMap("spawn", a, a)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "argv") {
		t.Errorf("argv twice: %v", err)
	}
	if _, err := DecodeRequest(rawMap("enter", a, target, target)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "target") {
		t.Errorf("target twice in an enter: %v", err)
	}
	// What a spawn does not know it does not count.
	got, err := DecodeRequest(rawMap("spawn", unknown, target, a, target, unknown))
	if want := request(nil); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("unknown keys twice: %v, %v", got, err)
	}
}

// TestDecodeRequestSkips has terms in the place of unknown keys and values that
// erlang_go would fail on.
func TestDecodeRequestSkips(t *testing.T) {
	a := rawEntry(t, argv)
	term := func(b ...byte) []byte { return b }
	ok := term('w', 2, 'o', 'k')
	terms := map[string][]byte{
		"undefined":           append([]byte{'w', 9}, "undefined"...),
		"a list as a key":     {'l', 0, 0, 0, 1, 'a', 1, 'j'},
		"a tuple as a key":    {'h', 1, 'a', 1},
		"a binary as a key":   append([]byte{'m', 0, 0, 0, 4}, "argv"...),
		"a map of undefined":  append([]byte{'t', 0, 0, 0, 1, 'd', 0, 9}, "undefinedj"...),
		"a function":          append([]byte{'p', 0, 0, 0, 33}, make([]byte, 29)...),
		"4 Mbit":              append([]byte{'o', 0, 8, 0, 0, 0}, bytes.Repeat([]byte{255}, 1<<19)...),
		"an improper list":    {'l', 0, 0, 0, 1, 'a', 1, 'a', 2},
		"a pid of a 255 node": append(append([]byte{'X', 'w', 255}, make([]byte, 255)...), make([]byte, 12)...),
	}
	for name, b := range terms {
		for place, frame := range map[string][]byte{
			"key":   rawMap("spawn", append(bytes.Clone(b), ok...), a),
			"value": rawMap("spawn", append(bytes.Clone(ok), b...), a),
		} {
			got, err := DecodeRequest(append(frame, "trailing"...))
			if want := request(nil); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s as a %s: %v, %v", name, place, got, err)
			}
		}
	}
}

// TestDecodeRequestIntegers has the target in encodings longer than it needs.
func TestDecodeRequestIntegers(t *testing.T) {
	for name, b := range map[string][]byte{
		"INTEGER":               {'b', 0, 0, 0, 7},
		"SMALL_BIG":             {'n', 1, 0, 7},
		"SMALL_BIG of 12 bytes": append([]byte{'n', 12, 0, 7}, make([]byte, 11)...),
		"LARGE_BIG of 65536":    append([]byte{'o', 0, 1, 0, 0, 0, 7}, make([]byte, 65535)...),
	} {
		frame := rawMap("enter", rawEntry(t, argv), append(append([]byte{'s', 6}, "target"...), b...))
		got, err := DecodeRequest(frame)
		if err != nil || got.Target != 7 {
			t.Errorf("%s: target %d, %v", name, got.Target, err)
		}
	}
}

func TestEncodeRequestRefuses(t *testing.T) {
	tests := map[string]Request{
		"zero":              {},
		"unknown kind":      request(func(r *Request) { r.Kind = 2 }),
		"NUL in argv":       request(func(r *Request) { r.Argv = []string{"a\x00"} }),
		"env without =":     request(func(r *Request) { r.Env = []string{"A"} }),
		"unknown namespace": request(func(r *Request) { r.Namespaces = []Namespace{8} }),
		"enter nothing":     request(func(r *Request) { r.Kind = Enter }),
		"unknown directive": request(func(r *Request) { r.Stdio.FDs[1].Kind = 3 }),
		"connect nowhere":   request(func(r *Request) { r.Stdio.FDs[1].Kind = ConnectUnix }),
		"NUL in cwd":        request(func(r *Request) { r.Cwd = ptr("\x00") }),
		"grace of 2³¹ ms":   request(func(r *Request) { r.Orphan.GraceMS = 1 << 31 }),
	}
	for name, r := range tests {
		if got, err := EncodeRequest(r); !errors.Is(err, ErrMalformed) || got != nil {
			t.Errorf("%s: % x, %v", name, got, err)
		}
		if s := r.String(); !strings.HasPrefix(s, "{:") {
			t.Errorf("%s: %q", name, s)
		}
	}
	big := request(func(r *Request) { r.Argv = []string{strings.Repeat("x", MaxRequest)} })
	if got, err := EncodeRequest(big); !errors.Is(err, etf.ErrTooBig) || got != nil {
		t.Errorf("over the limit: %d bytes, %v", len(got), err)
	}
}

// The largest request there is, of strings of one byte.
func manyStrings(t testing.TB) []byte {
	const head, each = 64, 6
	n := (MaxRequest - head) / each
	entry := append([]byte{'w', 4}, "argvl"...)
	entry = binary.BigEndian.AppendUint32(entry, uint32(n))
	entry = append(entry, bytes.Repeat([]byte{'m', 0, 0, 0, 1, 'x'}, n)...)
	frame := rawMap("spawn", append(entry, 'j'))
	if len(frame) > MaxRequest {
		t.Fatalf("%d bytes", len(frame))
	}
	return frame
}

// TestDecodeRequestLarge bounds the memory of the worst requests, garbage
// included. Integers that erlang_go is quadratic in would exceed it too, as it
// allocates for each of their bytes.
func TestDecodeRequestLarge(t *testing.T) {
	repeated := func(n int, key string, value []byte) []byte {
		entries := make([][]byte, n)
		for i := range entries {
			entries[i] = append([]byte(key), value...)
		}
		return rawMap("spawn", append(entries, rawEntry(t, argv))...)
	}
	nils := func(n int) []byte {
		b := binary.BigEndian.AppendUint32([]byte("w\x04argvl"), uint32(n))
		return rawMap("spawn", append(b, bytes.Repeat([]byte{'j'}, n+1)...))
	}
	tests := []struct {
		name  string
		frame []byte
		ok    bool
		bound uint64 // bytes for each byte of the frame
	}{
		{"small strings", manyStrings(t), true, 20},
		{"empty strings", nils(1_000_000), true, 60},
		{"one string", rawMap("spawn", rawEntry(t, etf.Entry{Key: "argv", Value: texts(strings.Repeat("x", 4_000_000))})), true, 4},
		{"unknown keys", repeated(500_000, "a\x01", []byte("w\x01x")), true, 1},
		{"atoms that are no namespaces", rawMap("spawn", append([]byte("w\x0anamespacesl\x00\x0f\x42\x40"), bytes.Repeat([]byte("w\x00"), 1_000_000)...)), false, 1},
		{"an integer of 4 MB", rawMap("enter", append([]byte("w\x06targeto\x00\x3d\x09\x00\x00"), bytes.Repeat([]byte{1}, 4_000_000)...)), false, 1},
		{"zeros before an integer", rawMap("enter", append([]byte("w\x06targeto\x00\x3d\x09\x00\x00\x01"), make([]byte, 3_999_999)...)), false, 1},
	}
	for _, test := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeRequest(test.frame)
		runtime.ReadMemStats(&after)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > test.bound*uint64(len(test.frame)) {
			t.Errorf("%s: %d bytes allocated for %d", test.name, n, len(test.frame))
		}
	}
}

// TestBombs gives every decoder what erlang_go alone would end on.
func TestBombs(t *testing.T) {
	announce := func(tag byte) []byte { return []byte{131, tag, 0xff, 0xff, 0xff, 0xff} }
	bombs := map[string][]byte{
		"nothing": {}, "no term": {131},
		"list": announce('l'), "map": announce('t'), "large tuple": announce('i'), "binary": announce('m'),
		"large big": announce('o'), "fun": announce('p'), "old fun": announce('u'), "bits": announce('M'),
		"atom": announce('d'), "atom utf8": announce('v'), "string": announce('k'), "newer reference": announce('Z'),
		"compressed":              {131, 80, 0xff, 0xff, 0xff, 0xff, 0x78, 0x9c},
		"400,000 nested tuples":   append(append([]byte{131}, bytes.Repeat([]byte{'h', 1}, 400_000)...), 'j'),
		"nested lists":            append(append([]byte{131}, bytes.Repeat([]byte{'l', 0, 0, 0, 1}, 100_000)...), bytes.Repeat([]byte{'j'}, 100_001)...),
		"maps keyed by maps":      append(append([]byte{131}, bytes.Repeat([]byte{'t', 0, 0, 0, 1}, 100_000)...), bytes.Repeat([]byte{'j'}, 100_001)...),
		"in an unknown key":       rawMap("spawn", rawEntry(t, argv), append([]byte{'a', 1}, announce('l')[1:]...)),
		"in a known key":          rawMap("spawn", append([]byte("w\x04argv"), announce('l')[1:]...)),
		"in a command":            append([]byte("\x83h\x02w\x06pty_in"), announce('m')[1:]...),
		"a map keyed undefined":   append([]byte("\x83t\x00\x00\x00\x01w\x09undefined"), 'j'),
		"that map in a command":   append([]byte("\x83h\x02w\x06signalt\x00\x00\x00\x01w\x09undefined"), 'j'),
		"a quadratic big integer": append([]byte("\x83h\x02w\x06signalo\x00\x0f\x00\x00\x00"), bytes.Repeat([]byte{255}, 0xf0000)...),
	}
	decoders := map[string]func([]byte) error{
		"DecodeRequest": func(b []byte) error { _, err := DecodeRequest(b); return err },
		"DecodeCommand": func(b []byte) error { _, err := DecodeCommand(b); return err },
		"DecodeEvent":   func(b []byte) error { _, err := DecodeEvent(b); return err },
	}
	for decoder, decode := range decoders {
		for name, frame := range bombs {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := decode(frame)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s of %s: %v", decoder, name, err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 8<<10 {
				t.Errorf("%s of %s: %d bytes allocated", decoder, name, n)
			}
		}
	}
}

func ExampleRequest() {
	cwd := "/tmp"
	fmt.Println(Request{
		Argv:       []string{"/bin/sh", "-c", `echo "hi"`},
		Env:        []string{"PATH=/bin"},
		Namespaces: []Namespace{User, PID},
		Stdio:      Stdio{FDs: [3]Directive{{Kind: Devnull}, {}, {Kind: ConnectUnix, Path: "/run/err.sock"}}},
		Cwd:        &cwd,
		NoNewPrivs: true,
		Orphan:     OrphanPolicy{Linger: true},
	})
	fmt.Println(Request{
		Kind: Enter, Target: 4711, Argv: []string{"/bin/true", strings.Repeat("x", 1000)}, Env: []string{},
		Stdio: Stdio{PTY: true}, Orphan: DefaultOrphan,
	})
	// Output:
	// {:spawn, %{argv: ["/bin/sh", "-c", "echo \"hi\""], env: ["PATH=/bin"], namespaces: [:user, :pid], stdio: [stdin: :devnull, stderr: {:connect_unix, "/run/err.sock"}], cwd: "/tmp", no_new_privs: true, orphan_policy: :linger}}
	// {:enter, %{argv: ["/bin/true", <<1000 bytes>>], env: [], target: 4711, stdio: :pty}}
}

// FuzzRequest: what decodes encodes, and decodes to the same again.
func FuzzRequest(f *testing.F) {
	seeds(f, "requests")
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := DecodeRequest(frame)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := EncodeRequest(r)
		if err != nil {
			t.Fatalf("%v: %v", r, err)
		}
		got, err := DecodeRequest(again)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%v became %v, %v", r, got, err)
		}
	})
}

func BenchmarkDecodeRequest(b *testing.B) {
	typical := encodeRequest(b, request(func(r *Request) {
		r.Argv = []string{"/bin/sh", "-c", "exec /usr/bin/env"}
		r.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=xterm-256color"}
		r.Namespaces = []Namespace{User, Mount, PID, IPC}
		r.Stdio.PTY = true
		r.Cwd = ptr("/")
	}))
	for name, frame := range map[string][]byte{"typical": typical, "4MiB": manyStrings(b)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := DecodeRequest(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func encodeRequest(t testing.TB, r Request) []byte {
	t.Helper()
	frame, err := EncodeRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}
