package ns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/test/leak"
	"golang.org/x/sys/unix"
)

// Helpers change namespaces of the thread that /proc/self stands for.
func init() { runtime.LockOSThread() }

// outcome is what Pin has to say, in a line.
func outcome(pid int, want []proto.Namespace) string {
	target, err := Pin(pid, want)
	var e *proto.StageError
	switch {
	case err == nil:
		defer target.Close()
		return fmt.Sprint(target.Joins())
	case errors.As(err, &e):
		return string(e.Stage) + " " + unix.ErrnoName(e.Errno)
	default:
		return err.Error()
	}
}

func expect(t *testing.T, got string, want ...string) {
	t.Helper()
	if got = strings.TrimSuffix(got, "\n"); !slices.Contains(want, got) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPinFindsWhatDiffers(t *testing.T) {
	type list = []proto.Namespace
	for name, c := range map[string]struct {
		flags uintptr
		want  list
		joins string
	}{
		"nothing":                   {0, nil, "[]"},
		"some":                      {unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET, nil, "[uts ipc net]"},
		"user and pid":              {unix.CLONE_NEWPID | unix.CLONE_NEWUSER, nil, "[user pid]"},
		"mount, cgroup and time":    {unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME, nil, "[mount cgroup time]"},
		"named":                     {unix.CLONE_NEWUTS | unix.CLONE_NEWNET, list{proto.Net}, "[net]"},
		"named twice, any order":    {unix.CLONE_NEWUTS | unix.CLONE_NEWNET, list{proto.Net, proto.UTS, proto.Net}, "[uts net]"},
		"named, the agent's own":    {unix.CLONE_NEWUTS, list{proto.UTS, proto.User, proto.PID}, "[uts]"},
		"none of those that differ": {unix.CLONE_NEWUTS, list{}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, outcome(sleeper(t, c.flags).Process.Pid, c.want), c.joins)
		})
	}
	t.Run("everything", func(t *testing.T) {
		if got := pin(t, sleeper(t, everything()).Process.Pid, nil); CloneFlags(got.Joins()) != uint64(everything()) {
			t.Errorf("joins %v", got.Joins())
		}
	})
}

func TestPinOfTheAgentItself(t *testing.T) {
	expect(t, outcome(os.Getpid(), nil), "[]")
}

func TestPinOfNoProcess(t *testing.T) {
	for name, pid := range map[string]int{
		"beyond any id":     1 << 22, // PID_MAX_LIMIT: ids are below
		"beyond 32 bits":    1<<32 + os.Getpid(),
		"beyond an int32_t": 1 << 31,
		"far below 0":       -1<<32 + os.Getpid(),
	} {
		t.Run(name, func(t *testing.T) { expect(t, outcome(pid, nil), "open_ns_proc ESRCH") })
	}
	for _, pid := range []int{0, -1} {
		expect(t, outcome(pid, nil), "open_ns_proc EINVAL")
	}
}

func TestPinOfAZombie(t *testing.T) {
	sleep := sleeper(t, 0)
	if err := sleep.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err := unix.EINTR
	for err == unix.EINTR {
		err, _ = unix.Waitid(unix.P_PID, sleep.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil).(unix.Errno)
	}
	if err != 0 {
		t.Fatal(err)
	}
	expect(t, outcome(sleep.Process.Pid, nil), "open_ns_proc ESRCH")
	expect(t, outcome(sleep.Process.Pid, []proto.Namespace{proto.Net}), "open_ns_proc ESRCH")
}

func TestPinOfAThread(t *testing.T) {
	runtime.LockOSThread() // not the first thread: init has locked that to main
	defer runtime.UnlockOSThread()
	if unix.Gettid() == os.Getpid() {
		t.Fatal("this is the first thread")
	}
	// Linux 6.18 says ENOENT, older ones EINVAL.
	expect(t, outcome(unix.Gettid(), nil), "open_ns_proc EINVAL", "open_ns_proc ENOENT")
}

func TestPinLeavesNothingOpen(t *testing.T) {
	pids := []int{os.Getpid(), 1 << 22, sleeper(t, unix.CLONE_NEWUTS).Process.Pid}
	before := leak.Descriptors()
	for _, pid := range pids {
		outcome(pid, nil)
	}
	if after := leak.Descriptors(); !slices.Equal(before, after) {
		t.Errorf("open: %v, before: %v", after, before)
	}
}

func TestErrors(t *testing.T) {
	_, err := Pin(1<<22, nil)
	if !errors.Is(err, unix.ESRCH) || err.Error() != "open_ns_proc: pidfd_open: no such process" {
		t.Errorf("%v", err)
	}
	err = proto.FailedAt(proto.StageOpenNS(proto.Net), "openat", "net", unix.EACCES)
	if !errors.Is(err, os.ErrPermission) || err.Error() != "open_ns_net: openat net: permission denied" {
		t.Errorf("%v", err)
	}
}

// Whatever is made of /proc, there is an error and not a target.
func TestPinWithAnotherProc(t *testing.T) {
	for name, c := range map[string]struct {
		flags uintptr
		want  string
	}{
		"proc-tmpfs":        {unix.CLONE_NEWNS, "open_ns_proc EXDEV"},
		"proc-empty":        {unix.CLONE_NEWNS, "open_ns_proc EXDEV"},
		"proc-fake-process": {unix.CLONE_NEWNS, "open_ns_proc EXDEV"},
		"proc-fake-ns":      {unix.CLONE_NEWNS, "open_ns_proc EXDEV"},
		"proc-of-ancestor":  {unix.CLONE_NEWPID, "open_ns_proc EXDEV"},
		"proc-of-child":     {unix.CLONE_NEWNS, "open_ns_proc ENOENT"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, helper(t, c.flags, name), c.want) })
	}
}

// fakeNS makes a directory that looks like /proc/<pid>/ns: its files lead to those
// of the running process, so they are namespaces indeed.
func fakeNS(dir string) error {
	for _, k := range kinds {
		for _, file := range []string{k.file, k.born} {
			err := os.Symlink("/proc/self/ns/"+file, filepath.Join(dir, file))
			if err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
		}
	}
	return nil
}

func cover(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("tmpfs", dir, "tmpfs", 0, "")
}

func procTmpfs() error {
	if err := cover("/proc"); err != nil {
		return err
	}
	fmt.Println(outcome(os.Getppid(), nil))
	return nil
}

func procEmpty() error {
	if err := cover("/proc"); err != nil {
		return err
	}
	for range 2 { // the tmpfs, and procfs
		if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
			return err
		}
	}
	fmt.Println(outcome(os.Getppid(), nil))
	return nil
}

func procFakeProcess() error {
	dir := "/proc/" + strconv.Itoa(os.Getppid())
	if err := cover(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir+"/ns", 0o755); err != nil {
		return err
	}
	if err := fakeNS(dir + "/ns"); err != nil {
		return err
	}
	fmt.Println(outcome(os.Getppid(), nil))
	return nil
}

func procFakeNS() error {
	dir := "/proc/" + strconv.Itoa(os.Getppid()) + "/ns"
	if err := cover(dir); err != nil {
		return err
	}
	if err := fakeNS(dir); err != nil {
		return err
	}
	fmt.Println(outcome(os.Getppid(), nil))
	return nil
}

func procOfAncestor() error {
	fmt.Println(outcome(os.Getpid(), nil))
	return nil
}

func procOfChild() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"mount-proc"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	fmt.Println(outcome(os.Getppid(), nil))
	return nil
}

// What the kernel keeps for the agent's children counts, not what the agent is in.
func TestPinComparesWithWhatChildrenGet(t *testing.T) {
	if !Supported(proto.Time) {
		t.Skip("no time namespaces")
	}
	expect(t, helper(t, 0, "time-for-children"), "[time]")
}

func timeForChildren() error {
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		return err
	}
	fmt.Println(outcome(os.Getppid(), nil))
	return nil
}

// The agent is not dumpable, so its own files in /proc are root's.
func TestPinUnprivileged(t *testing.T) {
	expect(t, helper(t, 0, "unprivileged"), "own [user uts], root's open_ns_user EACCES")
}

func unprivileged() error {
	const nobody = 65534
	if err := errors.Join(
		syscall.Setgroups(nil),
		syscall.Setresgid(nobody, nobody, nobody),
		syscall.Setresuid(nobody, nobody, nobody),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
	); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil { // EPERM: there are no unprivileged user namespaces
		return err
	}
	fmt.Printf("own %s, root's %s\n", outcome(cmd.Process.Pid, nil), outcome(os.Getppid(), nil))
	return errors.Join(cmd.Process.Kill(), ignoreExit(cmd.Wait()))
}

// ignoreExit drops the news that a process was killed.
func ignoreExit(err error) error {
	if _, ok := err.(*exec.ExitError); ok {
		return nil
	}
	return err
}

// Without a kernel that lacks namespaces: directories that lack their files.
func TestPinOnAKernelThatLacksNamespaces(t *testing.T) {
	all := everything()
	there := "/proc/" + strconv.Itoa(sleeper(t, all).Process.Pid) + "/ns"
	for name, c := range map[string]struct {
		missing string
		want    []proto.Namespace
		got     string
	}{
		"nothing missing":       {"", nil, listed(all)},
		"not named":             {"uts", nil, listed(all &^ unix.CLONE_NEWUTS)},
		"named":                 {"uts", []proto.Namespace{proto.UTS}, "open_ns_uts ENOENT"},
		"another is named":      {"uts", []proto.Namespace{proto.IPC}, "[ipc]"},
		"where children go":     {"pid_for_children", nil, "open_ns_pid ENOENT"},
		"where children go too": {"pid_for_children", []proto.Namespace{proto.PID}, "open_ns_pid ENOENT"},
	} {
		t.Run(name, func(t *testing.T) {
			own := t.TempDir()
			if err := fakeNS(own); err != nil {
				t.Fatal(err)
			}
			if c.missing != "" {
				if err := os.Remove(filepath.Join(own, c.missing)); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, collected(t, own, there, c.want), c.got)
		})
	}
}

func TestPinRefusesFilesThatAreNoNamespaces(t *testing.T) {
	fake := t.TempDir()
	if err := os.WriteFile(filepath.Join(fake, "uts"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []proto.Namespace{proto.UTS}
	expect(t, collected(t, "/proc/self/ns", fake, want), "open_ns_uts EXDEV")
	expect(t, collected(t, fake, "/proc/self/ns", want), "open_ns_uts EXDEV")
}

// A target that lacks the file is an error, named or not: the kernel has it.
func TestPinRefusesATargetThatLacksANamespace(t *testing.T) {
	fake := t.TempDir()
	if err := fakeNS(fake); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(fake, "net")); err != nil {
		t.Fatal(err)
	}
	expect(t, collected(t, "/proc/self/ns", fake, nil), "open_ns_net ENOENT")
}

// listed is how the namespaces of flags are printed.
func listed(flags uintptr) string {
	var list []proto.Namespace
	for n := range proto.Namespace(proto.NumNamespaces) {
		if uint64(flags)&kinds[n].flag != 0 {
			list = append(list, n)
		}
	}
	return fmt.Sprint(list)
}

// collected is the outcome of collect for two directories.
func collected(t *testing.T, self, dir string, want []proto.Namespace) string {
	t.Helper()
	var fds [2]int
	for i, path := range []string{self, dir} {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	target := &Target{pidfd: -1}
	defer target.Close()
	err := target.collect(fds[0], fds[1], want)
	var e *proto.StageError
	if errors.As(err, &e) {
		return string(e.Stage) + " " + unix.ErrnoName(e.Errno)
	}
	return fmt.Sprint(target.Joins())
}
