package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds what a test waits for; it passes only where something is broken.
const patience = 20 * time.Second

// built is the directory with the two binaries that TestMain has made.
var built string

// TestMain builds linx-run and the agent side by side, as they are installed. The
// test binary is also a workload.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workloadName {
		workload()
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "linx-run-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// For tests that run them as somebody else.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	built = dir
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version=of-the-test", "-o", dir+"/", "../linx-process", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func linxRun() string { return filepath.Join(built, "linx-run") }

const workloadName = "workload"

// workload prints each line that it reads, and each signal of termination that it
// gets. It exits with status 7 on the line "end".
func workload() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, termination...)
	lines := make(chan string)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	for {
		select {
		case sig := <-signals:
			fmt.Println("signal", unix.SignalName(sig.(unix.Signal)))
		case line := <-lines:
			fmt.Println("line", line)
			if line == "end" {
				os.Exit(7)
			}
		}
	}
}
