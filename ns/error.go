package ns

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Error is why a target cannot be pinned. It matches its errno with errors.Is.
type Error struct {
	Stage proto.Stage // open_ns_proc, or open_ns_<ns>
	Op    string      // the system call
	Path  string      // of what, where it has one
	Errno syscall.Errno
}

func (e *Error) Error() string {
	op := e.Op
	if e.Path != "" {
		op += " " + e.Path
	}
	return fmt.Sprintf("%s: %s: %v", e.Stage, op, e.Errno)
}

func (e *Error) Unwrap() error { return e.Errno }

// failed makes an Error of what package unix returns, which is a bare errno.
func failed(stage proto.Stage, op, path string, err error) *Error {
	errno := unix.EIO
	errors.As(err, &errno)
	return &Error{Stage: stage, Op: op, Path: path, Errno: errno}
}
