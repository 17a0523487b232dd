package stdio

import (
	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Session is the ops that make the child a session leader with the terminal as
// its controlling terminal (credentials(7), ioctl_tty(2)); none without one.
// Preconditions: the child leads no process group, as none does after clone(2),
// and Plumb comes later.
func (s *Stdio) Session() []child.Op {
	if !s.tty {
		return nil
	}
	return []child.Op{
		{Call: child.Setsid, Stage: string(proto.StageStdio)},
		{
			Call:  child.Ioctl,
			Args:  []child.Arg{child.Named(nameTerminal, s.sources[0].fd), child.Named("TIOCSCTTY", unix.TIOCSCTTY), child.Int(0)},
			Stage: string(proto.StageStdio),
		},
	}
}

// Plumb is the ops that put each source in place of the descriptor, open across
// execve(2). An inherited descriptor is left alone.
func (s *Stdio) Plumb() []child.Op {
	var ops []child.Op
	for n, from := range s.sources {
		if from.inherited() {
			continue
		}
		ops = append(ops, child.Op{
			Call:  child.Dup3,
			Args:  []child.Arg{child.Named(from.name, from.fd), child.Int(n), child.Int(0)},
			Stage: string(proto.StageStdio),
		})
	}
	return ops
}
