package ns

import (
	"testing"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

func TestPlans(t *testing.T) {
	type list = []proto.Namespace
	for name, c := range map[string]struct {
		plan  Plan
		flags uint64
		after string
	}{
		"clone3": {Create(list{proto.User, proto.PID, proto.Time}), unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWTIME, ":\n"},
		"clone without time": {
			CreateWithoutClone3(list{proto.User, proto.PID}), unix.CLONE_NEWUSER | unix.CLONE_NEWPID, ":\n",
		},
		"clone with time": {
			CreateWithoutClone3(list{proto.Time, proto.Net}), unix.CLONE_NEWNET, `unshare:
  unshare(CLONE_NEWTIME)  [clone]
  $1 = clone(0)  [fork]
`,
		},
		"clone with time and pid": {
			CreateWithoutClone3(list{proto.Time, proto.User, proto.PID}), unix.CLONE_NEWUSER, `unshare:
  unshare(CLONE_NEWTIME|CLONE_NEWPID)  [clone]
  $1 = clone(0)  [fork]
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.plan.Flags != c.flags {
				t.Errorf("flags %s, want %s", FlagNames(c.plan.Flags), FlagNames(c.flags))
			}
			if got := c.plan.After.String(); got != c.after {
				t.Errorf("after the clone:\n%s\nwant\n%s", got, c.after)
			}
		})
	}
}

// All namespaces are new, and the workload is pid 1, whichever way they are made.
func TestPlansCreateEveryNamespace(t *testing.T) {
	var all []proto.Namespace
	for n := range proto.Namespace(proto.NumNamespaces) {
		if Supported(n) {
			all = append(all, n)
		}
	}
	for name, plan := range map[string]Plan{"clone3": Create(all), "clone": CreateWithoutClone3(all)} {
		t.Run(name, func(t *testing.T) {
			p := parked(t, plan.Flags)
			if len(plan.After.Ops) > 0 {
				if err := run(t, p, plan.After); err != nil {
					t.Fatal(err)
				}
				adopt(t, p)
			}
			for _, n := range all {
				if file := kinds[n].file; link(t, p.PID, file) == link(t, unix.Getpid(), file) {
					t.Errorf("%v is the agent's own", n)
				}
			}
			if got := innerPID(t, p); got != 1 {
				t.Errorf("it is process %d, not 1", got)
			}
		})
	}
}
