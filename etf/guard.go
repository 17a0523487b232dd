package etf

import (
	"errors"
	"fmt"
)

// What Guard accepts at most.
const (
	// MaxDepth is how deep terms may nest: the outermost term is at depth 1. The
	// tail of a list counts as one of its elements.
	MaxDepth = 32

	// MaxTerms is how many terms a payload may hold, of every kind and depth. It
	// takes any list of binaries that fits into 4 MiB (an empty binary has five
	// bytes), and more strings than execve(2) takes.
	MaxTerms = 1 << 20
)

// Why Guard refuses a payload.
var (
	ErrVersion   = errors.New("no version byte 131")
	ErrTruncated = errors.New("a length or count exceeds the bytes that are there")
	ErrTag       = errors.New("unknown tag")
	ErrTerm      = errors.New("ill-formed term")
	ErrDepth     = errors.New("nested too deep")
	ErrTerms     = errors.New("too many terms")
)

// GuardError is what Guard refuses a payload with. Err is one of the errors
// above; errors.Is matches it.
type GuardError struct {
	Offset int // of the offending tag, from the start of the payload
	Err    error
}

func (e *GuardError) Error() string { return fmt.Sprintf("byte %d: %v", e.Offset, e.Err) }

func (e *GuardError) Unwrap() error { return e.Err }

// Guard makes one pass over a payload (131, then a term) and returns the term. It
// allocates nothing and does not recurse: its work is linear in the length of the
// term, its memory constant. Bytes behind the term are ignored. The term shares
// the payload's memory.
//
// Every length, count and nesting has been held against the bytes that are there
// when it returns. What only matters to a reader of a value is not looked at: the
// digits of a FLOAT_EXT, the UTF-8 of an atom, whether the keys of a map differ,
// what kinds of terms a fun holds.
func Guard(payload []byte) (Term, error) {
	if len(payload) == 0 || payload[0] != tagVersion {
		return Term{}, &GuardError{Offset: 0, Err: ErrVersion}
	}
	n, err := measure(payload[1:])
	if err != nil {
		return Term{}, &GuardError{Offset: 1 + n, Err: err}
	}
	return Term{b: payload[1 : 1+n : 1+n]}, nil
}

// measure returns the length in bytes of the term at the start of b, or where in
// b it stops to be one.
func measure(b []byte) (n int, err error) {
	var open [MaxDepth]int // terms still to come, by depth
	depth := 0
	open[0] = 1
	for terms := 1; ; terms++ {
		if terms > MaxTerms {
			return n, ErrTerms
		}
		size, inside, err := head(b[n:])
		if err != nil {
			return n, err
		}
		open[depth]--
		if inside > 0 {
			depth++
			if depth == MaxDepth {
				return n, ErrDepth
			}
			open[depth] = inside
		}
		n += size
		for open[depth] == 0 {
			if depth == 0 {
				return n, nil
			}
			depth--
		}
	}
}

// head returns how many bytes at the start of b are the term's own, and how many
// terms follow inside of it. Both fit into b.
func head(b []byte) (size, inside int, err error) {
	if len(b) == 0 {
		return 0, 0, ErrTruncated
	}
	l := &layouts[b[0]]
	if !l.known {
		return 0, 0, ErrTag
	}
	at := 1 + int(l.count)
	if len(b) < at {
		return 0, 0, ErrTruncated
	}
	count := number(b[1:at])
	if b[0] == tagNewFun {
		if count < newFunHead {
			return 0, 0, ErrTerm
		}
		count -= 4
	}
	if l.node {
		n, err := atomSize(b[at:])
		if err != nil {
			return 0, 0, err
		}
		at += n
	}
	// No sum overflows: a count is below 2³².
	left := uint64(len(b) - at)
	bytes := uint64(l.fixed) + uint64(l.size)*count
	terms := uint64(l.more) + uint64(l.terms)*count
	if bytes+terms > left { // a term has one byte or more
		return 0, 0, ErrTruncated
	}
	switch b[0] {
	case tagSmallBig, tagLargeBig:
		if b[at] > 1 { // the sign
			return 0, 0, ErrTerm
		}
	case tagBitBinary:
		if bits := b[at]; bits > 8 || (bits == 0) != (count == 0) {
			return 0, 0, ErrTerm
		}
	}
	return at + int(bytes), int(terms), nil
}

// atomSize returns the length in bytes of the atom at the start of b.
func atomSize(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, ErrTruncated
	}
	if !isAtom(b[0]) {
		return 0, ErrTerm
	}
	size, _, err := head(b)
	return size, err
}

func isAtom(tag byte) bool {
	switch tag {
	case tagAtom, tagSmallAtom, tagAtomUTF8, tagSmallAtomUTF8:
		return true
	}
	return false
}

// number reads a big-endian number of at most eight bytes.
func number(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}
