package child

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// The arena is anonymous shared memory at the same address on both sides of the
// clone:
//
//	0      the report of a failure, kept before it is written to the pipe
//	64     the words
//	4096   the program: its ops, and behind them what their arguments point to
//
// One program is there at a time. The agent writes it while the child sleeps in
// read(2) on the command pipe, so the two never touch the arena at once, but for
// the words, which the child stores and the agent reads after a report.
const (
	wordsOffset   = 64
	programOffset = 4096
	opSize        = 64 // unsafe.Sizeof(op{}), which a test holds it to
)

type arena struct {
	mem  []byte
	base uintptr // the address of mem[0]
}

// layout writes the program into the arena.
func (a *arena) layout(p Program) error {
	if need := programOffset + p.Size(); need > len(a.mem) {
		return fmt.Errorf("program %s of %d bytes, arena of %d: %w", p.Name, need, len(a.mem), unix.E2BIG)
	}
	w := writer{arena: a, next: programOffset + len(p.Ops)*opSize}
	for i, o := range p.Ops {
		at := a.mem[programOffset+i*opSize:][:opSize]
		binary.NativeEndian.PutUint64(at, uint64(o.Call.Number))
		var deref uint32
		for j := range 6 {
			var v uint64
			if j < len(o.Args) {
				v = w.value(o.Args[j])
				if o.Args[j].kind == kindValue {
					deref |= 1 << j
				}
			}
			binary.NativeEndian.PutUint64(at[8+8*j:], v)
		}
		at[56] = byte(o.Out)
		at[57] = byte(deref)
		at[58] = byte(o.OnError)
	}
	return nil
}

// writer puts what arguments point to behind the ops.
type writer struct {
	*arena
	next int
}

// value is what the child finds in the op: a number, an address or a word.
func (w *writer) value(g Arg) uint64 {
	switch g.kind {
	case kindString:
		return w.bytes(g.to.data, 1)
	case kindVector:
		return w.vector(g.to.strings)
	case kindBytes:
		return w.structure(g)
	case kindAddress:
		return uint64(w.base) + wordsOffset + 8*g.value
	default:
		return g.value
	}
}

// bytes copies b, and terminators zero bytes behind it, to an aligned place and
// returns its address.
func (w *writer) bytes(b []byte, terminators int) uint64 {
	at := w.next
	copy(w.mem[at:], b)
	clear(w.mem[at+len(b) : at+len(b)+terminators])
	w.next = at + align(len(b)+terminators)
	return uint64(w.base) + uint64(at)
}

func (w *writer) structure(g Arg) uint64 {
	address := w.bytes(g.to.data, 0)
	for _, p := range g.to.pointers {
		w.putWord(address+uint64(p.Offset), w.value(p.To))
	}
	return address
}

func (w *writer) vector(ss []string) uint64 {
	address := uint64(w.base) + uint64(w.next)
	w.next += 8 * (len(ss) + 1)
	for i, s := range ss {
		at := w.next
		w.mem[at+copy(w.mem[at:], s)] = 0
		w.next += len(s) + 1
		w.putWord(address+8*uint64(i), uint64(w.base)+uint64(at))
	}
	w.putWord(address+8*uint64(len(ss)), 0)
	w.next = align(w.next)
	return address
}

func (w *writer) putWord(address, v uint64) {
	binary.NativeEndian.PutUint64(w.mem[address-uint64(w.base):], v)
}

// word reads a word.
func (a *arena) word(w Word) uint64 {
	return binary.NativeEndian.Uint64(a.mem[wordsOffset+8*int(w):])
}

// Size is how many bytes of arena the program takes.
func (p Program) Size() int {
	n := len(p.Ops) * opSize
	for _, o := range p.Ops {
		for _, g := range o.Args {
			n += g.size()
		}
	}
	return n
}

func (g Arg) size() int {
	switch g.kind {
	case kindString:
		return align(len(g.to.data) + 1)
	case kindVector:
		n := 8 * (len(g.to.strings) + 1)
		for _, s := range g.to.strings {
			n += len(s) + 1
		}
		return align(n)
	case kindBytes:
		n := align(len(g.to.data))
		for _, p := range g.to.pointers {
			n += p.To.size()
		}
		return n
	default:
		return 0
	}
}

// align rounds up to the strictest alignment of a kernel structure.
func align(n int) int { return (n + 7) &^ 7 }
