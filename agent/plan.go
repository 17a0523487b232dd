package agent

import (
	"slices"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/ns"
	"github.com/linxprocess/linx-process/proto"
)

// plan is how a child gets to the checkpoint: the flags of its clone, and the
// programs that it then runs, each in answer to the report of the one before.
type plan struct {
	flags    uint64
	programs []child.Program
}

// planOf is for kernels with clone3(2), and for enter. closing are the ops that
// every child begins with.
func planOf(r *proto.Request, target *ns.Target, closing []child.Op) plan {
	if target == nil {
		return plan{
			flags:    ns.CloneFlags(r.Namespaces),
			programs: []child.Program{{Name: "start", Ops: append(closing, dumpable, tellPID)}},
		}
	}
	join := child.Program{Name: "join", Ops: slices.Concat(closing, target.Join())}
	if !target.NeedsFork() {
		return plan{programs: []child.Program{join, {Name: "ready", Ops: []child.Op{tellPID}}}}
	}
	return plan{programs: []child.Program{join, secondClone()}}
}
