package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// ownRoot is the root directory of linx-run, and of every command that does not
// join another mount namespace.
const ownRoot = "/"

// found is what a search has found: a file that can be executed, one that cannot,
// or neither (an empty name).
type found struct {
	name       string
	executable bool
}

// resolve is the path to execute. A name with a slash is one. A bare name is looked
// up, as env(1) does, on the PATH that the command will have, or else on that of
// linx-run; and where the command will be: inside the root of the process whose
// mount namespace it joins. Directories of PATH that are not absolute are left out.
func (o *options) resolve(env []string) (string, error) {
	name := o.argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	root := ownRoot
	if o.enter != 0 && o.joins(proto.Mount) {
		root = fmt.Sprintf("/proc/%d/root", o.enter)
		if f, err := os.Open(root); err != nil {
			return "", fmt.Errorf("cannot look up %s there (%w); is the process alive and yours? Or give a path", name, err)
		} else {
			f.Close()
		}
	}
	at := searchPath(root, variable("PATH", env, os.Environ()), name)
	switch {
	case at.name == "":
		return "", &statusError{exitNotFound, fmt.Errorf("%s: not found on PATH", name)}
	case !at.executable:
		return "", &statusError{exitNotExecutable, fmt.Errorf("%s is not executable", at.name)}
	}
	return at.name, nil
}

// joins tells whether the command will be in a namespace of --enter's process that
// is not that of linx-run. What cannot be told will fail later; true then.
func (o *options) joins(n proto.Namespace) bool {
	if o.namespaces != nil && !slices.Contains(o.namespaces, n) {
		return false
	}
	file := map[proto.Namespace]string{proto.Mount: "mnt", proto.User: "user"}[n]
	ours, err1 := os.Stat(filepath.Join("/proc/self/ns", file))
	theirs, err2 := os.Stat(fmt.Sprintf("/proc/%d/ns/%s", o.enter, file))
	return err1 != nil || err2 != nil || !os.SameFile(ours, theirs)
}

// variable is the value of the first environment that has the variable.
func variable(name string, environments ...[]string) string {
	for _, env := range environments {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
	}
	return ""
}

// searchPath looks for the first executable file of that name in the directories of
// list, as they are inside root.
func searchPath(root, list, name string) (best found) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return found{}
	}
	defer unix.Close(fd)
	for dir := range strings.SplitSeq(list, ":") {
		if !path.IsAbs(dir) {
			continue
		}
		at := path.Join(dir, name)
		switch regular, executable := inspect(fd, at); {
		case executable:
			return found{at, true}
		case regular && best.name == "":
			best.name = at
		}
	}
	return best
}

// inspect tells what a path leads to. Symbolic links are followed inside the root,
// also absolute ones (openat2(2), Linux 5.6).
func inspect(root int, name string) (regular, executable bool) {
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return false, false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, false
	}
	return true, st.Mode&0o111 != 0
}
