package caps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linxprocess/linx-process/child"
)

func TestPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		ops  []child.Op
		want string
	}{
		"drop nothing": {DropBounding(0), ""},
		"drop two": {DropBounding(1<<unix.CAP_SYS_PTRACE | 1), `
  prctl(PR_CAPBSET_DROP, 0)  [cap_drop_bounding]
  prctl(PR_CAPBSET_DROP, 19)  [cap_drop_bounding]`},
		"drop what the kernel lacks": {DropBounding(^All()), ""},
		"set": {SetThread(0x1, 0x1ff_ffff_ffff, 0xffff_ffff_ffff_ffff), `
  capset({_LINUX_CAPABILITY_VERSION_3, 0}, {effective=0x1, permitted=0x1ffffffffff, inheritable=0xffffffffffffffff})  [cap_set_thread]`},
		"clear ambient": {SetAmbient(0), `
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)  [cap_set_ambient]`},
		"raise ambient": {SetAmbient(1<<63 | 1<<unix.CAP_NET_ADMIN), `
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)  [cap_set_ambient]
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 12)  [cap_set_ambient]
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 63)  [cap_set_ambient]`},
	} {
		got := strings.TrimSuffix(child.Program{Name: "p", Ops: c.ops}.String(), "\n")
		if want := "p:" + c.want; got != want {
			t.Errorf("%s: got:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

func TestDropOfAllBitsIsDropOfAllThatThereAre(t *testing.T) {
	ops := DropBounding(^uint64(0))
	if len(ops) != int(LastCap())+1 {
		t.Fatalf("%d ops", len(ops))
	}
	if want := fmt.Sprintf("prctl(PR_CAPBSET_DROP, %d)  [cap_drop_bounding]", LastCap()); ops[LastCap()].String() != want {
		t.Errorf("last: %s", ops[LastCap()])
	}
}

func TestCapsetLayout(t *testing.T) {
	var data []byte
	for _, word := range []uint32{
		0x22222222, 0x44444444, 0x66666666, // 0 … 31: effective, permitted, inheritable
		0x11111111, 0x33333333, 0x55555555, // 32 … 63
	} {
		data = binary.NativeEndian.AppendUint32(data, word)
	}
	header := binary.NativeEndian.AppendUint32(nil, 0x20080522)
	header = binary.NativeEndian.AppendUint32(header, 0)
	got := SetThread(0x1111111122222222, 0x3333333344444444, 0x5555555566666666)[0].Args
	want := []child.Arg{
		child.Struct("{_LINUX_CAPABILITY_VERSION_3, 0}", header),
		child.Struct("{effective=0x1111111122222222, permitted=0x3333333344444444, inheritable=0x5555555566666666}", data),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

// sets is what /proc/<pid>/status says.
type sets struct{ bounding, effective, permitted, inheritable, ambient uint64 }

// run has a throw-away child run the ops in a user namespace of its own, where
// it begins with every capability whoever runs the test, and tells how that
// ended, and the sets at the end if no op failed.
func run(t *testing.T, ops ...child.Op) (sets, error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	program := child.Program{Name: t.Name(), Ops: ops}
	p, err := child.New(program.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Start(unix.CLONE_NEWUSER, program); err != nil {
		if os.Getenv("MUST_WORK") != "1" && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL)) {
			t.Skipf("no user namespaces: %v", err)
		}
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(
			unix.PidfdSendSignal(p.PIDFD, unix.SIGKILL, nil, 0),
			unix.Waitid(unix.P_PIDFD, p.PIDFD, nil, unix.WEXITED, nil),
		); err != nil {
			t.Error(err)
		}
	}()
	for {
		fds := []unix.PollFd{{Fd: int32(p.Reports()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		switch err := p.Report(); err {
		case unix.EAGAIN:
		case nil:
			return setsOf(t, p.PID), nil
		default:
			return sets{}, err
		}
	}
}

func setsOf(t *testing.T, pid int) sets {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var s sets
	for field, set := range map[string]*uint64{
		"CapBnd": &s.bounding, "CapEff": &s.effective, "CapPrm": &s.permitted, "CapInh": &s.inheritable, "CapAmb": &s.ambient,
	} {
		_, rest, found := strings.Cut(string(b), field+":\t")
		hex, _, _ := strings.Cut(rest, "\n")
		if *set, err = strconv.ParseUint(hex, 16, 64); err != nil || !found {
			t.Fatalf("%s: %v", field, err)
		}
	}
	return s
}

func join(programs ...[]child.Op) []child.Op {
	var ops []child.Op
	for _, p := range programs {
		ops = append(ops, p...)
	}
	return ops
}

func TestProgramsInTheKernel(t *testing.T) {
	const (
		admin  = 1 << unix.CAP_NET_ADMIN
		ptrace = 1 << unix.CAP_SYS_PTRACE
		bpf    = 1 << unix.CAP_BPF // in the upper word
	)
	all := All()
	for name, c := range map[string]struct {
		ops  []child.Op
		want sets
	}{
		"nothing":            {nil, sets{all, all, all, 0, 0}},
		"drop none":          {DropBounding(0), sets{all, all, all, 0, 0}},
		"drop":               {DropBounding(admin | bpf), sets{all &^ (admin | bpf), all, all, 0, 0}},
		"drop twice":         {join(DropBounding(admin), DropBounding(admin|ptrace)), sets{all &^ (admin | ptrace), all, all, 0, 0}},
		"drop all":           {DropBounding(all), sets{0, all, all, 0, 0}},
		"drop every bit":     {DropBounding(^uint64(0)), sets{0, all, all, 0, 0}},
		"set":                {SetThread(admin, admin|bpf, bpf|ptrace), sets{all, admin, admin | bpf, bpf | ptrace, 0}},
		"set none":           {SetThread(0, 0, 0), sets{all, 0, 0, 0, 0}},
		"set every bit":      {SetThread(^uint64(0), ^uint64(0), ^uint64(0)), sets{all, all, all, all, 0}},
		"ambient":            {join(SetThread(all, all, admin|bpf), SetAmbient(admin|bpf)), sets{all, all, all, admin | bpf, admin | bpf}},
		"ambient, other":     {join(SetThread(all, all, all), SetAmbient(admin|bpf), SetAmbient(ptrace)), sets{all, all, all, all, ptrace}},
		"ambient, all":       {join(SetThread(all, all, all), SetAmbient(all)), sets{all, all, all, all, all}},
		"ambient, cleared":   {join(SetThread(all, all, all), SetAmbient(all), SetAmbient(0)), sets{all, all, all, all, 0}},
		"not inheritable":    {join(SetThread(all, all, all), SetAmbient(all), SetThread(all, all, bpf)), sets{all, all, all, bpf, bpf}},
		"drop, then set":     {join(DropBounding(^uint64(0)), SetThread(0, 0, 0)), sets{0, 0, 0, 0, 0}},
		"permitted only":     {SetThread(0, all, 0), sets{all, 0, all, 0, 0}},
		"drop keeps ambient": {join(SetThread(all, all, admin), SetAmbient(admin), DropBounding(admin)), sets{all &^ admin, all, all, admin, admin}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := run(t, c.ops...)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %#x, want %#x", got, c.want)
			}
		})
	}
}

func TestFailuresInTheKernel(t *testing.T) {
	const admin = 1 << unix.CAP_NET_ADMIN
	all := All()
	for name, c := range map[string]struct {
		ops   []child.Op
		stage string
		errno unix.Errno
	}{
		"drop without CAP_SETPCAP":    {join(SetThread(all&^(1<<unix.CAP_SETPCAP), all, 0), DropBounding(admin)), "cap_drop_bounding", unix.EPERM},
		"drop all without it":         {join(SetThread(0, 0, 0), DropBounding(^uint64(0))), "cap_drop_bounding", unix.EPERM},
		"effective, not permitted":    {SetThread(admin, 0, 0), "cap_set_thread", unix.EPERM},
		"permitted that was given up": {join(SetThread(0, 0, 0), SetThread(0, admin, 0)), "cap_set_thread", unix.EPERM},
		"ambient, not inheritable":    {SetAmbient(admin), "cap_set_ambient", unix.EPERM},
		"ambient, not permitted":      {join(SetThread(0, 0, admin), SetAmbient(admin)), "cap_set_ambient", unix.EPERM},
		"ambient, not known":          {join(SetThread(all, all, all), SetAmbient(1<<63)), "cap_set_ambient", unix.EINVAL},
		"ambient, every bit":          {join(SetThread(all, all, all), SetAmbient(^uint64(0))), "cap_set_ambient", unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, c.ops...)
			var f *child.Failure
			if !errors.As(err, &f) || f.Stage != c.stage || f.Errno != c.errno {
				t.Errorf("%v, want %v (%s)", err, c.errno, c.stage)
			}
		})
	}
}
