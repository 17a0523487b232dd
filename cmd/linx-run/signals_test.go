package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSignalsAreForwarded(t *testing.T) {
	r := launch(t, "line ready", self(t), workloadName)
	for _, sig := range termination {
		r.signal(sig)
		r.expect("signal " + unix.SignalName(sig.(syscall.Signal)))
	}
	fmt.Fprintln(r.stdin, "end")
	r.expect("line end")
	r.end(7)
}

func TestSignalEndsTheCommand(t *testing.T) {
	r := launch(t, "ready", "cat")
	r.signal(unix.SIGTERM)
	r.end(128 + 15)
}

// The kernel does not give such a signal to the first process of a pid namespace.
func TestSignalEndsTheFirstProcessOfANamespace(t *testing.T) {
	needsUserNamespaces(t, nil)
	r := launch(t, "ready", "--ns", "user,pid", "cat")
	r.signal(unix.SIGTERM)
	r.end(128 + 9)
}

func TestSignalReachesAFirstProcessThatHandlesIt(t *testing.T) {
	needsUserNamespaces(t, nil)
	r := launch(t, "line ready", "--ns", "user,pid", self(t), workloadName)
	r.signal(unix.SIGTERM)
	r.expect("signal SIGTERM")
	fmt.Fprintln(r.stdin, "end")
	r.expect("line end")
	r.end(7)
}

// As by nohup(1).
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	nohup := filepath.Join(t.TempDir(), "nohup")
	script := "#!/bin/sh\ntrap '' HUP\nexec " + linxRun() + ` "$@"` + "\n"
	if err := os.WriteFile(nohup, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r := launchAs(t, nohup, "line ready", self(t), workloadName)
	r.signal(unix.SIGHUP)
	r.signal(unix.SIGTERM)
	r.expect("signal SIGTERM")
	fmt.Fprintln(r.stdin, "end")
	r.expect("line end")
	r.end(7)
}

func TestDeathOfLinxRunEndsTheCommand(t *testing.T) {
	r := launch(t, "line ready", "--orphan", "kill:60000", self(t), workloadName)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.expect("signal SIGTERM")
	fmt.Fprintln(r.stdin, "end")
	r.expect("line end")
	r.end(-1)
}

func TestLinger(t *testing.T) {
	r := launch(t, "line ready", "--orphan", "linger", self(t), workloadName)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(r.stdin, "still here")
	r.expect("line still here")
	fmt.Fprintln(r.stdin, "end")
	r.expect("line end")
	r.end(-1)
}

// Ctrl-C on a terminal that the command shares with linx-run reaches it once, by
// the terminal, and reaches nothing that would end the session. It can read from
// that terminal.
func TestKeysOfASharedTerminal(t *testing.T) {
	s := sit(t, true, "--no-pty", "--trace", self(t), workloadName)
	s.enter("ready\r")
	s.expect("line ready\r\n")
	s.enter("\x03")
	s.expect("signal SIGINT\r\n")
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
	if got := s.seen.String(); strings.Count(got, "signal") != 2 {
		t.Errorf("signals came twice: %q", got)
	}
	if got := strings.Count(s.stderr.String(), "> {:signal,"); got != 1 {
		t.Errorf("%d signals were forwarded, only SIGTERM was to be:\n%s", got, s.stderr)
	}
}

// SIGQUIT from the terminal must not end the agent either.
func TestQuitKeyOfASharedTerminal(t *testing.T) {
	s := sit(t, true, "--no-pty", self(t), workloadName)
	s.enter("ready\r")
	s.expect("line ready\r\n")
	s.enter("\x1c")
	s.expect("signal SIGQUIT\r\n")
	s.enter("end\r")
	s.expect("line end\r\n")
	s.leave(7)
}

func TestKeyEndsTheFirstProcessOfANamespace(t *testing.T) {
	needsUserNamespaces(t, nil)
	s := sit(t, true, "--no-pty", "--ns", "user,pid", "cat")
	s.enter("ready\r")
	s.expect("ready\r\nready\r\n") // the echo, and what cat writes
	s.enter("\x03")
	s.leave(128 + 9)
}
