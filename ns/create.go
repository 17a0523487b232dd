package ns

import (
	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// WordPID takes the id of the process that a second clone made, as the agent's
// pid namespace sees it. No other program of the session may use the word.
const WordPID child.Word = 1

// Plan is how namespaces are created.
type Plan struct {
	// Flags are CLONE_NEW* flags for the clone that makes the child.
	Flags uint64

	// After is for the child to run first, where the clone cannot do it all;
	// it has no ops otherwise. Its report comes from another process, the id of
	// which is in WordPID; the first child has then exited, for the agent to
	// reap.
	After child.Program
}

// Create is the plan for clone3(2), which takes all flags at once (Linux 5.6
// for CLONE_NEWTIME).
func Create(list []proto.Namespace) Plan {
	return Plan{Flags: CloneFlags(list)}
}

// CreateWithoutClone3 is the plan for clone(2), where clone3(2) answers ENOSYS:
// before Linux 5.3, or under the default filter of a container engine.
//
// In the flags of clone(2) the bit of CLONE_NEWTIME belongs to the exit signal,
// so a time namespace takes unshare(2) and, since that moves only the caller's
// children, a second clone. A pid namespace is then left to the same two: a first
// child that was its pid 1 would take it down by exiting. A failure of unshare(2)
// is of the stage that clone3(2) would have failed at, clone.
func CreateWithoutClone3(list []proto.Namespace) Plan {
	flags := CloneFlags(list)
	if flags&unix.CLONE_NEWTIME == 0 {
		return Plan{Flags: flags}
	}
	late := flags & (unix.CLONE_NEWTIME | unix.CLONE_NEWPID)
	return Plan{
		Flags: flags &^ late,
		After: child.Program{Name: "unshare", Ops: []child.Op{
			{
				Call:  child.Unshare,
				Args:  []child.Arg{child.Named(FlagNames(late), late)},
				Stage: string(proto.StageClone),
			},
			secondClone(),
		}},
	}
}

// secondClone goes on in a new process, which is a child of the agent too.
func secondClone() child.Op {
	return child.Op{
		Call:  child.Clone,
		Args:  []child.Arg{child.Int(0)},
		Stage: string(proto.StageFork),
		Out:   WordPID,
	}
}
