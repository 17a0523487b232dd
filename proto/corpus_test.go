package proto

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/etf"
)

// corpus is what a BEAM wrote, by name: a group of etf/testdata (see
// corpus.escript there) in one of the versions of term_to_binary/2.
func corpus(t testing.TB, group, version string) map[string][]byte {
	t.Helper()
	dir := filepath.Join("..", "etf", "testdata")
	stream, err := os.ReadFile(filepath.Join(dir, group+"."+version+".frames"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, group+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	frames := make(map[string][]byte)
	f := etf.Framer{Limit: MaxRequest}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, "\t")
		for {
			payload, ok, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				frames[name] = bytes.Clone(payload)
				break
			}
			if len(stream) == 0 {
				t.Fatalf("%s %s has no frame %s", group, version, name)
			}
			n := copy(f.Buffer(), stream)
			f.Filled(n)
			stream = stream[n:]
		}
	}
	if len(stream) > 0 || f.Pending() {
		t.Fatalf("%s %s has more frames than names", group, version)
	}
	return frames
}

var versions = []string{"v1", "v2"}

// seeds gives the frames of a group to a fuzz target.
func seeds(f *testing.F, group string) {
	for _, version := range versions {
		for _, frame := range corpus(f, group, version) {
			if len(frame) < 4<<10 {
				f.Add(frame)
			}
		}
	}
}

// decodesTo has every frame of a group decode to the value of its name, in both
// versions.
func decodesTo[T any](t *testing.T, group string, decode func([]byte) (T, error), want map[string]T) {
	t.Helper()
	for _, version := range versions {
		frames := corpus(t, group, version)
		if len(frames) != len(want) {
			t.Errorf("%s: %d frames, but %d values", version, len(frames), len(want))
		}
		for name, frame := range frames {
			got, err := decode(frame)
			if err != nil {
				t.Errorf("%s %s: %v", version, name, err)
				continue
			}
			w, ok := want[name]
			if !ok {
				t.Errorf("%s %s: no value to compare to", version, name)
				continue
			}
			if !reflect.DeepEqual(got, w) {
				t.Errorf("%s %s: got  %+v\nwant %+v", version, name, got, w)
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

// request is a spawn of /bin/true with what change does to it.
func request(change func(*Request)) Request {
	r := Request{Argv: []string{"/bin/true"}, Orphan: DefaultOrphan}
	if change != nil {
		change(&r)
	}
	return r
}

func TestCorpusRequests(t *testing.T) {
	numbers := make([]string, 1000)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i + 1)
	}
	devnull := Directive{Kind: Devnull}
	decodesTo(t, "requests", DecodeRequest, map[string]Request{
		"spawn": request(nil),
		"spawn_all": request(func(r *Request) {
			r.Argv = []string{"/bin/sh", "-c", "echo hi"}
			r.Env = []string{"PATH=/bin", "EMPTY=", "A=b=c"}
			r.Namespaces = []Namespace{User, Mount, UTS, IPC, Cgroup, Net, Time, PID}
			r.Stdio.PTY = true
			r.Cwd = ptr("/tmp")
			r.NoNewPrivs = true
			r.Orphan.GraceMS = 1500
		}),
		"enter": request(func(r *Request) { r.Kind, r.Target = Enter, 4711 }),
		"enter_all": request(func(r *Request) {
			r.Kind, r.Target = Enter, 1<<31-1
			r.Namespaces = []Namespace{Net, PID}
			r.Env = []string{}
			r.Stdio.FDs = [3]Directive{devnull, devnull, devnull}
			r.Cwd = ptr("/")
			r.Orphan = OrphanPolicy{Linger: true}
		}),
		"enter_target_small": request(func(r *Request) { r.Kind, r.Target = Enter, 7 }),
		"argv_charlists":     request(func(r *Request) { r.Argv = []string{"/bin/echo", "a b", "", "", "c"} }),
		"argv_long_charlist": request(func(r *Request) { r.Argv = []string{"/bin/echo", strings.Repeat("y", 70_000)} }),
		"argv_many":          request(func(r *Request) { r.Argv = numbers }),
		"argv_bytes":         request(func(r *Request) { r.Argv = []string{"/bin/echo", "\x01\xff\xfe", "\x01\xff\xfe"} }),
		"env_empty":          request(func(r *Request) { r.Env = []string{} }),
		"env_charlists":      request(func(r *Request) { r.Env = []string{"A=1", "B=2"} }),
		"namespaces_empty":   request(func(r *Request) { r.Namespaces = []Namespace{} }),
		"namespaces_twice":   request(func(r *Request) { r.Namespaces = []Namespace{PID, User} }),
		"stdio_inherit":      request(nil),
		"stdio_devnull":      request(func(r *Request) { r.Stdio.FDs = [3]Directive{devnull, devnull, devnull} }),
		"stdio_empty":        request(nil),
		"stdio_keywords": request(func(r *Request) {
			r.Stdio.FDs = [3]Directive{devnull, {Kind: ConnectUnix, Path: "/run/out.sock"}, {}}
		}),
		"stdio_some": request(func(r *Request) {
			r.Stdio.FDs[2] = Directive{Kind: ConnectUnix, Path: "/run/err.sock"}
		}),
		"cwd_charlist": request(func(r *Request) { r.Cwd = ptr("/srv") }),
		"cwd_empty":    request(func(r *Request) { r.Cwd = ptr("") }),
		"orphan_zero":  request(func(r *Request) { r.Orphan.GraceMS = 0 }),
		"orphan_most":  request(func(r *Request) { r.Orphan.GraceMS = 1<<31 - 1 }),
		"unknown_keys": request(nil),
	})
}

func TestCorpusCommands(t *testing.T) {
	bpf := "\x06\x00\x00\x00\x00\x00\xff\x7f"
	decodesTo(t, "commands", DecodeCommand, map[string]Command{
		"cap_drop_bounding":      {Kind: CapDropBounding, Masks: [3]uint64{0x1ffffffffff}},
		"cap_drop_bounding_none": {Kind: CapDropBounding},
		"cap_drop_bounding_all":  {Kind: CapDropBounding, Masks: [3]uint64{1<<64 - 1}},
		"cap_set_thread":         {Kind: CapSetThread, Masks: [3]uint64{1, 1 << 31, 1 << 63}},
		"cap_set_ambient":        {Kind: CapSetAmbient, Masks: [3]uint64{1 << 10}},
		"seccomp_install":        {Kind: SeccompInstall, Data: []byte(bpf)},
		"seccomp_install_list":   {Kind: SeccompInstall, Data: []byte(bpf)},
		"seccomp_install_empty":  {Kind: SeccompInstall, Data: []byte{}},
		"seccomp_install_1000":   {Kind: SeccompInstall, Data: []byte(strings.Repeat(bpf, 1000))},
		"pty_winsize":            {Kind: PTYWinsize, Winsize: Winsize{Rows: 24, Cols: 80}},
		"pty_winsize_most":       {Kind: PTYWinsize, Winsize: Winsize{65535, 65535, 65535, 65535}},
		"proceed":                {Kind: Proceed},
		"abort":                  {Kind: Abort},
		"signal":                 {Kind: Signal, Signal: 15},
		"signal_first":           {Kind: Signal, Signal: 1},
		"signal_last":            {Kind: Signal, Signal: 64},
		"pty_in":                 {Kind: PTYIn, Data: []byte("ls\r")},
		"pty_in_empty":           {Kind: PTYIn, Data: []byte{}},
		"pty_in_charlist":        {Kind: PTYIn, Data: []byte("ls\r")},
		"pty_in_nil":             {Kind: PTYIn},
		"pty_in_2000":            {Kind: PTYIn, Data: []byte(strings.Repeat("paste", 400))},
		"pty_in_long_charlist":   {Kind: PTYIn, Data: bytes.Repeat([]byte("z"), 65536)},
	})
}

// corpusEvents are also what the agent has to send, byte by byte.
var corpusEvents = map[string]Event{
	"spawned":        {Kind: Spawned, PID: 4711},
	"spawned_large":  {Kind: Spawned, PID: 4194304},
	"ready":          {Kind: Ready, PID: 1},
	"running":        {Kind: Running},
	"pty_out":        {Kind: PTYOut, Data: []byte("hi\r\n")},
	"pty_out_empty":  {Kind: PTYOut, Data: []byte{}},
	"pty_out_1000":   {Kind: PTYOut, Data: make([]byte, 1000)},
	"pty_in_dropped": {Kind: PTYInDropped, N: 200_000},
	"exited":         {Kind: Exited},
	"exited_255":     {Kind: Exited, N: 255},
	"signaled":       {Kind: Signaled, N: 31},
	"aborted":        {Kind: Aborted, PID: 1},
	"error":          {Kind: Failed, Errno: 22, Stage: StageMalformedRequest},
	"error_setns":    {Kind: Failed, Errno: 1, Stage: StageSetNS(User)},
}

func TestCorpusEvents(t *testing.T) { decodesTo(t, "events", DecodeEvent, corpusEvents) }

// TestSameBytesAsTheBEAM: term_to_binary/2 of minor version 2 has the tags that
// are sent.
func TestSameBytesAsTheBEAM(t *testing.T) {
	for name, want := range corpus(t, "events", "v2") {
		if got := AppendEvent(nil, corpusEvents[name]); !bytes.Equal(got, etf.AppendFrame(nil, want)) {
			t.Errorf("%s: % x, want % x behind the length", name, got, want)
		}
	}
	for name, want := range corpus(t, "commands", "v2") {
		if strings.HasSuffix(name, "list") || strings.HasSuffix(name, "nil") {
			continue // sent as a binary
		}
		c, err := DecodeCommand(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := EncodeCommand(c); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: % x, %v, want % x", name, got, err, want)
		}
	}
}
