package agent

import (
	"slices"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/ns"
)

// plan is how a child gets to the checkpoint: the flags of its clone, and the
// programs that it then runs, each in answer to the report of the one before.
type plan struct {
	flags    uint64
	programs []child.Program
}

// spawnPlan makes a child in fresh namespaces. closing are the ops that every
// child begins with: what they leave open is all that a look into a dumpable
// child can find.
func spawnPlan(closing []child.Op, create ns.Plan) plan {
	start := child.Program{Name: "start", Ops: append(closing, dumpable(1))}
	if len(create.After.Ops) == 0 {
		start.Ops = append(start.Ops, tellPID())
		return plan{create.Flags, []child.Program{start}}
	}
	create.After.Ops = append(create.After.Ops, tellPID())
	return plan{create.Flags, []child.Program{start, create.After}}
}

// enterPlan makes a child that joins the namespaces of the target. It stays
// undumpable until it executes: also where joining a user namespace has made it
// dumpable, as fs.suid_dumpable may ask for (proc(5)).
func enterPlan(closing []child.Op, target *ns.Target) plan {
	join := child.Program{Name: "join", Ops: slices.Concat(closing, target.Join())}
	next := child.Program{Name: "joined", Ops: []child.Op{dumpable(0)}}
	if target.NeedsFork() {
		next.Ops = append(next.Ops, target.Fork().Ops...)
	}
	next.Ops = append(next.Ops, tellPID())
	return plan{0, []child.Program{join, next}}
}

// forks tells whether the workload is another process than the one that is
// cloned first.
func (p plan) forks() bool {
	for _, program := range p.programs {
		for _, o := range program.Ops {
			if o.Call == child.Clone {
				return true
			}
		}
	}
	return false
}
