package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// console is a terminal with a user before it: the test.
type console struct {
	t             *testing.T
	master, slave *os.File
	seen          bytes.Buffer // all that was shown
	checked       int          // of it, what expect has passed
}

func newConsole(t *testing.T) *console {
	t.Helper()
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, master: os.NewFile(uintptr(master), "master"), slave: os.NewFile(uintptr(slave), "slave")}
	t.Cleanup(func() {
		c.master.Close()
		c.slave.Close()
	})
	return c
}

func (c *console) resize(rows, cols uint16) {
	c.t.Helper()
	if err := unix.IoctlSetWinsize(int(c.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) modes() unix.Termios {
	c.t.Helper()
	termios, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	return *termios
}

func (c *console) enter(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, text); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads until text has been shown behind what was expected before.
func (c *console) expect(text string) {
	c.t.Helper()
	if err := c.master.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		if i := strings.Index(c.seen.String()[c.checked:], text); i >= 0 {
			c.checked += i + len(text)
			return
		}
		n, err := c.master.Read(b)
		if err != nil {
			c.t.Fatalf("no %q in %q: %v", text, c.seen.String()[c.checked:], err)
		}
		c.seen.Write(b[:n])
	}
}

// rest reads what is still to be shown, once nobody writes any more.
func (c *console) rest() string {
	c.t.Helper()
	c.slave.Close() // the last one: the master ends with EIO
	_, _ = io.Copy(&c.seen, c.master)
	return c.seen.String()[c.checked:]
}

// lines collects what is written to it and lets wait for a line.
type lines struct {
	mu   sync.Mutex
	more *sync.Cond
	b    bytes.Buffer
}

func newLines() *lines {
	l := &lines{}
	l.more = sync.NewCond(&l.mu)
	return l
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.more.Broadcast()
	return l.b.Write(p)
}

// await waits for text; false when the time is up.
func (l *lines) await(text string) bool {
	end := time.Now().Add(patience)
	timer := time.AfterFunc(patience, l.more.Broadcast)
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !strings.Contains(l.b.String(), text) {
		if !time.Now().Before(end) {
			return false
		}
		l.more.Wait()
	}
	return true
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// seated is a linx-run with the console as its controlling terminal and stdio.
type seated struct {
	*console
	cmd    *exec.Cmd
	stderr *lines // nil: the console
}

// sit starts linx-run. With apart its stderr is not the console.
func sit(t *testing.T, apart bool, args ...string) *seated {
	t.Helper()
	s := &seated{console: newConsole(t)}
	s.resize(24, 80)
	s.cmd = exec.CommandContext(t.Context(), linxRun(), args...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = s.slave, s.slave, s.slave
	if apart {
		s.stderr = newLines()
		s.cmd.Stderr = s.stderr
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.cmd.WaitDelay = patience
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
	})
	return s
}

func (s *seated) leave(code int) {
	s.t.Helper()
	_ = s.cmd.Wait() // its error is the exit status
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit status %d, want %d; on the terminal: %q", got, code, s.seen.String())
	}
}

func TestTerminalOfItsOwn(t *testing.T) {
	s := sit(t, false, "sh", "-c", "stty size; test -t 2 && ps -o tty= -p $$; read x; echo got $x; exit 5")
	s.expect("24 80\r\npts/")
	s.enter("typed\r")
	s.expect("typed\r\ngot typed\r\n")
	s.leave(5)
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
	if !s.stderr.await("> {:pty_winsize, {50, 132, 0, 0}}") {
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
	s.expect("ready\r\n")
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.expect("signal SIGTERM\r\n")
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.leave(128 + 15)
}

// Ctrl-C on a terminal that the command shares with linx-run reaches it once, by
// the terminal, and reaches nothing that would end the session. It can read from
// that terminal.
func TestKeysOfASharedTerminal(t *testing.T) {
	s := sit(t, true, "--no-pty", "--trace", self(t), workloadName)
	s.expect("ready\r\n")
	s.enter("\x03")
	s.expect("signal SIGINT\r\n")
	s.enter("\x1c")
	s.expect("signal SIGQUIT\r\n")
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.expect("signal SIGTERM\r\n")
	s.enter("end\r")
	s.expect("line end\r\n")
	s.leave(7)
	if rest := s.rest(); rest != "" {
		t.Errorf("more came: %q", rest)
	}
	if got := s.seen.String(); strings.Count(got, "signal") != 3 {
		t.Errorf("signals came twice: %q", got)
	}
	if got := strings.Count(s.stderr.String(), "> {:signal,"); got != 1 {
		t.Errorf("%d signals were forwarded, only SIGTERM was to be:\n%s", got, s.stderr)
	}
}

func TestKeyEndsTheFirstProcessOfANamespace(t *testing.T) {
	needsUserNamespaces(t, nil)
	s := sit(t, true, "--no-pty", "--ns", "user,pid", "sh", "-c", "echo ready; exec sleep 1000")
	s.expect("ready\r\n")
	s.enter("\x03")
	s.leave(128 + 9)
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
