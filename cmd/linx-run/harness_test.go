package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// result is how a run of linx-run ended.
type result struct {
	code           int
	stdout, stderr string
}

// command is linx-run in a session of its own, without a terminal.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), linxRun(), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = patience
	return cmd
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want runs linx-run and compares how it ends.
func want(t *testing.T, code int, stdout, stderr string, args ...string) {
	t.Helper()
	got := finish(t, command(t, args...))
	if got != (result{code, stdout, stderr}) {
		t.Errorf("linx-run %q\ngot  %+v\nwant %+v", args, got, result{code, stdout, stderr})
	}
}

// needsUserNamespaces skips a test where the kernel refuses them to who, nil for
// the user of the test; with MUST_WORK=1 that is a failure.
func needsUserNamespaces(t *testing.T, who *syscall.Credential) {
	t.Helper()
	cmd := exec.Command("unshare", "--user", "true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case !errors.As(err, &exit) || os.Getenv("MUST_WORK") == "1":
		t.Fatalf("no user namespace: %v %s", err, out)
	default:
		t.Skipf("no user namespace: %s", out)
	}
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("MUST_WORK") == "1" {
		t.Fatal("not root")
	}
	t.Skip("not root")
}

// running is a linx-run in the background whose command has answered to the line
// "ready": it is past its start, and has its signal handlers, if any.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Scanner
	stderr bytes.Buffer
}

func launch(t *testing.T, answer string, args ...string) *running {
	t.Helper()
	return launchAs(t, linxRun(), answer, args...)
}

// launchAs is launch of a program that becomes linx-run.
func launchAs(t *testing.T, program, answer string, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: command(t, args...)}
	r.cmd.Path = program
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.lines = bufio.NewScanner(stdout)
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})
	fmt.Fprintln(r.stdin, "ready")
	r.expect(answer)
	return r
}

func (r *running) expect(line string) {
	r.t.Helper()
	if !r.lines.Scan() || r.lines.Text() != line {
		r.t.Fatalf("line %q, want %q; stderr: %s", r.lines.Text(), line, r.stderr.String())
	}
}

func (r *running) signal(sig os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

// end waits for linx-run and compares its exit status. There must be no more
// output.
func (r *running) end(code int) {
	r.t.Helper()
	for r.lines.Scan() {
		r.t.Errorf("unexpected line %q", r.lines.Text())
	}
	_ = r.cmd.Wait() // its error is the exit status
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.t.Errorf("exit status %d, want %d; stderr: %s", got, code, r.stderr.String())
	}
}

// self is the test binary as a workload.
func self(t *testing.T) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// childOf is the only child of a process.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	// Each thread has those that it made.
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, file := range files {
		// One that cannot be read is that of a thread that has exited.
		children, _ := os.ReadFile(file)
		b = append(b, children...)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatalf("children of %d: %q", pid, b)
	}
	return child
}
