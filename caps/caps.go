// Package caps owns capabilities(7): sets of them as masks, their names, and
// the programs that set those of the child.
//
// A mask has bit n for capability n of linux/capability.h.
package caps

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
)

// DropBounding drops each capability in mask from the bounding set
// (PR_CAPBSET_DROP of prctl(2), EPERM without CAP_SETPCAP). Bits above LastCap
// ask for nothing: what the kernel does not have is in no set, so that a mask of
// all 64 bits means every capability there is.
func DropBounding(mask uint64) []child.Op {
	var ops []child.Op
	for n := range each(mask & All()) {
		ops = append(ops, child.Op{
			Call:  child.Prctl,
			Args:  []child.Arg{child.Named("PR_CAPBSET_DROP", unix.PR_CAPBSET_DROP), child.Int(n)},
			Stage: string(proto.StageCapDropBounding),
		})
	}
	return ops
}

// SetThread sets the three sets of the thread (capset(2), EPERM for what it may
// not have). The kernel ignores bits above LastCap.
func SetThread(effective, permitted, inheritable uint64) []child.Op {
	// struct __user_cap_header_struct: version, and pid, 0 for the thread.
	var header [8]byte
	binary.NativeEndian.PutUint32(header[0:], unix.LINUX_CAPABILITY_VERSION_3)

	// struct __user_cap_data_struct twice: capabilities 0 … 31, then 32 … 63.
	var data [2 * 12]byte
	for i, set := range []uint64{effective, permitted, inheritable} {
		binary.NativeEndian.PutUint32(data[4*i:], uint32(set))
		binary.NativeEndian.PutUint32(data[12+4*i:], uint32(set>>32))
	}
	return []child.Op{{
		Call: child.Capset,
		Args: []child.Arg{
			child.Struct("{_LINUX_CAPABILITY_VERSION_3, 0}", header[:]),
			child.Struct(fmt.Sprintf("{effective=%#x, permitted=%#x, inheritable=%#x}",
				effective, permitted, inheritable), data[:]),
		},
		Stage: string(proto.StageCapSetThread),
	}}
}

// SetAmbient clears the ambient set and raises each capability in mask
// (PR_CAP_AMBIENT of prctl(2)). One that is not in the permitted and the
// inheritable set is EPERM, one above LastCap EINVAL: nobody can count on having
// what the kernel does not know.
func SetAmbient(mask uint64) []child.Op {
	ambient := func(operation child.Arg, rest ...child.Arg) child.Op {
		return child.Op{
			Call:  child.Prctl,
			Args:  append([]child.Arg{child.Named("PR_CAP_AMBIENT", unix.PR_CAP_AMBIENT), operation}, rest...),
			Stage: string(proto.StageCapSetAmbient),
		}
	}
	ops := []child.Op{ambient(child.Named("PR_CAP_AMBIENT_CLEAR_ALL", unix.PR_CAP_AMBIENT_CLEAR_ALL))}
	for n := range each(mask) {
		ops = append(ops, ambient(child.Named("PR_CAP_AMBIENT_RAISE", unix.PR_CAP_AMBIENT_RAISE), child.Int(n)))
	}
	return ops
}

// LastCap is the highest capability of the running kernel, 0 … 63: the kernel is
// asked, not procfs, which may not be there. Where it does not let itself be
// asked that is 63, so that what is asked of every capability is never asked of
// too few.
func LastCap() uint {
	return uint(sort.Search(63, func(n int) bool {
		return unix.Prctl(unix.PR_CAPBSET_READ, uintptr(n+1), 0, 0, 0) == unix.EINVAL
	}))
}

// All is the mask of every capability of the running kernel.
func All() uint64 { return ^uint64(0) >> (63 - LastCap()) }

// each yields the capabilities in mask, the lowest first.
func each(mask uint64) iter.Seq[uint] {
	return func(yield func(uint) bool) {
		for ; mask != 0; mask &= mask - 1 {
			if !yield(uint(bits.TrailingZeros64(mask))) {
				return
			}
		}
	}
}
