package etf

import (
	"errors"
	"math"
	"math/big"

	"github.com/okeuday/erlang_go/v2/erlang"
)

// Why Encode refuses a value.
var (
	ErrAtom  = errors.New("atom of more than 255 bytes")
	ErrTuple = errors.New("tuple of more than 255 elements")
	ErrKeys  = errors.New("map with a key that comes twice")
)

// Encode returns the payload of a frame: 131, then v as a term.
func Encode(v Value) ([]byte, error) {
	term, err := v.library()
	if err != nil {
		return nil, err
	}
	const uncompressed = -1
	return erlang.TermToBinary(term, uncompressed)
}

// The types of erlang_go are picked on purpose: it writes a Go string as
// STRING_EXT, an int64 as a big integer, and a long atom or tuple with another
// tag.

func (a Atom) library() (any, error) {
	if len(a) > math.MaxUint8 {
		return nil, ErrAtom
	}
	return erlang.OtpErlangAtomUTF8(a), nil
}

func (b Binary) library() (any, error) {
	return erlang.OtpErlangBinary{Value: b, Bits: 8}, nil
}

func (n Int) library() (any, error) {
	switch {
	case 0 <= n && n <= math.MaxUint8:
		return uint8(n), nil
	case math.MinInt32 <= n && n <= math.MaxInt32:
		return int32(n), nil
	}
	return big.NewInt(int64(n)), nil
}

func (m Mask) library() (any, error) {
	if m <= math.MaxInt64 {
		return Int(m).library()
	}
	return new(big.Int).SetUint64(uint64(m)), nil
}

func (t Tuple) library() (any, error) {
	if len(t) > math.MaxUint8 {
		return nil, ErrTuple
	}
	elements, err := libraries(t)
	return erlang.OtpErlangTuple(elements), err
}

func (l List) library() (any, error) {
	elements, err := libraries(l)
	return erlang.OtpErlangList{Value: elements}, err
}

func (m Map) library() (any, error) {
	entries := make(erlang.OtpErlangMap, len(m))
	for _, e := range m {
		key, err := e.Key.library()
		if err != nil {
			return nil, err
		}
		if entries[key], err = e.Value.library(); err != nil {
			return nil, err
		}
	}
	if len(entries) < len(m) {
		return nil, ErrKeys
	}
	return entries, nil
}

func libraries(values []Value) ([]any, error) {
	terms := make([]any, len(values))
	for i, v := range values {
		var err error
		if terms[i], err = v.library(); err != nil {
			return nil, err
		}
	}
	return terms, nil
}
