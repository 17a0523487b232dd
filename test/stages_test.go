package test

import (
	endian "encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// nobody is a user without privileges.
const nobody = 65534

// asNobody has the agent run as that user.
func asNobody(o *client.Options) {
	o.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// hiding is the path of an agent in a mount namespace in which the shell command
// was run before.
func hiding(t testing.TB, command string) string {
	t.Helper()
	skipUnless(t, privileged(), "unshare")
	return scripted(t, fmt.Sprintf("unshare --mount --propagation private sh -ec '%s; exec %s'", command, binary))
}

// answering sends the commands at the checkpoint and reads up to the terminal
// frame. host is 0 where there never was a child.
func (s *session) answering(commands ...proto.Command) (host int, last proto.Event) {
	s.t.Helper()
	for {
		e, err := s.Next(s.ctx)
		if err != nil {
			s.t.Fatalf("no terminal frame: %v; output: %s", err, s.out)
		}
		switch {
		case e.Kind == proto.Spawned:
			host = e.PID
		case e.Kind == proto.Ready:
			s.send(commands...)
		case e.Kind.Terminal():
			return host, e
		}
	}
}

// gone tells whether there is no such process, not even as a zombie.
func gone(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH }

// failsAt reads up to the terminal frame, which has to be this error, and waits for
// the agent; the child has been reaped.
func (s *session) failsAt(errno unix.Errno, stage proto.Stage, code int, commands ...proto.Command) {
	s.t.Helper()
	host, last := s.answering(commands...)
	if want := (proto.Event{Kind: proto.Failed, Errno: int(errno), Stage: stage}); last.String() != want.String() {
		s.t.Errorf("ended with %v, want %v; output: %s", last, want, s.out)
	}
	if host != 0 && !gone(host) {
		s.t.Errorf("child %d is still there", host)
	}
	s.exits(code)
}

// touching is a request for a workload that makes the file.
func touching(path string) proto.Request { return sh(`: >"$1"`, path) }

// ran tells whether such a workload ran.
func ran(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// withStdio is the request with its descriptors led elsewhere.
func withStdio(r proto.Request, d proto.Directive) proto.Request {
	r.Stdio.FDs[1] = d
	return r
}

func onTerminal(r proto.Request) proto.Request {
	r.Stdio = proto.Stdio{PTY: true}
	return r
}

func inDirectory(r proto.Request, path string) proto.Request {
	r.Cwd = &path
	return r
}

// filterOf is a filter that gives every system call the same answer.
func filterOf(answer uint32) []byte {
	b := endian.NativeEndian.AppendUint16(nil, unix.BPF_RET|unix.BPF_K)
	return endian.NativeEndian.AppendUint32(append(b, 0, 0), answer)
}

var allowAll = proto.Command{Kind: proto.SeccompInstall, Data: filterOf(unix.SECCOMP_RET_ALLOW)}

// Every stage, with what is told and how the agent exits. The workload never ran,
// and no child is left. (Stages of the names of namespaces are in enter_test.go.)
func TestStages(t *testing.T) {
	t.Parallel()
	secondClone := refusal{unix.SYS_CLONE, unix.EAGAIN, 0, unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | uint32(unix.SIGCHLD)}
	opening := uint32(unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC | unix.O_LARGEFILE)
	for _, c := range []struct {
		name     string
		path     func(testing.TB) string // of the agent
		change   func(*client.Options)
		request  func(testing.TB, proto.Request) proto.Request
		commands []proto.Command // before :proceed

		errno unix.Errno
		stage proto.Stage
		code  int
	}{
		{
			name:  "no descriptors for a pipe",
			path:  with(refusal{unix.SYS_PIPE2, unix.EMFILE, anyArgs, 0}),
			errno: unix.EMFILE, stage: proto.StagePipe2, code: 4,
		},
		{
			name:  "no /dev/ptmx",
			path:  in("mount -t tmpfs none /dev"),
			errno: unix.ENOENT, stage: proto.StagePosixOpenpt, code: 4,
			request: terminal,
		},
		{
			name:  "no number of a terminal",
			path:  with(refusal{unix.SYS_IOCTL, unix.EPERM, 1, unix.TIOCGPTN}),
			errno: unix.EPERM, stage: proto.StagePTSName, code: 4,
			request: terminal,
		},
		{
			name:  "what is no terminal in its place",
			path:  in("mount --bind /dev/null /dev/ptmx"),
			errno: unix.ENOTTY, stage: proto.StagePTSName, code: 4,
			request: terminal,
		},
		{
			name:  "a terminal that stays locked",
			path:  with(refusal{unix.SYS_IOCTL, unix.EPERM, 1, unix.TIOCSPTLCK}),
			errno: unix.EPERM, stage: proto.StagePTSetup, code: 4,
			request: terminal,
		},
		{
			name:  "no end for the workload",
			path:  with(refusal{unix.SYS_OPENAT, unix.ENXIO, 2, opening}),
			errno: unix.ENXIO, stage: proto.StagePTSOpen, code: 4,
			request: terminal,
		},
		{
			name:    "no socket",
			request: connected(func(t testing.TB) string { return filepath.Join(t.TempDir(), "none") }),
			errno:   unix.ENOENT, stage: proto.StageConnectUnix, code: 4,
		},
		{
			name:    "a socket without a listener",
			request: connected(deserted),
			errno:   unix.ECONNREFUSED, stage: proto.StageConnectUnix, code: 4,
		},
		{
			name:    "a path that is too long",
			request: connected(func(testing.TB) string { return "/" + strings.Repeat("x", 107) }),
			errno:   unix.ENAMETOOLONG, stage: proto.StageConnectUnix, code: 4,
		},
		{
			name:    "a listener that accepts nobody",
			request: connected(crowded),
			errno:   unix.ETIMEDOUT, stage: proto.StageConnectUnix, code: 4,
		},
		{
			name:   "namespaces without privileges",
			change: asNobody,
			request: func(_ testing.TB, r proto.Request) proto.Request {
				return within(r, proto.Net)
			},
			errno: unix.EPERM, stage: proto.StageClone, code: 3,
		},
		{
			name:  "no processes",
			path:  with(refusal{unix.SYS_CLONE3, unix.EAGAIN, anyArgs, 0}),
			errno: unix.EAGAIN, stage: proto.StageClone, code: 3,
		},
		{
			name:  "what the child does first",
			path:  with(refusal{unix.SYS_CLOSE_RANGE, unix.EPERM, 2, 0}),
			errno: unix.EPERM, stage: proto.StageClone, code: 3,
		},
		{
			name: "no second process",
			path: with(withoutClone3, secondClone),
			request: func(_ testing.TB, r proto.Request) proto.Request {
				return within(r, proto.User, proto.Time)
			},
			errno: unix.EAGAIN, stage: proto.StageFork, code: 3,
		},
		{
			name: "no time namespaces",
			path: with(withoutClone3, refusal{unix.SYS_UNSHARE, unix.EINVAL, anyArgs, 0}),
			request: func(_ testing.TB, r proto.Request) proto.Request {
				return within(r, proto.User, proto.Time)
			},
			errno: unix.EINVAL, stage: proto.StageClone, code: 3,
		},
		{
			name:  "a child that dies before it is ready",
			path:  with(childDumpable(killing)),
			errno: unix.EPIPE, stage: proto.StageReadyFrame, code: 4,
		},
		{
			name:  "an outcome that nobody can tell",
			path:  in("mount -t tmpfs none /proc"),
			errno: unix.ENOENT, stage: proto.StageExecOutcome, code: 4,
			request: func(_ testing.TB, r proto.Request) proto.Request {
				r.Argv = []string{"/bin/true"} // it does run
				return r
			},
		},
		{
			name: "no /dev/null",
			path: in("mount -t tmpfs none /dev"),
			request: func(_ testing.TB, r proto.Request) proto.Request {
				return withStdio(r, proto.Directive{Kind: proto.Devnull})
			},
			errno: unix.ENOENT, stage: proto.StageStdio, code: 4,
		},
		{
			name: "descriptors that stay where they are",
			path: with(refusal{unix.SYS_DUP3, unix.EBUSY, anyArgs, 0}),
			request: func(_ testing.TB, r proto.Request) proto.Request {
				return withStdio(r, proto.Directive{Kind: proto.Devnull})
			},
			errno: unix.EBUSY, stage: proto.StageStdio,
		},
		{
			name:    "no session",
			path:    with(refusal{unix.SYS_SETSID, unix.EPERM, anyArgs, 0}),
			request: terminal,
			errno:   unix.EPERM, stage: proto.StageStdio,
		},
		{
			name: "no directory",
			request: func(t testing.TB, r proto.Request) proto.Request {
				return inDirectory(r, filepath.Join(t.TempDir(), "none"))
			},
			errno: unix.ENOENT, stage: proto.StageChdir,
		},
		{
			name: "a file for a directory",
			request: func(_ testing.TB, r proto.Request) proto.Request {
				return inDirectory(r, "/bin/sh")
			},
			errno: unix.ENOTDIR, stage: proto.StageChdir,
		},
		{
			name:    "no program",
			request: program("/nonexistent/program"),
			errno:   unix.ENOENT, stage: proto.StageExecve,
		},
		{
			name:    "an empty path",
			request: program(""),
			errno:   unix.ENOENT, stage: proto.StageExecve,
		},
		{
			name:    "a program that is none",
			request: program("/etc/passwd"),
			errno:   unix.EACCES, stage: proto.StageExecve,
		},
		{
			name: "a format that the kernel does not know",
			request: func(t testing.TB, r proto.Request) proto.Request {
				r.Argv = []string{filepath.Join(t.TempDir(), "text")}
				syscall.ForkLock.RLock()
				defer syscall.ForkLock.RUnlock()
				if err := os.WriteFile(r.Argv[0], []byte("text\n"), 0o755); err != nil {
					t.Fatal(err)
				}
				return r
			},
			errno: unix.ENOEXEC, stage: proto.StageExecve,
		},
		{
			name: "more arguments than the kernel takes",
			request: func(_ testing.TB, r proto.Request) proto.Request {
				r.Argv = append(r.Argv, strings.Repeat("x", 128<<10))
				return r
			},
			errno: unix.E2BIG, stage: proto.StageExecve,
		},
		{
			name:  "no death signal",
			path:  with(refusal{unix.SYS_PRCTL, unix.EPERM, 0, unix.PR_SET_PDEATHSIG}),
			errno: unix.EPERM, stage: proto.StageExecve,
		},
		{
			name: "no privilege to drop", change: asNobody,
			commands: []proto.Command{{Kind: proto.CapDropBounding, Masks: [3]uint64{1 << unix.CAP_SYS_ADMIN}}},
			errno:    unix.EPERM, stage: proto.StageCapDropBounding, code: 1,
		},
		{
			name: "capabilities that nobody gave", change: asNobody,
			commands: []proto.Command{{Kind: proto.CapSetThread, Masks: [3]uint64{1, 1, 0}}},
			errno:    unix.EPERM, stage: proto.StageCapSetThread, code: 1,
		},
		{
			name:     "an ambient capability that is not inheritable",
			commands: []proto.Command{{Kind: proto.CapSetThread}, {Kind: proto.CapSetAmbient, Masks: [3]uint64{1}}},
			errno:    unix.EPERM, stage: proto.StageCapSetAmbient, code: 1,
		},
		{
			name:     "no_new_privs is refused",
			path:     with(refusal{unix.SYS_PRCTL, unix.EPERM, 0, unix.PR_SET_NO_NEW_PRIVS}),
			commands: []proto.Command{allowAll},
			errno:    unix.EPERM, stage: proto.StageSeccompNoNewPrivs,
		},
		{
			name: "no_new_privs of the request is refused",
			path: with(refusal{unix.SYS_PRCTL, unix.EPERM, 0, unix.PR_SET_NO_NEW_PRIVS}),
			request: func(_ testing.TB, r proto.Request) proto.Request {
				r.NoNewPrivs = true
				return r
			},
			errno: unix.EPERM, stage: proto.StageSeccompNoNewPrivs,
		},
		{
			name:     "a filter that is none",
			commands: []proto.Command{{Kind: proto.SeccompInstall, Data: make([]byte, 8)}},
			errno:    unix.EINVAL, stage: proto.StageSeccompInstall, code: 1,
		},
		{
			name:     "a filter that the kernel refuses in the end",
			path:     with(refusal{unix.SYS_SECCOMP, unix.ENOMEM, anyArgs, 0}),
			commands: []proto.Command{allowAll},
			errno:    unix.ENOMEM, stage: proto.StageSeccompInstall,
		},
		{
			name:     "a command for running workloads",
			commands: []proto.Command{{Kind: proto.Signal, Signal: 9}},
			errno:    unix.EINVAL, stage: proto.StageMalformedCommand, code: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			marker := filepath.Join(t.TempDir(), "ran")
			s := start(t, func(o *client.Options) {
				if c.path != nil {
					o.Path = c.path(t)
				}
				if c.change != nil {
					skipUnless(t, privileged(), "setuid")
					c.change(o)
				}
			})
			r := touching(marker)
			if c.request != nil {
				r = c.request(t, r)
			}
			s.request(r)
			commands := c.commands
			if c.code != 1 {
				commands = append(commands, proceed)
			}
			s.failsAt(c.errno, c.stage, c.code, commands...)
			if ran(marker) {
				t.Error("the workload ran")
			}
		})
	}
}

// What rows of the table above are made of.

func with(refusals ...refusal) func(testing.TB) string {
	return func(t testing.TB) string { return refusing(t, refusals...) }
}

func in(command string) func(testing.TB) string {
	return func(t testing.TB) string { return hiding(t, command) }
}

func terminal(_ testing.TB, r proto.Request) proto.Request { return onTerminal(r) }

func program(path string) func(testing.TB, proto.Request) proto.Request {
	return func(_ testing.TB, r proto.Request) proto.Request {
		r.Argv = []string{path}
		return r
	}
}

func connected(path func(testing.TB) string) func(testing.TB, proto.Request) proto.Request {
	return func(t testing.TB, r proto.Request) proto.Request {
		return withStdio(r, proto.Directive{Kind: proto.ConnectUnix, Path: path(t)})
	}
}

// deserted is a socket that nobody listens on any more.
func deserted(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return path
}

// crowded is a socket with a listener whose backlog is full.
func crowded(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	socket := func() int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	listener := socket()
	if err := errors.Join(unix.Bind(listener, &unix.SockaddrUnix{Name: path}), unix.Listen(listener, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		switch err := unix.Connect(socket(), &unix.SockaddrUnix{Name: path}); err {
		case nil:
		case unix.EAGAIN:
			return path
		default:
			t.Fatal(err)
		}
	}
}

// The frames that no client of ours would send.
func TestFramesThatAreRefused(t *testing.T) {
	t.Parallel()
	tooBig := func(n uint32) []byte { return endian.BigEndian.AppendUint32(nil, n+1) }
	for _, c := range []struct {
		name  string
		ready bool // at the checkpoint
		bytes []byte
		errno unix.Errno
		stage proto.Stage
		code  int
	}{
		{"a request over the limit", false, tooBig(proto.MaxRequest), unix.EMSGSIZE, proto.StageRequestTooBig, 2},
		{"an empty frame for a request", false, []byte{0, 0, 0, 0}, unix.EINVAL, proto.StageMalformedRequest, 2},
		{"no term for a request", false, []byte{0, 0, 0, 2, 131, 255}, unix.EINVAL, proto.StageMalformedRequest, 2},
		{"a command over the limit", true, tooBig(proto.MaxCommand), unix.EMSGSIZE, proto.StageCommandTooBig, 1},
		{"an empty frame for a command", true, []byte{0, 0, 0, 0}, unix.EINVAL, proto.StageMalformedCommand, 1},
		{"no term for a command", true, []byte{0, 0, 0, 2, 131, 255}, unix.EINVAL, proto.StageMalformedCommand, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			host := 0
			if c.ready {
				s.request(forever)
				host, _ = s.ready()
			}
			if err := s.SendRaw(c.bytes); err != nil {
				t.Fatal(err)
			}
			s.failsAt(c.errno, c.stage, c.code)
			if host != 0 && !gone(host) {
				t.Errorf("child %d is still there", host)
			}
		})
	}
}

// childDumpable is of the last system call of a spawned child but getpid(2), which
// the runtime of the agent makes as well.
func childDumpable(errno unix.Errno) refusal { return refusal{unix.SYS_PRCTL, errno, 1, 1} }

// A child that reports what no child of ours does is not believed.
func TestMalformedReady(t *testing.T) {
	t.Parallel()
	skipUnless(t, privileged(), "a look into the child")
	for name, report := range map[string][]byte{
		"short":                {0},
		"of no command":        make([]byte, 16),
		"longer than a report": make([]byte, 17),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *client.Options) { o.Path = refusing(t, childDumpable(holding)) })
			s.request(forever)
			e, err := s.Next(s.ctx)
			if err != nil || e.Kind != proto.Spawned {
				t.Fatalf("got %v, %v", e, err)
			}
			// By then it has but its two pipes.
			var pipes []int
			eventually(t, "a child with its pipes only", func() bool {
				pipes = descriptorsOf(t, e.PID)
				return len(pipes) == 5
			})
			written := 0
			for _, fd := range pipes[3:] {
				path := fmt.Sprintf("/proc/%d/fd/%d", e.PID, fd)
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode()&0o200 == 0 {
					continue
				}
				if err := os.WriteFile(path, report, 0); err != nil {
					t.Fatal(err)
				}
				written++
			}
			if written != 1 {
				t.Fatalf("%d pipes to write to", written)
			}
			s.failsAt(unix.EBADMSG, proto.StageMalformedReady, 4)
			if !gone(e.PID) {
				t.Errorf("child %d is still there", e.PID)
			}
		})
	}
}
