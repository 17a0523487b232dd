package ns

import (
	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// Join is the ops that join the namespaces. It stops when they are joined, so
// it has to be the end of its program; what follows is another's.
//
// setns(2) with the pidfd joins all at once or none (Linux 5.8), and does not
// depend on which of them owns which. Only where that fails are they joined one
// by one, to learn the name of the one that cannot be: the first op that fails
// has the stage setns_<ns>. Either way the child is in all of them or has failed.
//
// The child stops being dumpable first: what runs inside must not trace it, nor
// open what it still holds of the agent's. Joining a user namespace keeps it that
// way, unless the administrator has set fs.suid_dumpable to 1 (proc(5)).
func (t *Target) Join() []child.Op {
	ops := []child.Op{{
		Call:  child.Prctl,
		Args:  []child.Arg{child.Named("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE), child.Int(0), child.Int(0), child.Int(0), child.Int(0)},
		Stage: string(proto.StageClone),
	}}
	if len(t.joins) == 0 {
		return ops
	}
	all := setns("pidfd", t.pidfd, CloneFlags(t.Joins()), "")
	all.OnError = child.Skip(1)
	ops = append(ops, all, child.Op{Call: child.Stop})
	for _, j := range t.joins {
		ops = append(ops, setns(kinds[j.kind].file, j.fd, kinds[j.kind].flag, proto.StageSetNS(j.kind)))
	}
	return ops
}

func setns(what string, fd int, flags uint64, stage proto.Stage) child.Op {
	return child.Op{
		Call:  child.Setns,
		Args:  []child.Arg{child.Named("<"+what+">", fd), child.Named(FlagNames(flags), flags)},
		Stage: string(stage),
	}
}

// NeedsFork tells whether Fork has to follow Join: a pid namespace takes in the
// children of who joins it only, and a time namespace is treated alike.
func (t *Target) NeedsFork() bool {
	return CloneFlags(t.Joins())&(unix.CLONE_NEWPID|unix.CLONE_NEWTIME) != 0
}

// Fork is the program that has a new process go on inside, a child of the agent
// as the first one was. Its report comes from there; its id is in WordPID; the
// first child has exited, for the agent to reap. It fails with ENOMEM, stage
// fork, where the pid namespace has lost its pid 1 (pid_namespaces(7)).
func (t *Target) Fork() child.Program {
	return child.Program{Name: "fork", Ops: []child.Op{secondClone()}}
}
