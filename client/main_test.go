package client

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// agentPath is the agent binary that TestMain has built.
var agentPath string

// TestMain builds the agent, and fails where the tests leave a descriptor or a
// process behind.
func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "linx-client-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	agentPath = filepath.Join(dir, "linx-process")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", agentPath, "github.com/linxprocess/linx-process/cmd/linx-process")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the agent: %v\n%s", err, out)
		return 1
	}
	before := descriptors()
	code := m.Run()
	if code != 0 {
		return code
	}
	if after := descriptors(); after > before {
		fmt.Fprintf(os.Stderr, "%d descriptors are open that were not before\n", after-before)
		code = 1
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		fmt.Fprintf(os.Stderr, "a child is left: %d, %v\n", pid, err)
		code = 1
	}
	return code
}

// descriptors counts those that are open. The runtime's poller has some of its own
// once it is used.
func descriptors() int {
	r, w, err := os.Pipe()
	if err != nil {
		return -1
	}
	defer r.Close()
	defer w.Close()
	if err := r.SetReadDeadline(time.Now()); err != nil {
		return -1
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}
