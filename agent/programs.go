package agent

import (
	"encoding/binary"
	"math"
	"os"
	"slices"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/child/nofile"
	"github.com/linxprocess/linx-process/ns"
	"github.com/linxprocess/linx-process/proto"
	"github.com/linxprocess/linx-process/seccomp"
	"github.com/linxprocess/linx-process/stdio"
	"golang.org/x/sys/unix"
)

// Words of the arena that outlive the program that fills them.
const (
	wordHostPID             = ns.WordPID // the second child's, from clone(2)
	wordInnerPID child.Word = 2          // the parked child's own view of itself
	wordScratch  child.Word = 3
	wordsZero    child.Word = 4 // four words that nobody writes
)

// tellPID is the last op before the checkpoint: the child says who it is.
func tellPID() child.Op {
	return child.Op{Call: child.Getpid, Out: wordInnerPID, Stage: string(proto.StageReadyFrame)}
}

// closeAllBut closes what the child inherited but for 0, 1, 2 and keep. The
// write end of its own command pipe is among it: while the child holds that, the
// pipe never ends.
func closeAllBut(keep []int) []child.Op {
	slices.Sort(keep)
	ops := make([]child.Op, 0, usualOps)
	between := func(first, last uint32) {
		ops = append(ops, child.Op{
			Call:  child.CloseRange,
			Args:  []child.Arg{child.Int(first), child.Int(last), child.Int(0)},
			Stage: string(proto.StageClone),
		})
	}
	next := uint32(3)
	for _, fd := range keep {
		if fd := uint32(fd); fd > next {
			between(next, fd-1)
		}
		next = max(next, uint32(fd)+1)
	}
	between(next, math.MaxUint32)
	return ops
}

// closeEach is closeAllBut without close_range(2). Of the descriptors some may
// have been closed since they were listed.
func closeEach(fds, keep []int) []child.Op {
	var ops []child.Op
	for _, fd := range fds {
		if !slices.Contains(keep, fd) {
			ops = append(ops, child.Op{Call: child.Close, Args: []child.Arg{child.Int(fd)}, OnError: child.GoOn})
		}
	}
	return ops
}

// dumpable(1) lets an unprivileged client write the id maps of the child, whose
// files in /proc belong to root otherwise. The agent is not dumpable.
func dumpable(yes int) child.Op {
	return child.Op{
		Call:  child.Prctl,
		Args:  []child.Arg{child.Named("PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE), child.Int(yes)},
		Stage: string(proto.StageClone),
	}
}

// lastProgram is what the child runs on :proceed. Filters come last, so that
// they need not allow what only this program calls.
func lastProgram(preparation []child.Op, filters [][]byte, execute child.Op) child.Program {
	ops := append(preparation, seccomp.Install(filters)...)
	return child.Program{Name: "execute", Ops: append(ops, execute)}
}

// usualOps is how many ops a last program has that asks for little, so that it
// grows in one piece of memory: each size that is not in use yet costs the agent two
// pages of memory, and a parked one has few.
const usualOps = 80

// preparation is the part of the last program that is known from the request.
// PR_SET_PDEATHSIG comes after what would clear it, and the signal mask after the
// dispositions.
func preparation(r *proto.Request, io *stdio.Stdio, commandFD child.Arg) []child.Op {
	ops := make([]child.Op, 0, usualOps)
	ops = append(ops, io.Session()...)
	ops = append(ops, io.Plumb()...)
	ops = append(ops, restoreLimits()...)
	ops = appendResetSignals(ops)
	if r.Cwd != nil {
		ops = append(ops, child.Op{Call: child.Chdir, Args: []child.Arg{child.String(*r.Cwd)}, Stage: string(proto.StageChdir)})
	}
	if !r.Orphan.Linger {
		ops = append(ops, dieWithAgent(commandFD)...)
	}
	if r.NoNewPrivs {
		ops = append(ops, seccomp.NoNewPrivs())
	}
	return ops
}

// execution is its end.
func execution(r *proto.Request) child.Op {
	env := child.Strings(r.Env)
	if r.Env == nil {
		env = child.Strings(os.Environ()).As("environ")
	}
	return child.Op{
		Call:  child.Execve,
		Args:  []child.Arg{child.String(r.Argv[0]), child.Strings(r.Argv), env},
		Stage: string(proto.StageExecve),
	}
}

// fixedSpace is what any program for the child may take besides the strings of
// the request, in bytes. Most of it is for filters, of which the kernel takes
// 32,768 instructions in all. Memory that is not written to is not used.
const fixedSpace = 1 << 20

// space is the size of an arena in which every program of the session fits.
func space(r *proto.Request, execute child.Op) int {
	n := fixedSpace + child.Program{Ops: []child.Op{execute}}.Size()
	if r.Cwd != nil {
		n += len(*r.Cwd)
	}
	return n
}

// restoreLimits takes back what package syscall did to RLIMIT_NOFILE.
func restoreLimits() []child.Op {
	limit, ok := nofile.Original()
	if !ok {
		return nil
	}
	b := binary.NativeEndian.AppendUint64(nil, limit.Soft)
	b = binary.NativeEndian.AppendUint64(b, limit.Hard)
	return []child.Op{{
		Call:  child.Prlimit64,
		Args:  []child.Arg{child.Int(0), child.Named("RLIMIT_NOFILE", unix.RLIMIT_NOFILE), child.Struct("{as at start}", b), child.Int(0)},
		Stage: string(proto.StageExecve),
	}}
}

// numSignals is the kernel's _NSIG.
const numSignals = 64

// appendResetSignals gives every signal its default disposition (an ignored one would
// stay ignored through execve(2)) and unblocks them all.
func appendResetSignals(ops []child.Op) []child.Op {
	args := make([]child.Arg, 0, 4*numSignals) // one piece of memory for all
	add := func(call child.Syscall, a ...child.Arg) {
		args = append(args, a...)
		ops = append(ops, child.Op{Call: call, Args: args[len(args)-len(a):], Stage: string(proto.StageExecve)})
	}
	sigsetSize := child.Int(8)
	for n := 1; n <= numSignals; n++ {
		if n != int(unix.SIGKILL) && n != int(unix.SIGSTOP) { // always at their default
			// struct kernel_sigaction of 32 bytes, all of them zero
			add(child.RtSigaction, child.Signal(n), child.Address(wordsZero).As("{SIG_DFL}"), child.Int(0), sigsetSize)
		}
	}
	add(child.RtSigprocmask, child.Named("SIG_SETMASK", 2), child.Address(wordsZero).As("{}"), child.Int(0), sigsetSize)
	return ops
}

// dieWithAgent has the kernel send SIGKILL when the agent dies. It may have died
// before that: then the command pipe has ended, and the child with it. (getppid
// tells nothing in a fresh pid namespace, where the agent's pid is 0.)
func dieWithAgent(commandFD child.Arg) []child.Op {
	stage := string(proto.StageExecve)
	return []child.Op{
		{
			Call:  child.Prctl,
			Args:  []child.Arg{child.Named("PR_SET_PDEATHSIG", unix.PR_SET_PDEATHSIG), child.Named("SIGKILL", int(unix.SIGKILL))},
			Stage: stage,
		},
		{
			Call:  child.Fcntl,
			Args:  []child.Arg{commandFD, child.Named("F_SETFL", unix.F_SETFL), child.Named("O_NONBLOCK", unix.O_NONBLOCK)},
			Stage: stage,
		},
		{
			Call:    child.Read,
			Args:    []child.Arg{commandFD, child.Address(wordScratch), child.Int(8)},
			OnError: child.Skip(1), // EAGAIN: the agent is there, and silent
		},
		{Call: child.ExitGroup, Args: []child.Arg{child.Int(0)}},
	}
}
