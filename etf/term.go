package etf

// Term is a term that Guard has passed: a view of the payload that it came in,
// valid as long as that payload is. The zero Term is of no kind; every method
// answers false.
//
// The methods in this file allocate nothing (Bytes says its exception).
type Term struct{ b []byte }

func (t Term) tag() byte {
	if len(t.b) == 0 {
		return 0
	}
	return t.b[0]
}

// content returns the bytes behind tag, count and fixed bytes. t is a term
// without a node and without terms inside.
func (t Term) content() []byte {
	l := &layouts[t.tag()]
	return t.b[1+int(l.count)+int(l.fixed):]
}

// Is tells whether t is the atom of that name, which is ASCII. All four encodings
// of an atom are the same to it.
func (t Term) Is(name string) bool {
	return isAtom(t.tag()) && string(t.content()) == name
}

// Uint64 returns the integer t. It is false for what is no integer, for −1 and
// below and for 2⁶⁴ and above. Encodings that are longer than they need to be
// count by their value.
func (t Term) Uint64() (uint64, bool) {
	switch t.tag() {
	case tagSmallInteger:
		return uint64(t.b[1]), true
	case tagInteger:
		n := number(t.b[1:])
		return n, n < 1<<31 // the sign bit
	case tagSmallBig, tagLargeBig:
		negative, digits := t.big()
		if len(digits) > 8 || negative {
			return 0, false
		}
		var n uint64
		for i, d := range digits {
			n |= uint64(d) << (8 * i)
		}
		return n, true
	}
	return 0, false
}

// big returns sign and magnitude of a SMALL_BIG_EXT or LARGE_BIG_EXT. The
// magnitude is little-endian and does not end in zeros; that of 0 is empty, and 0
// is not negative.
func (t Term) big() (negative bool, digits []byte) {
	digits = t.content()
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits = digits[:len(digits)-1]
	}
	sign := t.b[int(layouts[t.b[0]].count)+1]
	return sign == 1 && len(digits) > 0, digits
}

// Bytes returns the bytes of a string in any of its shapes: a binary, a list of
// bytes as STRING_EXT, the empty list, a list of integers 0 … 255. All but the
// last share the memory of t; the last is a copy.
func (t Term) Bytes() ([]byte, bool) {
	switch t.tag() {
	case tagBinary, tagString:
		return t.content(), true
	case tagNil:
		return nil, true
	case tagList:
		s, ok := t.Text()
		return []byte(s), ok
	}
	return nil, false
}

// Tuple returns the elements of a tuple.
func (t Term) Tuple() (Terms, bool) {
	switch t.tag() {
	case tagSmallTuple, tagLargeTuple:
		return Terms{b: t.content(), n: t.count()}, true
	}
	return Terms{}, false
}

// List returns the elements of a proper list. The list of bytes that a
// STRING_EXT is holds no terms: see Bytes. A list whose tail is a list in turn
// is refused with the improper ones; no BEAM writes it.
func (t Term) List() (Terms, bool) {
	switch t.tag() {
	case tagNil:
		return Terms{}, true
	case tagList:
		elements := Terms{b: t.content(), n: t.count()}
		tail := elements
		for tail.n > 0 {
			tail.Next()
		}
		return elements, tail.b[0] == tagNil
	}
	return Terms{}, false
}

// Map returns the entries of a map as they come: a key, its value, the next key.
// Whether a key comes twice is for the caller to see.
func (t Term) Map() (Terms, bool) {
	if t.tag() != tagMap {
		return Terms{}, false
	}
	return Terms{b: t.content(), n: 2 * t.count()}, true
}

// count is the value of the count of a tuple, a list or a map.
func (t Term) count() int {
	return int(number(t.b[1 : 1+int(layouts[t.b[0]].count)]))
}

// Terms is a run of terms, one behind the other.
type Terms struct {
	b []byte
	n int
}

// Len is how many terms Next has still to give.
func (s *Terms) Len() int { return s.n }

// Next takes the first term off; behind the last it is the zero Term. Its work
// is linear in the length of that term.
func (s *Terms) Next() Term {
	if s.n == 0 {
		return Term{}
	}
	n, err := measure(s.b)
	if err != nil { // not in what Guard has passed
		*s = Terms{}
		return Term{}
	}
	t := Term{b: s.b[:n:n]}
	s.b, s.n = s.b[n:], s.n-1
	return t
}
