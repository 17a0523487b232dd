package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files anew")

// result is what a process left that has ended.
type result struct {
	stdout, stderr string
	code           int
}

// runs runs a command to its end.
func runs(t testing.TB, files []*os.File, argv ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(deadline(t), argv[0], argv[1:]...)
	c.Stdout, c.Stderr, c.ExtraFiles = &stdout, &stderr, files
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
}

// explain is what --explain says to what send sends.
func explain(t testing.TB, send func(*client.Session) error) result {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Attach(handOver(t, w), handOver(t, null), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// What is sent is far less than the pipe holds.
	if err := send(s); err != nil {
		t.Fatal(err)
	}
	s.Hangup()
	return runs(t, []*os.File{r}, binary, "--explain")
}

// The programs that a child would run, one line for each system call.
func TestExplain(t *testing.T) {
	t.Parallel()
	plain := proto.Request{Argv: []string{"/bin/echo", "two words"}, Env: []string{"A=1"}, Orphan: proto.DefaultOrphan}
	change := func(f func(*proto.Request)) proto.Request {
		r := plain
		f(&r)
		return r
	}
	directive := func(d proto.DirectiveKind, path string) proto.Directive { return proto.Directive{Kind: d, Path: path} }
	frames := func(r proto.Request, commands ...proto.Command) func(*client.Session) error {
		return func(s *client.Session) error {
			err := s.Request(r)
			for _, c := range commands {
				err = errors.Join(err, s.Send(c))
			}
			return err
		}
	}
	dir := "/srv"
	for name, send := range map[string]func(*client.Session) error{
		"plain":   frames(plain, proceed),
		"no_end":  frames(plain),
		"lingers": frames(change(func(r *proto.Request) { r.Orphan, r.Env = lingering, []string{} }), proceed),
		"everything": frames(change(func(r *proto.Request) {
			r.Namespaces, r.Cwd, r.NoNewPrivs = every, &dir, true
		}), proceed),
		"terminal": frames(onTerminal(plain), proto.Command{Kind: proto.PTYWinsize, Winsize: proto.Winsize{Rows: 24, Cols: 80}}, proceed),
		"stdio": frames(change(func(r *proto.Request) {
			r.Stdio.FDs = [3]proto.Directive{
				directive(proto.Devnull, ""), directive(proto.ConnectUnix, "/run/out"), directive(proto.ConnectUnix, "/run/err"),
			}
		}), proceed),
		"capabilities": frames(plain,
			proto.Command{Kind: proto.CapDropBounding, Masks: [3]uint64{1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_RAW}},
			proto.Command{Kind: proto.CapSetThread, Masks: [3]uint64{1, 3, 3}},
			proto.Command{Kind: proto.CapSetAmbient, Masks: [3]uint64{1}},
			proceed),
		"filters":           frames(plain, allowAll, allowAll, proceed),
		"filter_refused":    frames(plain, proto.Command{Kind: proto.SeccompInstall, Data: make([]byte, 8)}, proceed),
		"abort":             frames(plain, proto.Command{Kind: proto.Abort}),
		"malformed_command": frames(plain, proto.Command{Kind: proto.Signal, Signal: 9}),
		"enter":             frames(entering(plain, 1234), proceed),
		"enter_named":       frames(entering(plain, 1234, proto.Net, proto.UTS), proceed),
		"malformed_request": func(s *client.Session) error { return s.SendFrame([]byte{131, 106}) },
		"half_a_request":    func(s *client.Session) error { return s.SendRaw([]byte{0, 0, 0, 9, 131}) },
		"nothing":           func(*client.Session) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := explain(t, send)
			got := fmt.Sprintf("%s%sexit %d\n", r.stdout, r.stderr, r.code)
			path := filepath.Join("testdata", "explain", name+".golden")
			if *update {
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant (%s; make golden writes it anew)\n%s", got, path, want)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		stdout string // how it begins
		stderr string // what it has
		code   int
	}{
		{[]string{"--version"}, "linx-process ", "", 0},
		{[]string{"--help"}, "usage: linx-process ", "", 0},
		{[]string{"-h"}, "usage: linx-process ", "", 0},
		{[]string{"--nonsense"}, "", `"--nonsense"`, 2},
		{[]string{"--version", "--help"}, "", "--version", 2},
		{[]string{""}, "", "unknown", 2},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			r := runs(t, nil, append([]string{binary}, c.args...)...)
			if r.code != c.code || !strings.HasPrefix(r.stdout, c.stdout) || !strings.Contains(r.stderr, c.stderr) {
				t.Errorf("%+v", r)
			}
			if (c.stdout == "") != (r.stdout == "") || strings.Count(r.stderr, "\n") > 1 || (c.stderr == "") != (r.stderr == "") {
				t.Errorf("more, or less, than it should say: %+v", r)
			}
		})
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	r := runs(t, nil, binary, "--features")
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	var got struct {
		Version, Kernel string
		Core            bool
		Notify, Setup   []string
		Namespaces      []string
		Interfaces      map[string]bool
	}
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	if release := unix.ByteSliceToString(name.Release[:]); got.Kernel != release || got.Version == "" || !got.Core {
		t.Errorf("%+v; this is Linux %s", got, release)
	}
	if got.Notify == nil || got.Setup == nil {
		t.Errorf("null in the place of a list: %s", r.stdout)
	}
	for _, n := range every {
		_, err := os.Stat("/proc/self/ns/" + nsFiles[n])
		if slices.Contains(got.Namespaces, n.String()) != (err == nil) {
			t.Errorf("namespaces %v, but of %v: %v", got.Namespaces, n, err)
		}
	}
	for _, name := range []string{"clone3", "pidfd_open", "time_namespaces", "close_range", "close_range_cloexec"} {
		if _, ok := got.Interfaces[name]; !ok {
			t.Errorf("nothing of %s", name)
		}
	}
	t.Run("of another kernel", func(t *testing.T) {
		r := runs(t, nil, refusingWith(t, []string{"--features"}, withoutClone3, withoutCloseRange))
		for _, line := range []string{`"clone3": false`, `"close_range": false`, `"close_range_cloexec": false`} {
			if !strings.Contains(r.stdout, line) {
				t.Errorf("no %s in %+v", line, r)
			}
		}
	})
}

// Started by hand, without a channel, it says so.
func TestNoChannel(t *testing.T) {
	t.Parallel()
	for name, redirections := range map[string]string{
		"nothing":          "3<&- 4>&-",
		"no requests":      "3<&- 4>&1",
		"no frames":        "3<&0 4>&-",
		"a file to read":   "3</etc/passwd 4>&1",
		"a file to write":  "3<&0 4>/dev/null",
		"two devices":      "3</dev/null 4>/dev/null",
		"a directory":      "3</ 4>&1",
		"all three closed": "3<&- 4>&- </dev/null >/dev/null",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runs(t, nil, "/bin/sh", "-c", fmt.Sprintf("true | { %s %s; echo $? >&2; } | cat", binary, redirections))
			lines := strings.Split(r.stderr, "\n")
			if len(lines) != 3 || lines[1] != "1" || !strings.Contains(lines[0], "descriptor ") || !strings.Contains(lines[0], "linx-run") {
				t.Errorf("%+v", r)
			}
		})
	}
}
