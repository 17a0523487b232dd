package stdio

import (
	"errors"
	"io/fs"
	"os"

	"github.com/creack/pty"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

const ptmx = "/dev/ptmx"

// openTerminal makes a pseudoterminal pair (pty(7)). The agent's end, the master,
// does not block; the workload's is an ordinary terminal, which does.
func (s *Stdio) openTerminal() error {
	master, slave, err := pty.Open()
	if err != nil {
		return terminalError(err)
	}
	defer master.Close()
	defer slave.Close()
	if s.master, err = detach(master, true); err != nil {
		return err
	}
	fd, err := s.own(detach(slave, false))
	if err != nil {
		return err
	}
	terminal := source{fd, nameTerminal}
	s.sources, s.tty = [3]source{terminal, terminal, terminal}, true
	return nil
}

// detach is another descriptor of the same open file, one that the runtime does
// not poll, close when it collects garbage, or make blocking. The caller owns both.
func detach(f *os.File, nonblocking bool) (int, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, proto.FailedAt(proto.StagePTSetup, "fcntl", f.Name(), err)
	}
	if err := unix.SetNonblock(fd, nonblocking); err != nil {
		unix.Close(fd)
		return -1, proto.FailedAt(proto.StagePTSetup, "fcntl", f.Name(), err)
	}
	return fd, nil
}

// terminalError finds out which step of pty.Open failed. The two that open a file
// say so; TIOCGPTN and TIOCSPTLCK (ioctl_tty(2)) come as the bare errno.
func terminalError(err error) *proto.StageError {
	var opening *fs.PathError
	switch {
	case !errors.As(err, &opening):
		return ioctlError(err)
	case opening.Path == ptmx:
		return proto.FailedAt(proto.StagePosixOpenpt, opening.Op, opening.Path, err)
	default:
		return proto.FailedAt(proto.StagePTSOpen, opening.Op, opening.Path, err)
	}
}

// ioctlError tries the first of the two again: what is refused once is refused
// twice, as by a filter.
func ioctlError(err error) *proto.StageError {
	fd, again := unix.Open(ptmx, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if again == nil {
		defer unix.Close(fd)
		if _, again = unix.IoctlGetUint32(fd, unix.TIOCGPTN); again != nil {
			return proto.FailedAt(proto.StagePTSName, "ioctl", ptmx, err)
		}
	}
	return proto.FailedAt(proto.StagePTSetup, "ioctl", ptmx, err)
}

// Master is the agent's end of the pseudoterminal, non-blocking; -1 where there
// is none or it is closed. It stays the Stdio's.
func (s *Stdio) Master() int { return s.master }

// SetWinsize changes the size of the terminal; whoever has it as controlling
// terminal gets SIGWINCH (ioctl_tty(2), TIOCSWINSZ). Where there is none nothing
// happens. The error is the bare errno.
func (s *Stdio) SetWinsize(size proto.Winsize) error {
	if s.master < 0 {
		return nil
	}
	return unix.IoctlSetWinsize(s.master, unix.TIOCSWINSZ, &unix.Winsize{
		Row: size.Rows, Col: size.Cols, Xpixel: size.XPix, Ypixel: size.YPix,
	})
}

// CloseMaster hangs up the terminal: its session gets SIGHUP, and reads of it end.
func (s *Stdio) CloseMaster() {
	if s.master >= 0 {
		unix.Close(s.master)
		s.master = -1
	}
}
