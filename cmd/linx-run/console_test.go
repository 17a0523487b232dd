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
