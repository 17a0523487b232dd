package sigfd_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/agent/sigfd"
	"golang.org/x/sys/unix"
)

// What Open does is for the life of a process, so each case has one: the test
// binary itself, started again.
func TestMain(m *testing.M) {
	if os.Getenv("SIGFD_HELPER") != "" {
		runtime.LockOSThread()
		if err := helper(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper keeps busy until a word comes in on stdin, so that the handler interrupts
// all kinds of code, and then tells what the eventfd counts: at once, or, where the
// word is wait, when there is something.
func helper() error {
	fd, err := sigfd.Open(unix.SIGTERM, unix.SIGHUP)
	if err != nil {
		return err
	}
	if err := sigfd.Ignore(unix.SIGQUIT); err != nil {
		return err
	}
	fmt.Println("open")
	stop := make(chan struct{})
	for range 4 {
		go func() {
			for s := ""; ; s = fmt.Sprint(len(s)) {
				select {
				case <-stop:
					return
				default:
					runtime.Gosched()
				}
			}
		}()
	}
	var word string
	if _, err := fmt.Scanln(&word); err != nil {
		return err
	}
	close(stop)
	for word == "wait" {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); err != unix.EINTR {
			break
		}
	}
	var count [8]byte
	if _, err := unix.Read(fd, count[:]); err != nil {
		fmt.Println("none:", err)
		return nil
	}
	fmt.Println("count", count[0])
	return nil
}

// start starts the helper through a shell command, and waits until it is open.
func start(t *testing.T, wrap string) (*exec.Cmd, *os.File, *os.File) {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", wrap+` exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "SIGFD_HELPER=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, outW
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inR.Close()
	outW.Close()
	t.Cleanup(func() { inW.Close(); outR.Close() })
	var word string
	if _, err := fmt.Fscanln(outR, &word); err != nil || word != "open" {
		t.Fatalf("the helper says %q, %v", word, err)
	}
	return cmd, inW, outR
}

func TestSignalsBecomeReadable(t *testing.T) {
	for name, c := range map[string]struct {
		wrap   string
		signal unix.Signal
		times  int
		want   string
	}{
		"one":                    {"", unix.SIGTERM, 1, "count 1\n"},
		"a hang-up":              {"", unix.SIGHUP, 1, "count 1\n"},
		"ignored from the start": {"trap '' HUP;", unix.SIGHUP, 1, "none: resource temporarily unavailable\n"},
		"the quit key":           {"", unix.SIGQUIT, 1, "none: resource temporarily unavailable\n"},
		"many":                   {"", unix.SIGTERM, 100, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, in, out := start(t, c.wrap)
			for range c.times {
				if err := cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
				// Two that come at once are one to the kernel, so let the helper run.
				time.Sleep(100 * time.Microsecond)
			}
			word := "wait\n"
			if strings.HasPrefix(c.want, "none") {
				word = "look\n"
			}
			if _, err := in.WriteString(word); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			n, err := out.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got := string(b[:n])
			var count int
			if _, err := fmt.Sscanf(got, "count %d", &count); c.want == "" && (err != nil || count < 1 || count > c.times) {
				t.Errorf("after %d signals: %q", c.times, got)
			}
			if c.want != "" && got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the helper: %v", err)
			}
		})
	}
}
