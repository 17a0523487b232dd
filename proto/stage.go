package proto

import (
	"errors"
	"fmt"
	"syscall"
)

// Stage names the step at which a session failed. It travels as an atom.
type Stage string

// The stages of the core protocol. The children of StageOpenNS and
// StageSetNS are made with the name of a namespace.
const (
	StageRequestTooBig    Stage = "request_too_big"
	StageCommandTooBig    Stage = "command_too_big"
	StageMalformedRequest Stage = "malformed_request"
	StageMalformedCommand Stage = "malformed_command"

	StagePipe2       Stage = "pipe2"
	StagePosixOpenpt Stage = "posix_openpt"
	StagePTSetup     Stage = "ptsetup"
	StagePTSName     Stage = "ptsname"
	StagePTSOpen     Stage = "pts_open"
	StageConnectUnix Stage = "connect_unix"

	StageClone      Stage = "clone"
	StageFork       Stage = "fork"
	StageOpenNSProc Stage = "open_ns_proc"

	StageReadyFrame     Stage = "ready_frame"
	StageMalformedReady Stage = "malformed_ready"
	StageExecOutcome    Stage = "exec_outcome"

	StageStdio             Stage = "stdio"
	StageChdir             Stage = "chdir"
	StageExecve            Stage = "execve"
	StageCapDropBounding   Stage = "cap_drop_bounding"
	StageCapSetThread      Stage = "cap_set_thread"
	StageCapSetAmbient     Stage = "cap_set_ambient"
	StageSeccompNoNewPrivs Stage = "seccomp_no_new_privs"
	StageSeccompInstall    Stage = "seccomp_install"
)

// StageOpenNS is the stage at which a namespace file of a target is opened.
func StageOpenNS(n Namespace) Stage { return Stage("open_ns_" + n.String()) }

// StageSetNS is the stage at which a namespace is joined.
func StageSetNS(n Namespace) Stage { return Stage("setns_" + n.String()) }

// StageError is a system call of the agent that failed, with the stage that it
// belongs to. It matches its errno with errors.Is.
type StageError struct {
	Stage Stage
	Op    string // the system call
	Path  string // of what, where it has one
	Errno syscall.Errno
}

// FailedAt makes a StageError of an error that wraps an errno; EIO stands for one
// that does not.
func FailedAt(stage Stage, op, path string, err error) *StageError {
	errno := syscall.EIO
	errors.As(err, &errno)
	return &StageError{Stage: stage, Op: op, Path: path, Errno: errno}
}

func (e *StageError) Error() string {
	op := e.Op
	if e.Path != "" {
		op += " " + e.Path
	}
	return fmt.Sprintf("%s: %s: %v", e.Stage, op, e.Errno)
}

func (e *StageError) Unwrap() error { return e.Errno }
