package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

func start(t *testing.T, o Options) *Session {
	t.Helper()
	if o.Path == "" {
		o.Path = agentPath
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// shell asks for a shell that runs the script, and lets it execute.
func shell(t *testing.T, s *Session, script string) {
	t.Helper()
	err := errors.Join(
		s.Request(proto.Request{Argv: []string{"/bin/sh", "-c", script}, Orphan: proto.OrphanPolicy{GraceMS: 100}}),
		s.Proceed(),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// output runs f with a file for the workload's output and returns what was
// written to it.
func output(t *testing.T, f func(out *os.File)) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f(w)
	w.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestAgentOnBothTransports(t *testing.T) {
	for name, socketpair := range map[string]bool{"pipes": false, "socketpair": true} {
		t.Run(name, func(t *testing.T) {
			got := output(t, func(out *os.File) {
				s := start(t, Options{Socketpair: socketpair, Stdout: out})
				shell(t, s, "echo output; exit 7")
				ctx := limited(t)
				if _, _, err := s.AwaitReady(ctx); err != nil {
					t.Fatal(err)
				}
				if err := s.AwaitRunning(ctx); err != nil {
					t.Fatal(err)
				}
				if r, err := s.Wait(ctx); err != nil || r != (Result{proto.Exited, 7}) {
					t.Fatalf("%v, %v", r, err)
				}
				if _, err := s.Next(ctx); err != io.EOF {
					t.Errorf("behind the end: %v", err)
				}
				if status, err := s.AgentExit(ctx); err != nil || !status.Exited() || status.ExitStatus() != 0 {
					t.Errorf("agent: %v, %v", status, err)
				}
			})
			if got != "output\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}

func TestAgentGetsWhatOptionsSay(t *testing.T) {
	dir := t.TempDir()
	extra, err := os.Create(filepath.Join(dir, "extra"))
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	got := output(t, func(out *os.File) {
		in, err := os.Open("/dev/zero")
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		s := start(t, Options{
			Dir: dir, Env: []string{"MARK=here"}, Stdin: in, Stdout: out, Stderr: out,
			ExtraFiles:  []*os.File{extra},
			SysProcAttr: &unix.SysProcAttr{Setsid: true},
		})
		if sid, err := unix.Getsid(s.AgentPID()); err != nil || sid != s.AgentPID() {
			t.Errorf("session of the agent: %d, %v", sid, err)
		}
		shell(t, s, "pwd; echo $MARK; readlink /proc/$$/fd/0; readlink /proc/$$/fd/5 || echo none; echo end >&2")
		if _, err := s.Wait(limited(t)); err != nil {
			t.Fatal(err)
		}
	})
	want := strings.Join([]string{dir, "here", "/dev/zero", "none", "end", ""}, "\n")
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStdioIsNullWhereNoneIsGiven(t *testing.T) {
	s := start(t, Options{})
	shell(t, s, `for fd in 0 1 2; do test "$(readlink /proc/$$/fd/$fd)" = /dev/null || exit 1; done`)
	// $(…) replaces descriptor 1 of its subshell only, $$ is the shell itself.
	if r, err := s.Wait(limited(t)); err != nil || r.N != 0 {
		t.Errorf("%v, %v", r, err)
	}
}

func TestStartFails(t *testing.T) {
	for name, o := range map[string]Options{
		"no file":      {Path: "/no/such/agent"},
		"no directory": {Path: agentPath, Dir: "/no/such/directory"},
	} {
		if _, err := Start(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAgentDies(t *testing.T) {
	t.Run("by a signal", func(t *testing.T) {
		s := start(t, Options{})
		shell(t, s, "exec sleep 1000")
		ctx := limited(t)
		if err := s.AwaitRunning(ctx); err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(s.AgentPID(), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_, err := s.Wait(ctx)
		var death *AgentDeath
		if !errors.Is(err, ErrAgentDied) || !errors.As(err, &death) || death.Status.Signal() != unix.SIGKILL {
			t.Errorf("wait: %v", err)
		}
		if want := "signal 9 (killed)"; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("message %q", err)
		}
	})
	t.Run("by its own choice", func(t *testing.T) {
		s := start(t, Options{})
		s.Hangup()
		_, err := s.Next(limited(t))
		var death *AgentDeath
		if !errors.As(err, &death) || death.Status.ExitStatus() != 1 {
			t.Errorf("next: %v", err)
		}
		if want := "exit status 1"; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("message %q", err)
		}
	})
}

func TestHangupLeavesTheRestToThePolicy(t *testing.T) {
	s := start(t, Options{})
	shell(t, s, "exec sleep 1000")
	ctx := limited(t)
	if err := s.AwaitRunning(ctx); err != nil {
		t.Fatal(err)
	}
	s.Hangup()
	if r, err := s.Wait(ctx); err != nil || r != (Result{proto.Signaled, 15}) {
		t.Errorf("%v, %v", r, err)
	}
	if status, err := s.AgentExit(ctx); err != nil || status.ExitStatus() != 1 {
		t.Errorf("agent: %v, %v", status, err)
	}
}

func TestAgentExitHeedsItsContext(t *testing.T) {
	s := start(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.AgentExit(ctx); err != context.DeadlineExceeded {
		t.Errorf("exit: %v", err)
	}
}

func TestCloseEndsTheAgent(t *testing.T) {
	for name, until := range map[string]func(*testing.T, *Session){
		"before the request": func(*testing.T, *Session) {},
		"while it is parked": func(t *testing.T, s *Session) {
			if err := s.Request(proto.Request{Argv: []string{"/bin/true"}}); err != nil {
				t.Error(err)
			}
			if _, _, err := s.AwaitReady(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"while it runs": func(t *testing.T, s *Session) {
			shell(t, s, "exec sleep 1000")
			if err := s.AwaitRunning(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"with unread events": func(t *testing.T, s *Session) { shell(t, s, "exit 0") },
		"when it has left": func(t *testing.T, s *Session) {
			shell(t, s, "exit 0")
			if _, err := s.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"when it is dead": func(t *testing.T, s *Session) {
			if err := unix.Kill(s.AgentPID(), unix.SIGKILL); err != nil {
				t.Error(err)
			}
			expectError(t, s, ErrAgentDied)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{})
			until(t, s)
			for range 2 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := unix.Kill(s.AgentPID(), 0); err != unix.ESRCH {
				t.Errorf("the agent is still there: %v", err)
			}
		})
	}
}

func TestContextOfStartKillsTheAgent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Options{Path: agentPath})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel()
	if status, err := s.AgentExit(limited(t)); err != nil || status.Signal() != unix.SIGKILL {
		t.Errorf("agent: %v, %v", status, err)
	}
}

func TestAttachedSessionHasNoAgent(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Attach(fds[0], fds[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := os.NewFile(uintptr(fds[1]), "peer")
	defer f.Close()
	p := &peer{t, channel{requests: f, events: f}}
	p.tell(every[0])
	expect(t, s, every[0])
	if s.AgentPID() != 0 {
		t.Errorf("pid %d", s.AgentPID())
	}
	if _, err := s.AgentExit(t.Context()); err != ErrNoAgent {
		t.Errorf("exit: %v", err)
	}
}

func TestAttachTakesBadDescriptorsOver(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	if _, err := Attach(-1, fds[0], nil); !errors.Is(err, unix.EBADF) {
		t.Errorf("attach: %v", err)
	}
	if _, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the other descriptor is still open: %v", err)
	}
}

func TestPTYInAndOut(t *testing.T) {
	s := start(t, Options{})
	err := errors.Join(
		s.Request(proto.Request{
			Argv:  []string{"/bin/sh", "-c", "stty size; read line; echo got $line"},
			Stdio: proto.Stdio{PTY: true}, Orphan: proto.DefaultOrphan,
		}),
		s.Winsize(proto.Winsize{Rows: 33, Cols: 77}),
		s.Proceed(),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx := limited(t)
	if err := s.AwaitRunning(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s, "typed\n"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if r, err := s.WaitOutput(ctx, &out); err != nil || r != (Result{proto.Exited, 0}) {
		t.Fatalf("%v, %v", r, err)
	}
	for _, want := range []string{"33 77\r\n", "got typed\r\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
}
