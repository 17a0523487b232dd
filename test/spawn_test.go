package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
)

// pids are what differs from run to run in frames.
var pids = regexp.MustCompile(`(:spawned|:ready|:aborted), \d+`)

// tells reads every frame up to the end of the stream and waits for the agent. The
// frames are held against those that are wanted, with pid for each process id.
func (s *session) tells(code int, want ...string) {
	s.t.Helper()
	got := s.frames()
	for i := range got {
		got[i] = pids.ReplaceAllString(got[i], "$1, pid")
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("the frames\n%s\nwant\n%s\noutput: %s", strings.Join(got, "\n"), strings.Join(want, "\n"), s.out)
	}
	s.exits(code)
}

const (
	spawnedFrame = "{:status, :spawned, pid}"
	readyFrame   = "{:status, :ready, pid}"
	runningFrame = "{:status, :running}"
)

// bare is a request for a program without a shell.
func bare(argv ...string) proto.Request {
	return proto.Request{Argv: argv, Orphan: proto.DefaultOrphan}
}

// ownStatus is a request for the workload's own proc_pid_status(5).
func ownStatus() proto.Request { return bare("/bin/cat", "/proc/self/status") }

// field is what stands behind a key of proc_pid_status(5).
func field(t testing.TB, text, key string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in %q", key, text)
	return ""
}

// ofProcess is a field of a process's status.
func ofProcess(t testing.TB, pid int, key string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	return field(t, string(text), key)
}

// pipe makes one whose read end is for an agent. What reads it goes on when the
// write end is closed.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// by is the path of an agent that the given shell script becomes.
func by(t testing.TB, script string) string {
	t.Helper()
	script += "\nexec " + binary
	return scripted(t, "/bin/sh -c '"+strings.ReplaceAll(script, "'", `'\''`)+"'")
}

// The frames of an ordinary session come in their order, over either transport.
func TestOrderOfFrames(t *testing.T) {
	for name, socketpair := range map[string]bool{"pipes": false, "socketpair": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(o *client.Options) { o.Socketpair = socketpair })
			host := s.launch(sh("echo hello; exit 7"))
			if host <= 0 {
				t.Errorf("host pid %d", host)
			}
			s.ends("{:status, :exited, 7}", 0)
			if got := s.out.String(); got != "hello\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	args := []string{"zero", "", "two words", "\xff\xfe\n\x01", "ü€𝄞", strings.Repeat("long", 30_000)}
	s := start(t, nil)
	s.launch(bare(append([]string{"/bin/sh", "-c", `printf '<%s>' "$0" "$@"`}, args...)...))
	s.ends("{:status, :exited, 0}", 0)
	if got, want := s.out.String(), "<"+strings.Join(args, "><")+">"; got != want {
		t.Errorf("arguments %.200q", got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	many := make([]string, 2000)
	for i := range many {
		many[i] = fmt.Sprintf("NAME%d=%d", i, i)
	}
	for name, c := range map[string]struct {
		own, given, want []string
	}{
		"the agent's own": {own: []string{"A=1", "B=two words"}, want: []string{"A=1", "B=two words"}},
		"given":           {own: []string{"A=1"}, given: []string{"C=3", "D=", "E==", "F=\xff"}, want: []string{"C=3", "D=", "E==", "F=\xff"}},
		"given, in order": {own: []string{"A=1"}, given: []string{"B=2", "A=1", "B=3"}, want: []string{"B=2", "A=1", "B=3"}},
		"empty":           {own: []string{"A=1"}, given: []string{}},
		"large":           {own: []string{"A=1"}, given: many, want: many},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *client.Options) { o.Env = c.own })
			r := bare("/bin/cat", "/proc/self/environ")
			r.Env = c.given
			s.launch(r)
			s.ends("{:status, :exited, 0}", 0)
			want := ""
			for _, v := range c.want {
				want += v + "\x00"
			}
			if got := s.out.String(); got != want {
				t.Errorf("environment %.200q, want %.200q", got, want)
			}
		})
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	cases := map[string][]proto.Namespace{"none": nil, "empty": {}}
	var all []proto.Namespace
	for n := range proto.Namespace(proto.NumNamespaces) {
		cases[n.String()] = []proto.Namespace{n}
		all = append(all, n)
	}
	cases["all"] = all
	cases["twice"] = []proto.Namespace{proto.UTS, proto.UTS}
	const script = `for n in user mnt uts ipc cgroup net time pid; do readlink /proc/self/ns/$n; done; echo ready; read x`
	for name, created := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, release := pipe(t)
			s := start(t, func(o *client.Options) { o.Stdin = in })
			r := sh(script)
			r.Namespaces = created
			s.request(r)
			host, inner, err := s.AwaitReady(s.ctx)
			skipUnless(t, err, "clone")
			s.send(proceed)
			s.running()

			wantInner := host
			if slices.Contains(created, proto.PID) {
				wantInner = 1
			}
			if inner != wantInner {
				t.Errorf("inner pid %d, want %d", inner, wantInner)
			}
			its, ours := namespacesOf(t, host), namespacesOf(t, os.Getpid())
			for n := range its {
				fresh, want := its[n] != ours[n], slices.Contains(created, proto.Namespace(n))
				if fresh != want {
					t.Errorf("%v is fresh: %v, want %v", proto.Namespace(n), fresh, want)
				}
			}
			seen := strings.Join(its[:], "\n") + "\n"
			eventually(t, "the workload has looked", func() bool { return strings.HasSuffix(s.out.String(), "ready\n") })
			if got := s.out.String(); got != seen+"ready\n" {
				t.Errorf("the workload sees\n%swant\n%s", got, seen)
			}
			release.Close()
			s.ends("{:status, :exited, 1}", 0) // read(1) of the shell at the end of file
		})
	}
}

func TestWorkingDirectory(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	path := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		cwd   *string
		where string
		errno syscall.Errno
	}{
		"inherited": {where: dir},
		"absolute":  {cwd: path(dir + "/below"), where: dir + "/below"},
		"relative":  {cwd: path("below"), where: dir + "/below"},
		"missing":   {cwd: path(dir + "/missing"), errno: syscall.ENOENT},
		"a file":    {cwd: path(dir + "/file"), errno: syscall.ENOTDIR},
		"a loop":    {cwd: path(dir + "/loop"), errno: syscall.ELOOP},
		"empty":     {cwd: path(""), errno: syscall.ENOENT},
		"too long":  {cwd: path(strings.Repeat("x", 5000)), errno: syscall.ENAMETOOLONG},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *client.Options) { o.Dir = dir })
			r := bare("/bin/readlink", "/proc/self/cwd")
			r.Cwd = c.cwd
			s.request(r)
			s.send(proceed)
			if c.errno != 0 {
				s.tells(0, spawnedFrame, readyFrame, fmt.Sprintf("{:error, %d, :chdir}", c.errno))
				return
			}
			s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
			if got := s.out.String(); got != c.where+"\n" {
				t.Errorf("in %q, want %q", got, c.where)
			}
		})
	}
}

func TestExecuteFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "empty": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		argv  []string
		errno syscall.Errno
	}{
		"no such file":      {[]string{dir + "/missing"}, syscall.ENOENT},
		"no search on PATH": {[]string{"true"}, syscall.ENOENT},
		"an empty path":     {[]string{""}, syscall.ENOENT},
		"not executable":    {[]string{dir + "/plain"}, syscall.EACCES},
		"a directory":       {[]string{dir}, syscall.EACCES},
		"no directory":      {[]string{dir + "/plain/x"}, syscall.ENOTDIR},
		"no format":         {[]string{dir + "/empty"}, syscall.ENOEXEC},
		"a path too long":   {[]string{"/" + strings.Repeat("x", 5000)}, syscall.ENAMETOOLONG},
		"a string too long": {[]string{"/bin/true", strings.Repeat("x", 1<<17)}, syscall.E2BIG},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(bare(c.argv...))
			s.send(proceed)
			s.tells(0, spawnedFrame, readyFrame, fmt.Sprintf("{:error, %d, :execve}", c.errno))
		})
	}
}

func TestNoNewPrivs(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{false, true} {
		t.Run(strconv.FormatBool(wanted), func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			r := ownStatus()
			r.NoNewPrivs = wanted
			s.launch(r)
			s.ends("{:status, :exited, 0}", 0)
			want := ofProcess(t, os.Getpid(), "NoNewPrivs")
			if wanted {
				want = "1"
			}
			if got := field(t, s.out.String(), "NoNewPrivs"); got != want {
				t.Errorf("NoNewPrivs %s, want %s", got, want)
			}
		})
	}
}

func TestHowWorkloadsEnd(t *testing.T) {
	t.Parallel()
	for script, frame := range map[string]string{
		"exit 0":                        "{:status, :exited, 0}",
		"exit 1":                        "{:status, :exited, 1}",
		"exit 127":                      "{:status, :exited, 127}",
		"exit 255":                      "{:status, :exited, 255}",
		"kill -KILL $$":                 "{:status, :signaled, 9}",
		"kill -TERM $$":                 "{:status, :signaled, 15}",
		"ulimit -c 0; kill -SEGV $$":    "{:status, :signaled, 11}",
		"kill -64 $$":                   "{:status, :signaled, 64}",
		"(exit 3)":                      "{:status, :exited, 3}",
		"kill -STOP $$; echo continued": "{:status, :exited, 0}",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			host := s.launch(sh(script))
			if strings.Contains(script, "STOP") {
				// A workload that stops has not ended.
				eventually(t, "the workload has stopped", func() bool {
					return strings.HasPrefix(ofProcess(t, host, "State"), "T")
				})
				s.send(proto.Command{Kind: proto.Signal, Signal: int(syscall.SIGCONT)})
			}
			s.ends(frame, 0)
			if alive(host) {
				t.Error("the workload has not ended")
			}
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", host)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the workload has not been reaped: %v", err)
			}
		})
	}
}

// A child that is parked can be looked into by its user: that is how a client
// without privileges writes the id maps.
func TestMapsAtTheCheckpoint(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	r := sh("id -u; id -g")
	r.Namespaces = []proto.Namespace{proto.User}
	s.request(r)
	host, _, err := s.AwaitReady(s.ctx)
	skipUnless(t, err, "clone")
	mapRoot(t, host)
	s.send(proceed)
	s.running()
	s.ends("{:status, :exited, 0}", 0)
	if got := s.out.String(); got != "0\n0\n" {
		t.Errorf("ids %q", got)
	}
}

// mapRoot maps the user and the group of this process to 0 in the user namespace of
// the process.
func mapRoot(t testing.TB, pid int) {
	t.Helper()
	for _, f := range []struct{ file, text string }{
		{"uid_map", fmt.Sprintf("0 %d 1", os.Geteuid())},
		{"setgroups", "deny"},
		{"gid_map", fmt.Sprintf("0 %d 1", os.Getegid())},
	} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, f.file), []byte(f.text), 0); err != nil {
			t.Fatal(err)
		}
	}
}
