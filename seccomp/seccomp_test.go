package seccomp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linxprocess/linx-process/child"
)

// denyChdir is a filter that gives chdir(2) that errno.
func denyChdir(errno uint32) []byte {
	return encode(
		ins{Code: ldAbs},
		ins{Code: jeq, Jt: 0, Jf: 1, K: unix.SYS_CHDIR},
		ins{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | errno},
		allow,
	)
}

func TestInstallProgram(t *testing.T) {
	long, short := denyChdir(42), encode(allow)
	got := child.Program{Name: "filters", Ops: Install([][]byte{long, short})}
	const want = `filters:
  prctl(PR_SET_NO_NEW_PRIVS, 1)  [seccomp_no_new_privs]
  seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=4})  [seccomp_install]
  seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=1})  [seccomp_install]
`
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if size := 3*64 + 2*16 + len(long) + len(short); got.Size() != size {
		t.Errorf("%d bytes of arena, want %d", got.Size(), size)
	}
	if !reflect.DeepEqual(got.Ops[0], NoNewPrivs()) {
		t.Errorf("first op: %v", got.Ops[0])
	}
	if ops := Install(nil); ops != nil {
		t.Errorf("of no filters: %v", ops)
	}
}

func TestInstallNeverShortensAFilter(t *testing.T) {
	ops := Install([][]byte{encode(straight(1<<16 + 1)...)})
	if got := ops[1].String(); !strings.Contains(got, "{len=65535}") {
		t.Errorf("%s", got)
	}
}

// run has a throw-away child run the ops, and tells how that ended. The child
// stays parked until the test is over, unless an op failed.
func run(t *testing.T, ops ...child.Op) (*child.Process, error) {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	program := child.Program{Name: t.Name(), Ops: ops}
	p, err := child.New(program.Size())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.PIDFD >= 0 {
			if err := errors.Join(
				unix.PidfdSendSignal(p.PIDFD, unix.SIGKILL, nil, 0),
				unix.Waitid(unix.P_PIDFD, p.PIDFD, nil, unix.WEXITED, nil),
			); err != nil {
				t.Error(err)
			}
		}
		p.Close()
	})
	if err := p.Start(0, program); err != nil {
		t.Fatal(err)
	}
	for {
		fds := []unix.PollFd{{Fd: int32(p.Reports()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		if err := p.Report(); err != unix.EAGAIN {
			return p, err
		}
	}
}

// status is a number in /proc/<pid>/status, -1 where the kernel has no such
// field.
func status(t *testing.T, pid int, field string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return -1
}

func TestNoNewPrivsAlone(t *testing.T) {
	p, err := run(t, NoNewPrivs(), NoNewPrivs())
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, p.PID, "NoNewPrivs"); got != 1 {
		t.Errorf("NoNewPrivs: %d", got)
	}
	if got, had := status(t, p.PID, "Seccomp"), status(t, os.Getpid(), "Seccomp"); got != had {
		t.Errorf("Seccomp: %d, was %d", got, had)
	}
}

func TestInstalledFilters(t *testing.T) {
	p, err := run(t, Install([][]byte{encode(allow), encode(straight(4096)...), encode(allow)})...)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]int{"NoNewPrivs": 1, "Seccomp": 2} {
		if got := status(t, p.PID, field); got != want {
			t.Errorf("%s: %d, want %d", field, got, want)
		}
	}
	const count = "Seccomp_filters" // since Linux 5.9
	if got, had := status(t, p.PID, count), status(t, os.Getpid(), count); got != -1 && got != had+3 {
		t.Errorf("%d filters, were %d", got, had)
	}
}

// The filter installed last decides between actions of the same rank
// (seccomp(2)), so its errno is the one that is seen.
func TestFiltersAreInstalledInOrder(t *testing.T) {
	for _, c := range []struct {
		errnos []uint32
		want   unix.Errno
	}{
		{[]uint32{41}, 41},
		{[]uint32{41, 42}, 42},
		{[]uint32{42, 43, 41}, 41},
	} {
		t.Run(fmt.Sprint(c.errnos), func(t *testing.T) {
			var filters [][]byte
			for _, e := range c.errnos {
				filters = append(filters, denyChdir(e))
			}
			_, err := run(t, append(Install(filters),
				child.Op{Call: child.Chdir, Args: []child.Arg{child.String("/")}, Stage: "denied"})...)
			var f *child.Failure
			if !errors.As(err, &f) || f.Stage != "denied" || f.Errno != c.want {
				t.Errorf("%v, want errno %d", err, c.want)
			}
		})
	}
}

func TestFailedInstallHasItsStage(t *testing.T) {
	_, err := run(t, Install([][]byte{encode(allow), encode(ins{Code: ldImm})})...)
	var f *child.Failure
	if !errors.As(err, &f) || f.Stage != "seccomp_install" || f.Errno != unix.EINVAL {
		t.Errorf("%v", err)
	}
}

func TestStack(t *testing.T) {
	var s Stack
	if s.Filters() != nil {
		t.Errorf("an empty stack has %v", s.Filters())
	}
	first, second := denyChdir(1), encode(allow)
	frame := append([]byte(nil), first...)
	if err := s.Add(frame); err != nil {
		t.Fatal(err)
	}
	clear(frame) // as a reader does that takes its next frame into the same memory
	if err := s.Add(encode(ins{Code: ldImm})); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a bad filter: %v", err)
	}
	if err := s.Add(second); err != nil {
		t.Fatal(err)
	}
	if want := [][]byte{first, second}; !reflect.DeepEqual(s.Filters(), want) {
		t.Errorf("got %v, want %v", s.Filters(), want)
	}
}

func TestStackIsBounded(t *testing.T) {
	for _, c := range []struct{ insns, fit int }{
		{4096, 7},        // 7 × 4,096 + 6 × 4 = 28,696
		{4092, 8},        // 8 × 4,092 + 7 × 4 = 32,764
		{4093, 7},        // 8 × 4,093 + 7 × 4 = 32,772
		{1, 1 + 32767/5}, // the first counts 1, the others 5
	} {
		t.Run(fmt.Sprint(c.insns), func(t *testing.T) {
			var s Stack
			filter := encode(straight(c.insns)...)
			for i := range c.fit {
				if err := s.Add(filter); err != nil {
					t.Fatalf("filter %d: %v", i, err)
				}
			}
			for range 2 {
				if err := s.Add(filter); !errors.Is(err, unix.ENOMEM) {
					t.Errorf("one more: %v", err)
				}
			}
			if got := len(s.Filters()); got != c.fit {
				t.Errorf("%d filters, want %d", got, c.fit)
			}
		})
	}
}

// TestStackRefusesOnlyWhatTheKernelDoes fills stacks at random until one more
// filter does not fit, and has the kernel take all of them and that one.
func TestStackRefusesOnlyWhatTheKernelDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for i := range 20 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			var (
				s       Stack
				refused []byte
			)
			for refused == nil {
				f := encode(straight(1 + r.IntN(4096))...)
				if err := s.Add(f); errors.Is(err, unix.ENOMEM) {
					refused = f
				} else if err != nil {
					t.Fatal(err)
				}
			}
			_, err := run(t, Install(append(s.Filters(), refused))...)
			var f *child.Failure
			if !errors.As(err, &f) || f.Stage != "seccomp_install" || f.Errno != unix.ENOMEM {
				t.Errorf("%d filters: %v, want ENOMEM", len(s.Filters())+1, err)
			}
		})
	}
}
