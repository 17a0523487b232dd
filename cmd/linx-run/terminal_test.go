package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTerminalOfItsOwn(t *testing.T) {
	s := sit(t, false, "sh", "-c", "stty size; test -t 2 && ps -o tty= -p $$; read x; echo got $x; exit 5")
	s.expect("24 80\r\npts/")
	s.enter("typed\r")
	s.expect("typed\r\ngot typed\r\n")
	s.leave(5)
}

func TestTraceOnARawTerminal(t *testing.T) {
	s := sit(t, false, "--trace", "sh", "-c", "exit 4")
	s.expect("> :proceed\r\n< {:status, :running}\r\n< {:status, :exited, 4}\r\n")
	s.leave(4)
}

func TestNoTerminalWhereStdoutIsNone(t *testing.T) {
	c := newConsole(t)
	cmd := exec.CommandContext(t.Context(), linxRun(), "sh", "-c", "test -t 0 && ! test -t 1 && echo yes")
	cmd.Stdin = c.slave
	if out, err := cmd.Output(); err != nil || string(out) != "yes\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestResize(t *testing.T) {
	s := sit(t, true, "--trace", "sh", "-c", "echo ready; read x; stty size")
	s.expect("ready\r\n")
	s.resize(50, 132)
	if !s.stderr.await("> {:pty_winsize, {50, 132, 0, 0}}\n") {
		t.Fatalf("no frame with the new size:\n%s", s.stderr)
	}
	s.enter("\r")
	s.expect("50 132\r\n")
	s.leave(0)
}

func TestTerminalIsRestored(t *testing.T) {
	kill := func(sig syscall.Signal) func(*seated) error {
		return func(s *seated) error { return s.cmd.Process.Signal(sig) }
	}
	for name, c := range map[string]struct {
		end  func(*seated) error
		code int
	}{
		"exit of the command": {func(s *seated) error {
			_, err := io.WriteString(s.master, "\r")
			return err
		}, 3},
		"SIGTERM": {kill(unix.SIGTERM), 128 + 15},
		"SIGINT":  {kill(unix.SIGINT), 128 + 15},
		"SIGQUIT": {kill(unix.SIGQUIT), 128 + 15},
		"SIGHUP":  {kill(unix.SIGHUP), 128 + 15},
		"death of the agent": {func(s *seated) error {
			return unix.Kill(childOf(s.t, s.cmd.Process.Pid), unix.SIGKILL)
		}, 125},
	} {
		t.Run(name, func(t *testing.T) {
			s := sit(t, true, "sh", "-c", "echo ready; read x; exit 3")
			s.expect("ready\r\n")
			if s.modes().Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
				t.Error("the terminal is not raw")
			}
			// It was what a fresh console is.
			before := newConsole(t).modes()
			if err := c.end(s); err != nil {
				t.Fatal(err)
			}
			s.leave(c.code)
			if got := s.modes(); got != before {
				t.Errorf("modes %+v, were %+v", got, before)
			}
		})
	}
}

func TestTerminalIsRestoredWhenNothingRuns(t *testing.T) {
	s := sit(t, false, "/no/such/file")
	s.expect("linx-run: cannot execute /no/such/file: execve: no such file or directory\r\n")
	s.leave(127)
	if got, fresh := s.modes(), newConsole(t).modes(); got != fresh {
		t.Errorf("modes %+v, were %+v", got, fresh)
	}
}

func TestTerminalIsRestoredByAPanic(t *testing.T) {
	c := newConsole(t)
	before := c.modes()
	screen := &terminal{fd: int(c.slave.Fd())}
	if err := screen.raw(); err != nil {
		t.Fatal(err)
	}
	if !screen.isRaw() || c.modes() == before {
		t.Error("the terminal is not raw")
	}
	func() {
		defer func() {
			if v := recover(); v != "on purpose" {
				t.Errorf("recovered %v", v)
			}
		}()
		defer screen.guard()
		panic("on purpose")
	}()
	if screen.isRaw() || c.modes() != before {
		t.Error("the terminal is still raw")
	}
}

// A policy that lets the command live on does not keep linx-run.
func TestSignalWithAPolicyToLinger(t *testing.T) {
	s := sit(t, true, "--orphan", "linger", "sh", "-c", "echo ready; read x")
	s.expect("ready\r\n")
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.leave(128 + 15)
}

// The second signal does not wait for the grace of the first.
func TestSecondSignalEndsItAtOnce(t *testing.T) {
	s := sit(t, true, "--orphan", "kill:60000", self(t), workloadName)
	s.enter("ready\r")
	s.expect("line ready\r\n")
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.expect("signal SIGTERM\r\n")
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.leave(128 + 15)
}

func TestInputThatIsNoTerminal(t *testing.T) {
	for name, in := range map[string]string{"lines": "a\nb\n", "a partial line": "a\nb", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			cmd := command(t, "--pty", "cat")
			cmd.Stdin = strings.NewReader(in)
			got := finish(t, cmd)
			// The terminal echoes what it gets, and cat writes it again; which is
			// first is not settled. Each character is there twice.
			for _, c := range "ab\n" {
				if n := strings.Count(got.stdout, string(c)); n != 2*strings.Count(in, string(c)) {
					t.Errorf("%d of %q", n, c)
				}
			}
			if got.code != 0 || got.stderr != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestOutputThatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd := command(t, "--pty", "yes")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	_ = cmd.Run() // its error is the exit status
	w.Close()
	if got := cmd.ProcessState.ExitCode(); got != 128+13 || stderr.Len() != 0 {
		t.Errorf("exit status %d, %s", got, stderr.String())
	}
}

// A command that does not read loses input, and that is said.
func TestInputThatIsLost(t *testing.T) {
	cmd := command(t, "--pty", "sh", "-c", "stty raw -echo; echo ready; exec sleep 1000")
	stderr := newLines()
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go io.Copy(in, neverEnding{})
	if !stderr.await("bytes of input are lost, the command does not read them\n") {
		t.Errorf("stderr: %s", stderr)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error is the exit status
	if got := cmd.ProcessState.ExitCode(); got != 128+15 {
		t.Errorf("exit status %d", got)
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
