package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// entering is the request inside the namespaces of a process.
func entering(r proto.Request, target int, namespaces ...proto.Namespace) proto.Request {
	r.Kind, r.Target, r.Namespaces = proto.Enter, target, namespaces
	return r
}

// sandbox is a running workload with namespaces of its own; its pid.
func sandbox(t testing.TB, r proto.Request, namespaces ...proto.Namespace) (*session, int) {
	t.Helper()
	skipUnless(t, privileged(), "clone")
	s := start(t, nil)
	return s, s.launch(within(r, namespaces...))
}

// sees fails where the process is not in the target's namespaces of the given
// kinds and, of all others, in ours.
func sees(t testing.TB, pid, target int, kinds []proto.Namespace) {
	t.Helper()
	ours, theirs, its := namespacesOf(t, os.Getpid()), namespacesOf(t, target), namespacesOf(t, pid)
	for n := range its {
		want := ours[n]
		if slices.Contains(kinds, proto.Namespace(n)) {
			want = theirs[n]
		}
		if its[n] != want {
			t.Errorf("%v: in %s; the target in %s, we in %s", proto.Namespace(n), its[n], theirs[n], ours[n])
		}
	}
}

func TestEnter(t *testing.T) {
	t.Parallel()
	_, target := sandbox(t, forever, every...)
	cases := map[string][2][]proto.Namespace{ // asked for; joined
		"what differs":            {nil, every},
		"all by name":             {every, every},
		"none":                    {{}, nil},
		"a pair":                  {{proto.Net, proto.UTS}, {proto.Net, proto.UTS}},
		"pid and time":            {{proto.PID, proto.Time}, {proto.PID, proto.Time}},
		"user, the last":          {{proto.Mount, proto.Net, proto.User}, {proto.Mount, proto.Net, proto.User}},
		"one that is named twice": {{proto.IPC, proto.IPC}, {proto.IPC}},
	}
	for _, n := range every {
		cases[n.String()] = [2][]proto.Namespace{{n}, {n}}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			r := entering(sh("echo inside; exit 7"), target)
			r.Namespaces = c[0]
			s.request(r)
			host, inner := s.ready()
			sees(t, host, target, c[1])
			if want := innerPID(t, host); inner != want || (inner != host) != slices.Contains(c[1], proto.PID) {
				t.Errorf("ready with pid %d, is %d, %d outside", inner, want, host)
			}
			s.send(proceed)
			s.ends("{:status, :exited, 7}", 0)
			if got := s.out.String(); got != "inside\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}

// Of the namespaces of a target that has made only some, the others are ours
// already, and naming them is no error: a user namespace cannot be joined again.
func TestEnterWhatWeAreInAlready(t *testing.T) {
	t.Parallel()
	_, target := sandbox(t, forever, proto.UTS)
	for name, namespaces := range map[string][]proto.Namespace{"default": nil, "named": every} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			r := entering(forever, target)
			r.Namespaces = namespaces
			sees(t, s.launch(r), target, []proto.Namespace{proto.UTS})
		})
	}
}

// The namespaces of one process may belong to user namespaces of different rank,
// so that there is no order in which all could be joined one by one: this one has
// a network of the initial one, where only we have a say, and mounts of its own.
func TestEnterWhateverRankTheOwnersHave(t *testing.T) {
	t.Parallel()
	r := forever
	r.Argv = append([]string{"/usr/bin/unshare", "--user", "--map-root-user", "--mount"}, forever.Argv...)
	_, target := sandbox(t, r, proto.Net, proto.UTS)
	eventually(t, "a user namespace", func() bool {
		return namespacesOf(t, target)[proto.Mount] != namespacesOf(t, os.Getpid())[proto.Mount]
	})
	s := start(t, nil)
	sees(t, s.launch(entering(forever, target)), target,
		[]proto.Namespace{proto.User, proto.Mount, proto.Net, proto.UTS})
}

// unprivileged is a running sandbox of nobody's, whose maps nobody has written at
// the checkpoint, as a client without privileges does; its pid.
func unprivileged(t testing.TB) (*session, int) {
	t.Helper()
	skipUnless(t, privileged(), "setuid")
	s := start(t, asNobody)
	s.request(within(forever, every...))
	host, _ := s.ready()
	output, err := shellOfNobody(t, fmt.Sprintf(
		`cd /proc/%d && echo deny >setgroups && echo 0 %[2]d 1 >gid_map && echo 0 %[2]d 1 >uid_map`, host, nobody))
	if err != nil {
		t.Fatalf("writing the maps: %v: %s", err, output)
	}
	s.send(proceed)
	s.running()
	return s, host
}

// shellOfNobody runs a shell script without privileges, to its end.
func shellOfNobody(t testing.TB, script string) (string, error) {
	t.Helper()
	c := exec.CommandContext(deadline(t), "/bin/sh", "-c", script)
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	output, err := c.CombinedOutput()
	return string(output), err
}

func TestUnprivileged(t *testing.T) {
	t.Parallel()
	_, target := unprivileged(t)
	for name, change := range map[string]func(*client.Options){"nobody enters": asNobody, "root enters": nil} {
		t.Run(name, func(t *testing.T) {
			s := start(t, change)
			s.request(entering(sh("id -u; exit 7"), target))
			host, inner := s.ready()
			sees(t, host, target, every)
			if inner == host {
				t.Errorf("pid %d in and out", inner)
			}
			s.send(proceed)
			s.ends("{:status, :exited, 7}", 0)
			if name == "nobody enters" {
				if got := s.out.String(); got != "0\n" {
					t.Errorf("uid %q", got)
				}
			}
		})
	}
}

// Processes of the same user can look into none of ours but the parked child of a
// spawn.
func TestWhoCanLookInto(t *testing.T) {
	t.Parallel()
	_, target := unprivileged(t)
	spawned, entered := start(t, asNobody), start(t, asNobody)
	spawned.request(forever)
	child, _ := spawned.ready()
	entered.request(entering(forever, target))
	joiner, _ := entered.ready()
	for _, c := range []struct {
		name string
		pid  int
		may  bool
	}{
		{"the agent of a spawn", spawned.AgentPID(), false},
		{"the agent of an enter", entered.AgentPID(), false},
		{"the child of an enter", joiner, false},
		{"the child of a spawn", child, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for what, script := range map[string]string{
				"descriptors":  "ls /proc/%d/fd/",
				"a descriptor": ": </proc/%d/fd/0",
				"memory":       ": </proc/%d/mem",
				"environment":  "cat /proc/%d/environ",
				"trace":        "strace -o /dev/null -p %d",
			} {
				if what == "trace" && c.may {
					continue // it would last
				}
				output, err := shellOfNobody(t, fmt.Sprintf(script, c.pid))
				if (err == nil) != c.may {
					t.Errorf("%s: %v, want that it may: %t; %s", what, err, c.may, output)
				}
			}
		})
	}
}

// What a hostile target may do, and how an enter of it ends: inside, or by an
// error. Outside, the workload would leave its mark.
func TestEnterHostileTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		target func(testing.TB) int
		errno  []unix.Errno
		stage  proto.Stage
	}{
		{"a pid that never was", func(testing.TB) int { return 1 << 30 }, []unix.Errno{unix.ESRCH}, proto.StageOpenNSProc},
		{"dead", dead, []unix.Errno{unix.ESRCH}, proto.StageOpenNSProc},
		{"a zombie", zombie, []unix.Errno{unix.ESRCH}, proto.StageOpenNSProc},
		// Which one depends on the kernel.
		{"a thread", thread, []unix.Errno{unix.EINVAL, unix.ENOENT}, proto.StageOpenNSProc},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			marker := filepath.Join(t.TempDir(), "ran")
			s := start(t, nil)
			s.request(entering(touching(marker), c.target(t)))
			host, last := s.answering(proceed)
			if host != 0 || last.Kind != proto.Failed || last.Stage != c.stage || !slices.Contains(c.errno, unix.Errno(last.Errno)) {
				t.Errorf("child %d, %v; want %v at %s", host, last, c.errno, c.stage)
			}
			s.exits(3)
			if ran(marker) {
				t.Error("the workload ran")
			}
		})
	}
}

// dead is the pid of a process that has been.
func dead(t testing.TB) int {
	t.Helper()
	c := exec.Command("/bin/true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

func zombie(t testing.TB) int {
	t.Helper()
	c := exec.Command("/bin/true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Wait() })
	if err := unix.Waitid(unix.P_PID, c.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// thread is the id of a thread of ours that stays for the test.
func thread(t testing.TB) int {
	t.Helper()
	id, done := make(chan int), make(chan struct{})
	t.Cleanup(func() { close(done) })
	ready := make(chan struct{})
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The main thread is the process; what comes next is another one.
			close(ready)
			<-done
			return
		}
		id <- unix.Gettid()
		<-done
	}()
	select {
	case n := <-id:
		return n
	case <-ready:
		return thread(t)
	}
}

// A target that hides its own /proc, or fakes one, is entered all the same: what
// the kernel says of it stands in ours.
func TestEnterTargetWithFakedProc(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"hidden": `mount -t tmpfs none /proc`,
		"faked": `mount -t tmpfs none /proc
			mkdir -p /proc/1/ns /proc/self
			for n in user mnt uts ipc cgroup net time pid; do : >/proc/1/ns/$n; done
			ln -s ../1/ns /proc/self/ns; ln -s 1 /proc/thread-self`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kinds := []proto.Namespace{proto.Mount, proto.UTS, proto.PID}
			lone, target := sandbox(t, sh("set -e\nmount --make-rprivate /\n"+script+"\necho done\nexec sleep 1000"), kinds...)
			eventually(t, "the mounts of the target", func() bool { return lone.out.String() == "done\n" })
			s := start(t, nil)
			host := s.launch(entering(forever, target))
			sees(t, host, target, kinds)
			s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
			s.ends("{:status, :signaled, 9}", 0)
		})
	}
}

// A target that dies while it is being entered, at one step or the next: the
// workload is inside, or it is nowhere. Where the pid namespace has lost its pid 1
// it cannot be inside.
func TestEnterTargetThatDies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		call       uintptr
		namespaces []proto.Namespace
		want       string // frame; empty: it runs inside
		code       int
	}{
		{"before it is pinned", unix.SYS_PIDFD_OPEN, every, "{:error, 3, :open_ns_proc}", 3},
		{"pinned", unix.SYS_FSTATFS, every, "{:error, 3, :open_ns_proc}", 3},
		{"opened", unix.SYS_CLONE3, []proto.Namespace{proto.Net, proto.UTS}, "", 0},
		{"being joined", unix.SYS_SETNS, []proto.Namespace{proto.Net, proto.UTS}, "", 0},
		{"opened, with its pid namespace", unix.SYS_CLONE3, []proto.Namespace{proto.PID, proto.Net}, "{:error, 12, :fork}", 3},
		{"being joined, with its pid namespace", unix.SYS_SETNS, []proto.Namespace{proto.PID, proto.Net}, "{:error, 12, :fork}", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			prey, target := sandbox(t, forever, c.namespaces...)
			theirs := namespacesOf(t, target)
			s := start(t, func(o *client.Options) { o.Path = refusing(t, refusal{c.call, holding, anyArgs, 0}) })
			s.request(entering(sh("for n in net uts; do readlink /proc/self/ns/$n; done"), target))
			h := hold(t, s.AgentPID())
			prey.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
			prey.ends("{:status, :signaled, 9}", 0)
			h.release()
			_, last := s.answering(proceed)
			s.exits(c.code)
			switch {
			case c.want != "":
				if last.String() != c.want || s.out.String() != "" {
					t.Errorf("ended with %v, want %s; output: %s", last, c.want, s.out)
				}
			case s.out.String() != theirs[proto.Net]+"\n"+theirs[proto.UTS]+"\n":
				t.Errorf("ended with %v outside; output: %s", last, s.out)
			}
		})
	}
}

// A namespace that cannot be joined is named.
func TestSetnsThatFails(t *testing.T) {
	t.Parallel()
	_, target := sandbox(t, forever, every...)
	flags := [proto.NumNamespaces]uint32{
		proto.User: unix.CLONE_NEWUSER, proto.Mount: unix.CLONE_NEWNS, proto.UTS: unix.CLONE_NEWUTS,
		proto.IPC: unix.CLONE_NEWIPC, proto.Cgroup: unix.CLONE_NEWCGROUP, proto.Net: unix.CLONE_NEWNET,
		proto.Time: unix.CLONE_NEWTIME, proto.PID: unix.CLONE_NEWPID,
	}
	var all uint32
	for _, f := range flags {
		all |= f
	}
	together := refusal{unix.SYS_SETNS, unix.EINVAL, 1, all}
	for n, flag := range flags {
		t.Run(proto.Namespace(n).String(), func(t *testing.T) {
			marker := filepath.Join(t.TempDir(), "ran")
			s := start(t, func(o *client.Options) {
				o.Path = refusing(t, together, refusal{unix.SYS_SETNS, unix.EUSERS, 1, flag})
			})
			s.request(entering(touching(marker), target))
			s.failsAt(unix.EUSERS, proto.StageSetNS(proto.Namespace(n)), 3, proceed)
			if ran(marker) {
				t.Error("the workload ran")
			}
		})
	}
	t.Run("together only", func(t *testing.T) {
		s := start(t, func(o *client.Options) { o.Path = refusing(t, together) })
		sees(t, s.launch(entering(forever, target)), target, every)
	})
}

// Nobody enters what is root's, and learns which namespace it is.
func TestEnterWithoutPrivileges(t *testing.T) {
	t.Parallel()
	_, target := sandbox(t, forever, every...)
	for _, n := range every {
		t.Run("open "+n.String(), func(t *testing.T) {
			marker := filepath.Join(t.TempDir(), "ran")
			s := start(t, asNobody)
			s.request(entering(touching(marker), target, n))
			s.failsAt(unix.EACCES, proto.StageOpenNS(n), 3, proceed)
			if ran(marker) {
				t.Error("the workload ran")
			}
		})
	}
	// A process of nobody's in namespaces of root's: they can be opened.
	for _, n := range []proto.Namespace{proto.UTS, proto.IPC, proto.Net, proto.Cgroup} {
		t.Run("join "+n.String(), func(t *testing.T) {
			r := forever
			r.Argv = append([]string{"/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}, forever.Argv...)
			theirs, target := sandbox(t, r, n)
			eventually(t, "a process of nobody's", func() bool {
				var st unix.Stat_t
				if err := unix.Stat(fmt.Sprintf("/proc/%d/ns", target), &st); err != nil {
					t.Fatal(err)
				}
				return st.Uid == nobody
			})
			marker := filepath.Join(t.TempDir(), "ran")
			s := start(t, asNobody)
			s.request(entering(touching(marker), target))
			s.failsAt(unix.EPERM, proto.StageSetNS(n), 3, proceed)
			if ran(marker) {
				t.Error("the workload ran")
			}
			// What has changed its credentials does not die with the agent.
			theirs.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
			theirs.ends("{:status, :signaled, 9}", 0)
		})
	}
}

// An agent whose own /proc is not what the kernel says believes none of it.
func TestEnterByAnAgentWithFakedProc(t *testing.T) {
	t.Parallel()
	_, target := sandbox(t, forever, every...)
	for name, c := range map[string]struct {
		script string
		errno  unix.Errno
	}{
		"hidden": {"mount -t tmpfs none /proc", unix.EXDEV},
		"faked by files": {`mount -t tmpfs none /proc; mkdir -p /proc/self/ns /proc/TARGET/ns
			for d in self TARGET; do for n in user mnt uts ipc cgroup net time pid time_for_children pid_for_children; do
				: >/proc/$d/ns/$n; done; done`, unix.EXDEV},
		"faked by links": {`mount -t proc none REAL; mount -t tmpfs none /proc
			mkdir /proc/TARGET; ln -s REAL/$$ /proc/self; ln -s REAL/$$/ns /proc/TARGET/ns`, unix.EXDEV},
		"target covered":         {`mount -t tmpfs none /proc/TARGET; mkdir /proc/TARGET/ns`, unix.EXDEV},
		"its namespaces covered": {`mount --bind /proc/$$/ns /proc/TARGET/ns`, unix.EXDEV},
		"another one's":          {`unshare --pid --fork mount -t proc none /proc`, unix.ENOENT},
		"our own in its place":   {`mount --bind /proc/$$ /proc/TARGET`, unix.EXDEV},
	} {
		t.Run(name, func(t *testing.T) {
			marker := filepath.Join(t.TempDir(), "ran")
			path := hiding(t, strings.NewReplacer("TARGET", fmt.Sprint(target), "REAL", t.TempDir()).Replace(c.script))
			s := start(t, func(o *client.Options) { o.Path = path })
			s.request(entering(touching(marker), target))
			s.failsAt(c.errno, proto.StageOpenNSProc, 3, proceed)
			if ran(marker) {
				t.Error("the workload ran")
			}
		})
	}
}
