package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// as is a helper process of a test in the given role. It returns its exit status.
func as(role string, args []string) int {
	roles := map[string]func([]string) error{
		"refusing": refuse,
		"client":   beClient,
	}
	f, ok := roles[role]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such role:", role)
		return 1
	}
	if err := f(args); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// scripted is the path of a program that becomes, by the given shell command,
// another one: an agent has no arguments.
func scripted(t testing.TB, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	// A child that another test forks meanwhile would hold the script open for
	// writing, and execve(2) of it would be ETXTBSY.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec "+command+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Container engines answer ENOSYS to clone3(2); old kernels do so to
// close_range(2), or EINVAL to a flag of it.
var (
	withoutClone3     = refusal{unix.SYS_CLONE3, unix.ENOSYS, anyArgs, 0}
	withoutCloseRange = refusal{unix.SYS_CLOSE_RANGE, unix.ENOSYS, anyArgs, 0}
	withoutCloexec    = refusal{unix.SYS_CLOSE_RANGE, unix.EINVAL, 2, unix.CLOSE_RANGE_CLOEXEC}
)

// every is all kinds of namespaces.
var every = []proto.Namespace{
	proto.User, proto.Mount, proto.UTS, proto.IPC, proto.Cgroup, proto.Net, proto.Time, proto.PID,
}

// nsFiles are the names of namespaces below /proc/<pid>/ns.
var nsFiles = [proto.NumNamespaces]string{
	proto.User: "user", proto.Mount: "mnt", proto.UTS: "uts", proto.IPC: "ipc",
	proto.Cgroup: "cgroup", proto.Net: "net", proto.Time: "time", proto.PID: "pid",
}

// namespacesOf are the identities of a process's namespaces.
func namespacesOf(t testing.TB, pid int) (ids [proto.NumNamespaces]string) {
	t.Helper()
	for n, file := range nsFiles {
		id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, file))
		if err != nil {
			t.Fatal(err)
		}
		ids[n] = id
	}
	return ids
}

// innerPID is the pid of the process as it sees itself.
func innerPID(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(ids)
			n, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no NSpid")
	return 0
}

// descriptorsOf lists the open descriptors of a process, in order.
func descriptorsOf(t testing.TB, pid int) []int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	for _, name := range names {
		n, err := strconv.Atoi(name.Name())
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, n)
	}
	slices.Sort(fds)
	return fds
}

// forever is a workload that stays.
var forever = proto.Request{Argv: []string{"/bin/sleep", "1000"}, Orphan: proto.DefaultOrphan}

// within is the request in namespaces of its own.
func within(r proto.Request, namespaces ...proto.Namespace) proto.Request {
	r.Namespaces = namespaces
	return r
}

// Without clone3(2), and with it, each namespace that is asked for is a new one,
// and no other.
func TestNamespacesWithAndWithoutClone3(t *testing.T) {
	t.Parallel()
	skipUnless(t, privileged(), "clone")
	agents := map[string]string{"clone3": binary, "clone": refusing(t, withoutClone3)}
	for name, path := range agents {
		for _, c := range []struct {
			name       string
			namespaces []proto.Namespace
		}{
			{"none", nil},
			{"pid", []proto.Namespace{proto.PID}},
			{"time", []proto.Namespace{proto.Time}},
			{"time and pid", []proto.Namespace{proto.Time, proto.PID}},
			{"user, time and pid", []proto.Namespace{proto.User, proto.Time, proto.PID}},
			{"all but time", slices.DeleteFunc(slices.Clone(every), func(n proto.Namespace) bool { return n == proto.Time })},
			{"all", every},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				s := start(t, func(o *client.Options) { o.Path = path })
				s.request(within(forever, c.namespaces...))
				host, inner := s.ready()
				if want := innerPID(t, host); inner != want || slices.Contains(c.namespaces, proto.PID) && inner != 1 {
					t.Errorf("ready with pid %d, is %d", inner, want)
				}
				s.send(proceed)
				s.running()
				ours, its := namespacesOf(t, os.Getpid()), namespacesOf(t, host)
				for n := range its {
					asked := slices.Contains(c.namespaces, proto.Namespace(n))
					if (ours[n] != its[n]) != asked {
						t.Errorf("%v: %s here, %s there; asked for: %t", proto.Namespace(n), ours[n], its[n], asked)
					}
				}
				s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
				s.ends("{:status, :signaled, 9}", 0)
			})
		}
	}
}

// Neither the control channel nor what the agent has itself inherited leaks.
func TestWorkloadHasThreeDescriptors(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"close_range":                 binary,
		"no close_range":              refusing(t, withoutCloseRange),
		"no CLOSE_RANGE_CLOEXEC":      refusing(t, withoutCloexec),
		"no clone3, no close_range":   refusing(t, withoutClone3, withoutCloseRange),
		"inherited by what starts it": scripted(t, binary+" 7</dev/null 9>/dev/null"),
	} {
		for kind, r := range map[string]proto.Request{
			"plain":         forever,
			"time and pid":  within(forever, proto.User, proto.Time, proto.PID),
			"pty":           {Argv: forever.Argv, Orphan: forever.Orphan, Stdio: proto.Stdio{PTY: true}},
			"one /dev/null": {Argv: forever.Argv, Orphan: forever.Orphan, Stdio: proto.Stdio{FDs: [3]proto.Directive{1: {Kind: proto.Devnull}}}},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s := start(t, func(o *client.Options) {
					o.Path = path
					o.ExtraFiles = []*os.File{os.Stdin, os.Stdin}
				})
				host := s.launch(r)
				// It has its own libraries open for a moment.
				eventually(t, "just three descriptors", func() bool {
					return slices.Equal(descriptorsOf(t, host), []int{0, 1, 2})
				})
				s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
				s.ends("{:status, :signaled, 9}", 0)
			})
		}
	}
}
