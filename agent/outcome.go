package agent

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// forkNoExec is PF_FORKNOEXEC of include/linux/sched.h: forked, but did not
// execute.
const forkNoExec = 0x40

// hasExecuted tells whether the process, an unreaped child of the agent, has
// executed. That its close-on-exec pipe has ended tells only that it has, or
// that it died.
func hasExecuted(pid int) (bool, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	var stat [1024]byte // the line has some 350 bytes; the field stands in the first 100
	n, err := unix.Read(fd, stat[:])
	if err != nil {
		return false, err
	}
	return parseExecuted(stat[:n])
}

// parseExecuted reads the ninth field of proc_pid_stat(5), flags. The second one,
// the name of the program in parentheses, may hold blanks and parentheses.
func parseExecuted(stat []byte) (bool, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const flags = 9 - 3 // the fields begin with the third
	if len(fields) <= flags {
		return false, fmt.Errorf("/proc/pid/stat of %d fields: %w", len(fields)+2, unix.EBADMSG)
	}
	v, err := strconv.ParseUint(string(fields[flags]), 10, 64)
	if err != nil {
		return false, fmt.Errorf("/proc/pid/stat, flags: %w", unix.EBADMSG)
	}
	return v&forkNoExec == 0, nil
}
