package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, 0, "", "", "true")
	want(t, 7, "", "", "--", "sh", "-c", "exit 7")
	want(t, 255, "", "", "sh", "-c", "exit 255")
	want(t, 137, "", "", "sh", "-c", "kill -9 $$")
	want(t, 127, "", "linx-run: no-such-command: not found on PATH\n", "no-such-command")
	want(t, 127, "", "linx-run: cannot execute /no/such: execve: no such file or directory\n", "/no/such")
	want(t, 126, "", "linx-run: "+script+" is not executable\n", "--env", "PATH="+dir, "script")
	want(t, 126, "", "linx-run: cannot execute "+script+": execve: permission denied\n", script)
	want(t, 126, "", "linx-run: cannot execute /: execve: permission denied\n", "/")
	lost := filepath.Join(dir, "lost")
	if err := os.WriteFile(lost, []byte("#!/no/such\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "linx-run: cannot execute " + lost + ": execve: no such file or directory; the file is there, but not the interpreter that it names\n"
	want(t, 126, "", text, lost)
	want(t, 126, "", strings.Replace(text, lost, "./lost", 1), "--cwd", dir, "./lost")
	want(t, 125, "", "linx-run: no command to run; see linx-run --help\n")
	want(t, 125, "", "linx-run: --cwd /no/such: chdir: no such file or directory\n", "--cwd", "/no/such", "true")
	want(t, 125, "", "linx-run: start the agent: fork/exec /no/such: no such file or directory\n", "--agent", "/no/such", "true")
	want(t, 125, "", "linx-run: the agent ended without a terminal frame: exit status 0\n", "--agent", "/bin/true", "true")
}

func TestVersionAndHelp(t *testing.T) {
	want(t, 0, "linx-run of-the-test\n", "", "--version")
	want(t, 0, help, "", "--help")
}

func TestAgentOnPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"linx-run", "linx-process"} {
		b, err := os.ReadFile(filepath.Join(built, name))
		if err != nil {
			t.Fatal(err)
		}
		sub := filepath.Join(dir, name+".d")
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := command(t, "/bin/true")
	cmd.Path = filepath.Join(dir, "linx-run.d", "linx-run")
	cmd.Env = []string{"PATH=/none"}
	if got := finish(t, cmd); got.code != 125 || !strings.Contains(got.stderr, "name it with --agent") {
		t.Errorf("%+v", got)
	}
	cmd = command(t, "/bin/true")
	cmd.Path = filepath.Join(dir, "linx-run.d", "linx-run")
	cmd.Env = []string{"PATH=/none:" + filepath.Join(dir, "linx-process.d")}
	if got := finish(t, cmd); got != (result{}) {
		t.Errorf("%+v", got)
	}
}

func TestStdioIsInherited(t *testing.T) {
	cmd := command(t, "sh", "-c", "cat; echo err >&2; pwd", "--cwd")
	cmd.Stdin = strings.NewReader("in\n")
	cmd.Dir = "/"
	if got := finish(t, cmd); got != (result{0, "in\n/\n", "err\n"}) {
		t.Errorf("%+v", got)
	}
	want(t, 0, "/usr\n", "", "--cwd", "/usr", "pwd")
}

func TestEnvironmentOfTheCommand(t *testing.T) {
	cmd := command(t, "--env", "A=1", "--env", "B=", "env")
	cmd.Env = []string{"A=0", "PATH=" + os.Getenv("PATH")}
	if got := finish(t, cmd); got != (result{0, "A=1\nPATH=" + os.Getenv("PATH") + "\nB=\n", ""}) {
		t.Errorf("%+v", got)
	}
	want(t, 0, "A=1\n", "", "--clear-env", "--env", "A=1", "env")
	want(t, 0, "", "", "--clear-env", "env")
}

func TestTrace(t *testing.T) {
	got := finish(t, command(t, "--trace", "--keep-caps", "all", "--ambient-caps", "none", "/bin/sh", "-c", "exit 3"))
	lines := regexp.MustCompile(`\d{2,}`).ReplaceAllString(got.stderr, "PID")
	const want = `> {:spawn, %{argv: ["/bin/sh", "-c", "exit 3"]}}
< {:status, :spawned, PID}
< {:status, :ready, PID}
> :proceed
< {:status, :running}
< {:status, :exited, 3}
`
	if got.code != 3 || got.stdout != "" || lines != want {
		t.Errorf("%+v", got)
	}
}

func TestExplain(t *testing.T) {
	got := finish(t, command(t, "--explain", "--ns", "user,pid", "--drop-caps", "net_raw", "--cwd", "/tmp", "/bin/true"))
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	rest := got.stdout
	for _, next := range []string{"CLONE_NEWUSER", "CLONE_NEWPID", "PR_CAPBSET_DROP, 13", "capset(", `chdir("/tmp")`, `execve("/bin/true"`} {
		_, after, ok := strings.Cut(rest, next)
		if !ok {
			t.Fatalf("no %s, in its place, in:\n%s", next, got.stdout)
		}
		rest = after
	}
}

func TestNamespaces(t *testing.T) {
	needsUserNamespaces(t, nil)
	want(t, 0, "1\n0\n0\n", "", "--all", "--map-root", "sh", "-c", "echo $$; id -u; id -g")
	got := finish(t, command(t, "--ns", "uts,net", "--map-root", "sh", "-c", "cd /proc/$$/ns && readlink user uts net ipc"))
	lines := strings.Fields(got.stdout)
	if got.code != 0 || len(lines) != 4 {
		t.Fatalf("%+v", got)
	}
	for i, name := range []string{"user", "uts", "net", "ipc"} {
		own, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if fresh := lines[i] != own; fresh != (name != "ipc") {
			t.Errorf("%s: %s, that of the test is %s", name, lines[i], own)
		}
	}
}

func TestMapRoot(t *testing.T) {
	maps := []string{"--map-root", "sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups"}
	single := func(uid, gid int, setgroups string) string {
		return fmt.Sprintf("%10d %10d %10d\n%10d %10d %10d\n%s\n", 0, uid, 1, 0, gid, 1, setgroups)
	}
	t.Run("as root", func(t *testing.T) {
		needsRoot(t)
		needsUserNamespaces(t, nil)
		want(t, 0, single(0, os.Getegid(), "allow"), "", maps...)
	})
	t.Run("as a user", func(t *testing.T) {
		cmd := command(t, maps...)
		uid, gid := os.Geteuid(), os.Getegid()
		if uid == 0 {
			uid, gid = 12345, 23456
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 12345, Gid: 23456}
		}
		needsUserNamespaces(t, cmd.SysProcAttr.Credential)
		if got := finish(t, cmd); got != (result{0, single(uid, gid, "deny"), ""}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestUserIsToldWhatToDo(t *testing.T) {
	needsRoot(t)
	cmd := command(t, "--ns", "net", "true")
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 12345, Gid: 23456}
	const message = "linx-run: cannot create the namespaces: clone: operation not permitted; run it as root, or add user to --ns\n"
	if got := finish(t, cmd); got != (result{125, "", message}) {
		t.Errorf("%+v", got)
	}
	cmd = command(t, "--drop-caps", "all", "true")
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 12345, Gid: 23456}
	const caps = "linx-run: cannot take capabilities away: cap_drop_bounding: operation not permitted; run it as root, or add user to --ns\n"
	if got := finish(t, cmd); got != (result{125, "", caps}) {
		t.Errorf("%+v", got)
	}
}

func TestCapabilities(t *testing.T) {
	needsRoot(t)
	const show = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | tr -d '\\n'"
	format := func(inh, prm, eff, bnd, amb uint64) string {
		return fmt.Sprintf("CapInh:\t%016xCapPrm:\t%016xCapEff:\t%016xCapBnd:\t%016xCapAmb:\t%016x", inh, prm, eff, bnd, amb)
	}
	own, err := capSetsOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const raw, chown = 1 << 13, 1 << 0
	less := own.bounding &^ raw
	want(t, 0, format(0, less, less, less, 0), "", "--drop-caps", "net_raw", "sh", "-c", show)
	want(t, 0, format(0, raw, raw, raw, 0), "", "--keep-caps", "CAP_NET_RAW", "sh", "-c", show)
	want(t, 0, format(0, 0, 0, 0, 0), "", "--drop-caps", "all", "sh", "-c", show)
	want(t, 0, format(raw, raw|chown, raw|chown, raw|chown, raw), "",
		"--keep-caps", "net_raw,chown", "--ambient-caps", "net_raw", "sh", "-c", show)

	// Without root in a user namespace the ambient ones are what is left.
	needsUserNamespaces(t, nil)
	all := finish(t, command(t, "--ns", "user", "--ambient-caps", "net_raw", "sh", "-c", show))
	if !strings.Contains(all.stdout, fmt.Sprintf("CapPrm:\t%016x", raw)) || !strings.HasSuffix(all.stdout, fmt.Sprintf("CapAmb:\t%016x", raw)) {
		t.Errorf("%+v", all)
	}
}

// filter writes a program that answers one system call with an action.
func filter(t *testing.T, name string, nr, action uint32) string {
	t.Helper()
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: nr, SkipFalse: 1},
		bpf.RetConstant{Val: action},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, i := range program {
		if err := binary.Write(&b, binary.NativeEndian, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSeccomp(t *testing.T) {
	deny := filter(t, "deny", unix.SYS_UNAME, unix.SECCOMP_RET_ERRNO|uint32(unix.EXDEV))
	kill := filter(t, "kill", unix.SYS_ACCT, unix.SECCOMP_RET_KILL_PROCESS)
	killExec := filter(t, "kill-exec", unix.SYS_EXECVE, unix.SECCOMP_RET_KILL_PROCESS)
	got := finish(t, command(t, "--seccomp-bpf", kill, "--seccomp-bpf", deny, "sh", "-c",
		"grep -E '^(NoNewPrivs|Seccomp_filters)' /proc/self/status; uname"))
	if got.code != 1 || got.stdout != "NoNewPrivs:\t1\nSeccomp_filters:\t2\n" || !strings.Contains(got.stderr, "Invalid cross-device link") {
		t.Errorf("%+v", got)
	}
	// No :running comes before the signal.
	want(t, 159, "", "", "--seccomp-bpf", killExec, "true")

	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, make([]byte, 8), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, 125, "", "linx-run: --seccomp-bpf: seccomp_install: invalid argument; this is no valid filter\n", "--seccomp-bpf", bad, "true")
	// The commands that are behind the one that fails do not hide why.
	want(t, 125, "", "linx-run: --seccomp-bpf: seccomp_install: invalid argument; this is no valid filter\n",
		"--seccomp-bpf", bad, "--seccomp-bpf", deny, "--seccomp-bpf", deny, "true")
}

func TestNoNewPrivs(t *testing.T) {
	want(t, 0, "NoNewPrivs:\t1\n", "", "--no-new-privs", "grep", "NoNewPrivs", "/proc/self/status")
	want(t, 0, "NoNewPrivs:\t0\n", "", "grep", "NoNewPrivs", "/proc/self/status")
}

func TestEnter(t *testing.T) {
	needsUserNamespaces(t, nil)
	target := launch(t, "ready", "--ns", "user,uts,net,pid", "--map-root", "cat")
	pid := childOf(t, childOf(t, target.cmd.Process.Pid))
	const links = "cd /proc/%s/ns && readlink user uts net"
	there := finish(t, command(t, "sh", "-c", fmt.Sprintf(links, strconv.Itoa(pid))))
	// Where it joins its pid namespace too, its number in our procfs is unknown.
	want(t, 0, there.stdout+"0\n", "", "--enter", strconv.Itoa(pid), "--ns", "user,uts,net",
		"sh", "-c", fmt.Sprintf(links, "$$")+"; id -u")
	for _, all := range [][]string{{}, {"--all"}} {
		args := append(all, "--enter", strconv.Itoa(pid), "sh", "-c", "echo $$; id -u")
		got := finish(t, command(t, args...))
		lines := strings.Fields(got.stdout)
		if got.code != 0 || len(lines) != 2 || lines[1] != "0" {
			t.Fatalf("%+v", got)
		}
		if inner, err := strconv.Atoi(lines[0]); err != nil || inner > 100 {
			t.Errorf("pid %q in a namespace of a few processes", lines[0])
		}
	}
	target.stdin.Close()
	target.end(0)

	want(t, 125, "", fmt.Sprintf("linx-run: --enter %d: open_ns_proc: no such process; is the process still alive?\n", pid),
		"--enter", strconv.Itoa(pid), "/bin/true")
}
