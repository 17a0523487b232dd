package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// subjects tell what of the command line a stage is about, by the start of its
// name.
var subjects = []struct {
	stage string
	of    func(*plan) string
}{
	{"execve", func(p *plan) string { return "cannot execute " + p.request.Argv[0] }},
	{"chdir", cwd},
	{"clone", func(*plan) string { return "cannot create the namespaces" }},
	{"open_ns_", func(p *plan) string { return fmt.Sprintf("--enter %d", p.enter) }},
	{"setns_", func(p *plan) string { return fmt.Sprintf("--enter %d", p.enter) }},
	{"cap_drop_bounding", func(*plan) string { return "cannot take capabilities away" }},
	{"cap_set_thread", func(*plan) string { return "cannot set capabilities" }},
	{"cap_set_ambient", func(*plan) string { return "--ambient-caps" }},
	{"seccomp_", func(*plan) string { return "--seccomp-bpf" }},
}

// advices tell what to do about an errno of a stage.
var advices = []struct {
	stage string
	errno syscall.Errno
	text  string
}{
	{"clone", unix.EPERM, "run it as root, or add user to --ns"},
	{"clone", unix.EINVAL, "this kernel has not all of them, see linx-process --features"},
	{"clone", unix.ENOSPC, "the limit in /proc/sys/user is reached"},
	{"open_ns_proc", unix.ESRCH, "is the process still alive?"},
	{"open_ns_", unix.EACCES, "it belongs to somebody else; run it as root"},
	{"setns_", unix.EPERM, "run it as root, or join the user namespace too"},
	{"cap_", unix.EPERM, "run it as root, or add user to --ns"},
	{"seccomp_install", unix.EINVAL, "this is no valid filter"},
	{"execve", unix.ENOEXEC, "is it for this machine, or a script without #!?"},
}

func cwd(p *plan) string {
	if p.cwd == nil {
		return "chdir"
	}
	return "--cwd " + *p.cwd
}

// explained says in terms of the command line what an error of the session is.
func explained(err error, p *plan) error {
	var failed *client.Error
	if !errors.As(err, &failed) {
		return err
	}
	stage := string(failed.Stage)
	for _, s := range subjects {
		if strings.HasPrefix(stage, s.stage) {
			err = fmt.Errorf("%s: %w", s.of(p), failed)
			break
		}
	}
	if failed.Stage == proto.StageExecve && failed.Errno == unix.ENOENT && p.commandIsThere() {
		return &statusError{exitNotExecutable, fmt.Errorf("%w; the file is there, but not the interpreter that it names", err)}
	}
	for _, a := range advices {
		if strings.HasPrefix(stage, a.stage) && failed.Errno == a.errno {
			return fmt.Errorf("%w; %s", err, a.text)
		}
	}
	return err
}

// commandIsThere tells whether the file to execute exists, as far as linx-run can see
// where the command is.
func (p *plan) commandIsThere() bool {
	if p.enter != 0 && p.joins(proto.Mount) {
		return false
	}
	name := p.request.Argv[0]
	if p.cwd != nil && !filepath.IsAbs(name) {
		name = filepath.Join(*p.cwd, name)
	}
	_, err := os.Stat(name)
	return err == nil
}
