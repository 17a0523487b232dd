package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapRoot makes the caller's user and group the root of the user namespace of a
// parked child (user_namespaces(7), "User and group ID mappings"). It is one id
// each, also for root: with more of them the command would have every file of
// theirs. setgroups(2) is denied where the kernel demands it, which is where the
// caller could not call it itself.
func mapRoot(pid int) error {
	dir, err := os.OpenRoot(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := write(dir, "uid_map", fmt.Sprintf("0 %d 1\n", os.Geteuid())); err != nil {
		return err
	}
	groups := fmt.Sprintf("0 %d 1\n", os.Getegid())
	if err := write(dir, "gid_map", groups); !errors.Is(err, unix.EPERM) {
		return err
	}
	if err := write(dir, "setgroups", "deny\n"); err != nil {
		return err
	}
	return write(dir, "gid_map", groups)
}

// write writes a file of proc(5), which takes it in one piece.
func write(dir *os.Root, name, text string) error {
	f, err := dir.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
