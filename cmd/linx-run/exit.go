package main

import (
	"errors"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Exit statuses that are not the command's, as env(1) and nohup(1) have them.
const (
	exitFailed        = 125 // linx-run, or the agent, failed
	exitNotExecutable = 126 // the command was found and could not be executed
	exitNotFound      = 127
	exitSignal        = 128 // plus the number of the signal
)

// statusError is an error with the exit status that it means.
type statusError struct {
	code int
	err  error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// codeOf is the exit status that the error means.
func codeOf(err error) int {
	var status *statusError
	var failed *client.Error
	switch {
	case errors.As(err, &status):
		return status.code
	case !errors.As(err, &failed) || failed.Stage != proto.StageExecve:
		return exitFailed
	case failed.Errno == unix.ENOENT || failed.Errno == unix.ENOTDIR:
		return exitNotFound
	default:
		return exitNotExecutable
	}
}

// codeOfResult is the exit status that a shell would give.
func codeOfResult(r client.Result) int {
	if r.Kind == proto.Signaled {
		return exitSignal + r.N
	}
	return r.N
}
