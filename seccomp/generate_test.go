package seccomp

import (
	"encoding/binary"
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

// Filters for the tests that ask the kernel.

// ins is an instruction.
type ins = unix.SockFilter

var allow = ins{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}

// encode is struct sock_filter × n.
func encode(program ...ins) []byte {
	b := make([]byte, 0, len(program)*unix.SizeofSockFilter)
	for _, i := range program {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// straight is n instructions that the kernel takes.
func straight(n int) []ins {
	p := make([]ins, n)
	for i := range p {
		p[i] = ins{Code: unix.BPF_LD | unix.BPF_IMM}
	}
	p[n-1] = allow
	return p
}

// opcodes is every opcode of a rule.
func opcodes(want rule) []uint16 {
	var codes []uint16
	for code, r := range rules {
		if r == want {
			codes = append(codes, uint16(code))
		}
	}
	return codes
}

// generator makes random filters. The same seed makes the same ones.
type generator struct {
	*rand.Rand
	byRule [ret + 1][]uint16
}

func newGenerator(seed uint64) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	for r := range g.byRule {
		g.byRule[r] = opcodes(rule(r))
	}
	return g
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// program is 1 … max instructions that obey every rule, but perhaps that about
// loads: of the cells that it loads, most were stored.
func (g *generator) program(most int, kinds ...rule) []ins {
	p := make([]ins, 1+g.IntN(most))
	var stored []uint32
	for pc := range p {
		behind := len(p) - pc - 1
		if behind == 0 {
			p[pc] = g.instruction(ret)
			break
		}
		i := g.instruction(pick(g, kinds...))
		switch rules[i.Code] {
		case store:
			stored = append(stored, i.K)
		case load:
			if len(stored) > 0 && g.IntN(16) != 0 {
				i.K = pick(g, stored...)
			}
		case jump:
			i.K = uint32(g.IntN(behind))
		case branch:
			i.Jt, i.Jf = uint8(g.IntN(min(behind, 256))), uint8(g.IntN(min(behind, 256)))
		}
		p[pc] = i
	}
	return p
}

// instruction obeys the rule as far as that does not depend on others.
func (g *generator) instruction(r rule) ins {
	i := ins{Code: pick(g, g.byRule[r]...), K: g.Uint32()}
	switch r {
	case plain, ret:
		i.Jt, i.Jf = uint8(g.Uint32()), uint8(g.Uint32())
	case field:
		i.K = 4 * g.Uint32N(sizeofData/4)
	case divisor:
		i.K = max(i.K, 1)
	case shift:
		i.K = g.Uint32N(32)
	case store, load:
		i.K = g.Uint32N(unix.BPF_MEMWORDS)
	}
	return i
}

// edges are values of k at which some rule, or its arithmetic, could turn.
var edges = []uint32{
	0, 1, 2, 3, 4, 7, 14, 15, 16, 17, 30, 31, 32, 33, 59, 60, 61, 63, 64, 65, 68,
	0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
	0xffffefff, 0xfffff000, 0xfffff004, 0xfffff03c, 0xfffffffe, 0xffffffff, // around SKF_AD_OFF
}

// mutate changes a few things at random.
func (g *generator) mutate(p []ins) []byte {
	for range 1 + g.IntN(3) {
		if len(p) == 0 {
			break
		}
		pc := g.IntN(len(p))
		end := len(p) - pc // a jump by that and more leaves
		switch i := &p[pc]; g.IntN(10) {
		case 0:
			i.Code = uint16(g.Uint32N(0x100))
		case 1:
			i.Code ^= 1 << g.IntN(16)
		case 2:
			i.K = pick(g, edges...)
		case 3:
			i.K ^= 1 << g.IntN(32)
		case 4:
			i.K = uint32(end + g.IntN(4) - 3)
		case 5:
			i.Jt = uint8(end + g.IntN(4) - 3)
		case 6:
			i.Jf = uint8(end + g.IntN(4) - 3)
		case 7:
			p = append(p[:pc], p[pc+1:]...)
		case 8:
			p[pc] = p[g.IntN(len(p))]
		case 9:
			i.Code = pick(g, g.byRule[1+g.IntN(int(ret))]...)
		}
	}
	return encode(p...)
}

// noise is a few instructions of random bytes.
func (g *generator) noise() []byte {
	b := make([]byte, unix.SizeofSockFilter*(1+g.IntN(3)))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}
