package main

import (
	"fmt"
	"os"

	"github.com/linxprocess/linx-process/agent"
	"golang.org/x/sys/unix"
)

// version is stamped by the Makefile.
var version = "unknown"

// The descriptors of the control channel.
const (
	requests = 3
	frames   = 4
)

const help = `usage: linx-process [--version | --features | --explain | --help]

Runs one workload in a Linux sandbox for the program that started it: requests
are read from descriptor 3, status frames are written to descriptor 4, both as
Erlang terms behind a 4-byte length. Erlang starts it with
  Port.open({:spawn_executable, path}, [:binary, :nouse_stdio, {:packet, 4}, :exit_status])
linx-run(1) is the same for people.

  --version   print the version
  --features  print, as JSON, what this build and this kernel can do
  --explain   read a request and checkpoint commands from descriptor 3, and
              print the system calls of the child instead of making them
  --help      print this

Exit status: 0 the outcome was reported, 1 the control channel was lost or a
checkpoint command failed, 2 malformed request, 3 clone or joining namespaces
failed, 4 the agent's own set-up failed.
`

// run returns the exit status of the process.
func run(args []string) (int, error) {
	if len(args) == 0 {
		if err := checkChannel(); err != nil {
			return 1, err
		}
		return agent.Run(requests, frames), nil
	}
	if len(args) == 1 {
		switch args[0] {
		case "--version":
			fmt.Println("linx-process", version)
			return 0, nil
		case "--features":
			if err := agent.WriteFeatures(os.Stdout, version); err != nil {
				return 1, err
			}
			return 0, nil
		case "--help", "-h":
			fmt.Print(help)
			return 0, nil
		case "--explain":
			return agent.Explain(requests, os.Stdout)
		}
	}
	return 2, fmt.Errorf("unknown arguments %q; it takes none, or one of --version --features --explain --help", args)
}

// checkChannel sees to it that descriptors 3 and 4 are what a client gives. The
// runtime may have put one of its own there.
func checkChannel() error {
	for fd, dir := range map[int]string{requests: "read", frames: "written"} {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return fmt.Errorf("descriptor %d is not open: requests are read from 3 and frames written to 4; start it by Port.open with :nouse_stdio, or use linx-run (%w)", fd, err)
		}
		if t := st.Mode & unix.S_IFMT; t != unix.S_IFIFO && t != unix.S_IFSOCK {
			return fmt.Errorf("descriptor %d is neither a pipe nor a socket, from which it could be %s; start it by Port.open with :nouse_stdio, or use linx-run", fd, dir)
		}
	}
	return nil
}
