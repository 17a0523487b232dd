// Package leak fails a test binary that leaves a descriptor or a process behind.
package leak

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Run runs the tests (testing.M) and returns the exit code for the binary.
func Run(m interface{ Run() int }) int {
	before := Descriptors()
	code := m.Run()
	if after := Descriptors(); code == 0 && len(after) > len(before) {
		fmt.Printf("descriptors leaked: %v, at start %v\n", after, before)
		code = 1
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); code == 0 && err != unix.ECHILD {
		fmt.Println("processes leaked")
		code = 1
	}
	return code
}

// Descriptors are what the process has open, but for the runtime's own, which
// appear when it first needs them. It panics without a /proc.
func Descriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	var open []string
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") {
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}
