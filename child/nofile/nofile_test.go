package nofile_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/linxprocess/linx-process/child/nofile"
	"golang.org/x/sys/unix"
)

// (An external test: what the package itself imports would be initialised before
// it.)
//
// The test binary runs itself below a soft limit of its own and tells what it
// was started with and what main sees.
func TestOriginal(t *testing.T) {
	if os.Getenv("NOFILE_TELL") != "" {
		limit, ok := nofile.Original()
		var now unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%d %t raised=%t\n", limit.Soft, ok, now.Cur > limit.Soft)
		os.Exit(0)
	}
	cmd := exec.Command("/bin/sh", "-c", `ulimit -S -n 77 && exec "$0" -test.run=TestOriginal`, os.Args[0])
	cmd.Env = append(os.Environ(), "NOFILE_TELL=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := string(out); got != "77 true raised=true\n" {
		t.Errorf("got %q", got)
	}
}
