package stdio

import (
	"strings"
	"time"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// connectTimeout is how long a listener with a full backlog is waited for.
const connectTimeout = 5 * time.Second

// dial connects a stream socket to the path (unix(7)). The result is an ordinary
// blocking socket, close-on-exec, that the caller closes. Errors are of stage
// connect_unix: those of connect(2), and
//
//	ENAMETOOLONG  over 107 bytes; sun_path has 108, and ends with a NUL
//	ENOENT        an empty path
//	EINVAL        a NUL in the path
//	ETIMEDOUT     the backlog was full all the time
//
// A leading '@' is an ordinary character: the abstract namespace is not reached.
func dial(path string, timeout time.Duration) (int, error) {
	if errno := checkPath(path); errno != 0 {
		return -1, proto.FailedAt(proto.StageConnectUnix, "connect", path, errno)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, proto.FailedAt(proto.StageConnectUnix, "socket", "", err)
	}
	err = connectWithin(fd, path, timeout)
	if err == nil {
		err = setSendTimeout(fd, 0)
	}
	if err != nil {
		unix.Close(fd)
		return -1, proto.FailedAt(proto.StageConnectUnix, "connect", path, err)
	}
	return fd, nil
}

func checkPath(path string) unix.Errno {
	switch {
	case path == "":
		return unix.ENOENT
	case strings.IndexByte(path, 0) >= 0:
		return unix.EINVAL
	case len(path) >= len(unix.RawSockaddrUnix{}.Path):
		return unix.ENAMETOOLONG
	default:
		return 0
	}
}

// connectWithin bounds connect(2) by SO_SNDTIMEO (socket(7)), which ends it with
// EAGAIN. A signal ends it too (signal(7)), so the rest of the time is counted.
func connectWithin(fd int, path string, timeout time.Duration) error {
	for end := time.Now().Add(timeout); ; {
		left := time.Until(end).Truncate(time.Microsecond)
		if left <= 0 { // to the kernel 0 would be no limit
			return unix.ETIMEDOUT
		}
		if err := setSendTimeout(fd, left); err != nil {
			return err
		}
		switch err := connect(fd, path); err {
		case unix.EINTR, unix.EAGAIN:
		default:
			return err
		}
	}
}

// setSendTimeout sets SO_SNDTIMEO; 0 is no limit.
func setSendTimeout(fd int, d time.Duration) error {
	tv := unix.NsecToTimeval(d.Nanoseconds())
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
}
