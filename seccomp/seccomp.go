// Package seccomp owns the filters of seccomp(2): whether the kernel would take
// one, how many of them a thread can have, and the programs that install them.
//
// A filter is a classic BPF program, struct sock_filter × n in native byte
// order, 8 bytes an instruction (linux/filter.h), that runs over struct
// seccomp_data at each system call.
package seccomp

import (
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
)

// NoNewPrivs sets the no_new_privs bit of the thread (PR_SET_NO_NEW_PRIVS of
// prctl(2)), which nothing can take back. To set it twice is no error.
func NoNewPrivs() child.Op {
	return child.Op{
		Call: child.Prctl,
		Args: []child.Arg{
			child.Named("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS),
			child.Int(1),
		},
		Stage: string(proto.StageSeccompNoNewPrivs),
	}
}

// Install sets no_new_privs, without which an unprivileged thread may have no
// filter, and installs the filters in the order given. Each also filters the
// system calls that install those behind it. No filters, no ops.
//
// Preconditions: each filter has passed Check. The ops share its memory.
func Install(filters [][]byte) []child.Op {
	if len(filters) == 0 {
		return nil
	}
	ops := make([]child.Op, 0, 1+len(filters))
	ops = append(ops, NoNewPrivs())
	for _, f := range filters {
		ops = append(ops, child.Op{
			Call: child.Seccomp,
			Args: []child.Arg{
				child.Named("SECCOMP_SET_MODE_FILTER", unix.SECCOMP_SET_MODE_FILTER),
				child.Int(0),
				fprog(f),
			},
			Stage: string(proto.StageSeccompInstall),
		})
	}
	return ops
}

// fprog is a pointer to a struct sock_fprog (linux/filter.h) of a machine whose
// pointers have 64 bits:
//
//	0   len, 16 bits
//	8   filter, a pointer
func fprog(filter []byte) child.Arg {
	// A length that does not fit becomes one that the kernel refuses, never
	// the shorter program that is left of it modulo 2¹⁶.
	n := min(len(filter)/unix.SizeofSockFilter, math.MaxUint16)
	var b [16]byte
	binary.NativeEndian.PutUint16(b[0:], uint16(n))
	return child.Struct(fmt.Sprintf("{len=%d}", n), b[:],
		child.Pointer{Offset: 8, To: child.Struct("", filter)})
}
