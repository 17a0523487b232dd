// Package test drives the built agent as a client does, over pipes and over
// socketpairs, on the running kernel: real namespaces, filters and terminals.
package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// binary is the agent under test.
var binary string

func TestMain(m *testing.M) {
	// A helper process of a test is this binary again.
	if len(os.Args) > 2 && os.Args[1] == "as" {
		os.Exit(as(os.Args[2], os.Args[3:]))
	}
	os.Exit(run(m))
}

// run builds the agent, runs the tests, and fails where one of them has left a
// descriptor or a process behind.
func run(m *testing.M) int {
	// Orphans of orphans come to us, where the leak check sees them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "prctl(PR_SET_CHILD_SUBREAPER):", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "linx-process-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Helpers of the tests may run as another user.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "linx-process")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../cmd/linx-process")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	// The runtime opens its poller once and keeps it.
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r.Close()
	w.Close()
	before := descriptors()
	code := m.Run()
	if leaked := leaks(before); leaked != "" {
		fmt.Fprintln(os.Stderr, "left behind:", leaked)
		return 1
	}
	return code
}

// leaks waits for what is on its way out, and names what stays.
func leaks(before map[string]string) string {
	var found []string
	for range 200 {
		found = nil
		for fd, target := range descriptors() {
			if _, ok := before[fd]; !ok {
				found = append(found, "descriptor "+fd+" to "+target)
			}
		}
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if err != nil || pid <= 0 {
				if pid == 0 && err == nil {
					found = append(found, "processes "+children())
				}
				break
			}
		}
		if len(found) == 0 {
			return ""
		}
		time.Sleep(25 * time.Millisecond)
	}
	return strings.Join(found, ", ")
}

func descriptors() map[string]string {
	fds := map[string]string{}
	names, _ := os.ReadDir("/proc/self/fd")
	for _, name := range names {
		if target, err := os.Readlink("/proc/self/fd/" + name.Name()); err == nil {
			fds[name.Name()] = target
		}
	}
	return fds
}

func children() string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	return string(b)
}

// patience is how long anything that a test waits for may take. It is there to
// end a test that hangs, not to time one.
const patience = 60 * time.Second

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// output is where a workload that inherits its descriptors writes to.
type output struct{ *os.File }

func newOutput(t testing.TB) output {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return output{f}
}

func (o output) String() string {
	b, err := os.ReadFile(o.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// session is an agent with what its workload writes.
type session struct {
	*client.Session
	t   testing.TB
	ctx context.Context
	out output // stdout and stderr of agent and workload
}

// start starts an agent. change may be nil.
func start(t testing.TB, change func(*client.Options)) *session {
	t.Helper()
	s := &session{t: t, ctx: deadline(t), out: newOutput(t)}
	o := client.Options{Path: binary, Stdout: s.out.File, Stderr: s.out.File}
	if change != nil {
		change(&o)
	}
	var err error
	if s.Session, err = client.Start(s.ctx, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// sh is a request for a shell script.
func sh(script string, args ...string) proto.Request {
	return proto.Request{
		Argv:   append([]string{"/bin/sh", "-c", script, "sh"}, args...),
		Orphan: proto.DefaultOrphan,
	}
}

func (s *session) request(r proto.Request) {
	s.t.Helper()
	if err := s.Request(r); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) send(commands ...proto.Command) {
	s.t.Helper()
	for _, c := range commands {
		if err := s.Send(c); err != nil {
			s.t.Fatalf("%v: %v", c, err)
		}
	}
}

// proceed is the command for that.
var proceed = proto.Command{Kind: proto.Proceed}

// ready waits for the checkpoint.
func (s *session) ready() (host, inner int) {
	s.t.Helper()
	host, inner, err := s.AwaitReady(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return host, inner
}

// running waits for execve(2) to have succeeded.
func (s *session) running() {
	s.t.Helper()
	if err := s.AwaitRunning(s.ctx); err != nil {
		s.t.Fatal(err)
	}
}

// launch is a request that goes all the way; it returns the host pid.
func (s *session) launch(r proto.Request) int {
	s.t.Helper()
	s.request(r)
	host, _ := s.ready()
	s.send(proceed)
	s.running()
	return host
}

// ends waits for the terminal frame and for the agent, and holds both against
// what is wanted: the frame as it is printed, and the agent's exit code.
func (s *session) ends(frame string, code int) {
	s.t.Helper()
	var last proto.Event
	for {
		e, err := s.Next(s.ctx)
		if err != nil {
			if len(frame) > 0 {
				s.t.Fatalf("no terminal frame: %v", err)
			}
			break
		}
		last = e
		if e.Kind.Terminal() && e.String() == frame {
			break
		}
		if e.Kind.Terminal() {
			s.t.Fatalf("ended with %v, want %s; output: %s", e, frame, s.out)
		}
	}
	if frame == "" && last.Kind.Terminal() {
		s.t.Fatalf("a terminal frame: %v", last)
	}
	s.exits(code)
}

// exits waits for the agent.
func (s *session) exits(code int) {
	s.t.Helper()
	status, err := s.AgentExit(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if !status.Exited() || status.ExitStatus() != code {
		s.t.Errorf("the agent ended with %v (exit %d), want exit %d; output: %s", status, status.ExitStatus(), code, s.out)
	}
}

// frames reads all frames, printed, up to the end of the stream.
func (s *session) frames() []string {
	s.t.Helper()
	var all []string
	for {
		e, err := s.Next(s.ctx)
		if err != nil {
			return all
		}
		all = append(all, e.String())
	}
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// alive tells whether the process is there and no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	rest := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(rest) > 0 && string(rest[0]) != "Z" && string(rest[0]) != "X"
}

// skipUnless skips a test for want of privilege, or fails it where everything
// has to work.
func skipUnless(t testing.TB, err error, what string) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("MUST_WORK") != "" || !(errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v", what, err)
}
