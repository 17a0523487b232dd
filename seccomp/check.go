package seccomp

import (
	"encoding/binary"
	"fmt"
	"math"
	"syscall"

	"golang.org/x/sys/unix"
)

// rule is what decides whether the kernel takes an instruction.
type rule uint8

const (
	forbidden rule = iota // never: no such opcode in a seccomp filter
	plain                 // whatever jt, jf and k are
	field                 // k: offset of a 32-bit word in struct seccomp_data
	divisor               // k: not 0
	shift                 // k: below 32
	store                 // k: one of the 16 cells of scratch memory
	load                  // k: a cell that was stored on every way to here
	jump                  // k: to an instruction behind this one
	branch                // jt, jf: both to an instruction behind this one
	ret                   // like plain; the only one that may stand last
)

// rules has the rule of every opcode: the white list of seccomp_check_filter()
// in kernel/seccomp.c, with what bpf_check_classic() in net/core/filter.c asks
// of each. Of classic BPF it lacks MOD, and the loads from a packet.
var rules = [...]rule{
	unix.BPF_LD | unix.BPF_W | unix.BPF_ABS: field,
	unix.BPF_LD | unix.BPF_W | unix.BPF_LEN: plain,
	unix.BPF_LD | unix.BPF_IMM:              plain,
	unix.BPF_LD | unix.BPF_MEM:              load,

	unix.BPF_LDX | unix.BPF_W | unix.BPF_LEN: plain,
	unix.BPF_LDX | unix.BPF_IMM:              plain,
	unix.BPF_LDX | unix.BPF_MEM:              load,

	unix.BPF_ST:  store,
	unix.BPF_STX: store,

	unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K: plain,
	unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_SUB | unix.BPF_K: plain,
	unix.BPF_ALU | unix.BPF_SUB | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K: plain,
	unix.BPF_ALU | unix.BPF_MUL | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_DIV | unix.BPF_K: divisor,
	unix.BPF_ALU | unix.BPF_DIV | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_AND | unix.BPF_K: plain,
	unix.BPF_ALU | unix.BPF_AND | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_OR | unix.BPF_K:  plain,
	unix.BPF_ALU | unix.BPF_OR | unix.BPF_X:  plain,
	unix.BPF_ALU | unix.BPF_XOR | unix.BPF_K: plain,
	unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K: shift,
	unix.BPF_ALU | unix.BPF_LSH | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K: shift,
	unix.BPF_ALU | unix.BPF_RSH | unix.BPF_X: plain,
	unix.BPF_ALU | unix.BPF_NEG:              plain,

	unix.BPF_JMP | unix.BPF_JA:                jump,
	unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:  branch,
	unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X:  branch,
	unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:  branch,
	unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X:  branch,
	unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:  branch,
	unix.BPF_JMP | unix.BPF_JGE | unix.BPF_X:  branch,
	unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K: branch,
	unix.BPF_JMP | unix.BPF_JSET | unix.BPF_X: branch,

	unix.BPF_RET | unix.BPF_K: ret,
	unix.BPF_RET | unix.BPF_A: ret,

	unix.BPF_MISC | unix.BPF_TAX: plain,
	unix.BPF_MISC | unix.BPF_TXA: plain,
}

// reasons says why an instruction breaks its rule.
var reasons = [...]string{
	forbidden: "no such opcode in a seccomp filter",
	field:     "not the offset of a 32-bit word in struct seccomp_data",
	divisor:   "division by zero",
	shift:     "shift by 32 or more",
	store:     "no such cell of scratch memory",
	load:      "a cell of scratch memory that may not have been stored",
	jump:      "jump past the end",
	branch:    "branch past the end",
	ret:       "the last instruction is no return",
}

// sizeofData is the size of struct seccomp_data, in bytes.
const sizeofData = 64

// Check tells whether the kernel takes bpf, struct sock_filter × n in native
// byte order, as a filter: nil where it does, and otherwise an error that wraps
// the errno of seccomp(2) and says which instruction is at fault, counted from
// 0. That is EINVAL always, but for E2BIG where bpf has more than 65,535
// instructions, which the kernel cannot even be asked about. It takes at most
// 4,096 (BPF_MAXINSNS).
//
// What depends on the machine's state is not judged: memory (ENOMEM), and the
// filters that the thread has already, for which there is Stack.
func Check(bpf []byte) error {
	n := len(bpf) / unix.SizeofSockFilter
	switch {
	case n == 0 || len(bpf)%unix.SizeofSockFilter != 0:
		return fmt.Errorf("filter of %d bytes: not one or more instructions of %d bytes: %w",
			len(bpf), unix.SizeofSockFilter, unix.EINVAL)
	case n > math.MaxUint16:
		return tooLong(n, math.MaxUint16, unix.E2BIG)
	case n > unix.BPF_MAXINSNS:
		return tooLong(n, unix.BPF_MAXINSNS, unix.EINVAL)
	}
	s := scratch{unset: math.MaxUint16}
	for pc := range n {
		i := at(bpf, pc)
		r := ruleOf(i.Code)
		if !s.obeys(r, i, pc, n) {
			return refused(pc, i, reasons[r])
		}
		if pc == n-1 && r != ret {
			return refused(pc, i, reasons[ret])
		}
	}
	return nil
}

func tooLong(n, limit int, errno syscall.Errno) error {
	return fmt.Errorf("filter of %d instructions: more than %d: %w", n, limit, errno)
}

func refused(pc int, i unix.SockFilter, reason string) error {
	return fmt.Errorf("filter instruction %d (code %#02x, jt %d, jf %d, k %#x): %s: %w",
		pc, i.Code, i.Jt, i.Jf, i.K, reason, unix.EINVAL)
}

// at is the instruction at pc.
func at(bpf []byte, pc int) unix.SockFilter {
	b := bpf[pc*unix.SizeofSockFilter:][:unix.SizeofSockFilter]
	return unix.SockFilter{
		Code: binary.NativeEndian.Uint16(b[0:]),
		Jt:   b[2],
		Jf:   b[3],
		K:    binary.NativeEndian.Uint32(b[4:]),
	}
}

func ruleOf(code uint16) rule {
	if int(code) < len(rules) {
		return rules[code]
	}
	return forbidden
}

// scratch follows which cells of scratch memory may hold nothing yet, bit n for
// cell n, as check_load_and_stores() in net/core/filter.c does. All jumps lead
// forward, so one pass sees every way to an instruction before it sees the
// instruction.
type scratch struct {
	unset   uint16                    // on the way that falls through to here
	jumping [unix.BPF_MAXINSNS]uint16 // on the ways that jump there
}

// obeys tells whether instruction pc of n, whose rule is r, breaks no rule.
//
// A return counts as falling through, as it does in the kernel: what was unset
// there is unset behind it, though nothing comes that way.
func (s *scratch) obeys(r rule, i unix.SockFilter, pc, n int) bool {
	s.unset |= s.jumping[pc]
	behind := n - pc - 1 // how many instructions there are behind this one

	switch r {
	case plain, ret:
		return true
	case field:
		return i.K < sizeofData && i.K%4 == 0
	case divisor:
		return i.K != 0
	case shift:
		return i.K < 32
	case store:
		if i.K >= unix.BPF_MEMWORDS {
			return false
		}
		s.unset &^= 1 << i.K
		return true
	case load:
		return i.K < unix.BPF_MEMWORDS && s.unset&(1<<i.K) == 0
	case jump:
		return s.jump(pc, uint32(behind), i.K)
	case branch:
		return s.jump(pc, uint32(behind), uint32(i.Jt), uint32(i.Jf))
	default:
		return false
	}
}

// jump notes what is unset where each distance leads; nothing falls through. It
// tells whether every distance is below behind.
func (s *scratch) jump(pc int, behind uint32, distances ...uint32) bool {
	for _, d := range distances {
		if d >= behind {
			return false
		}
		s.jumping[pc+1+int(d)] |= s.unset
	}
	s.unset = 0
	return true
}
