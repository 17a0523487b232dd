package etf

import (
	"math/big"

	"github.com/okeuday/erlang_go/v2/erlang"
)

// What erlang_go gets to see is a copy of one scalar, or of a batch of strings,
// behind a version byte of its own: never a map, never more digits than an int64
// has, nothing nested deeper than a list of bytes in a tuple.

// Text returns a string in any of its shapes (see Bytes). What it says is bytes,
// not necessarily UTF-8.
func (t Term) Text() (string, bool) {
	if !t.stringLike() {
		return "", false
	}
	return goText(fromLibrary(append([]byte{tagVersion}, t.b...)))
}

// A batch ends with this many strings (SMALL_TUPLE_EXT takes no more), or before
// it has this many bytes, unless it is one string.
const (
	batchStrings = 255
	batchBytes   = 16 << 10
)

// Texts returns the strings of a proper list of strings. They are decoded in
// batches, so that what erlang_go allocates on the way (about 50 bytes a string)
// does not pile up: it is garbage when the next batch comes.
func (t Term) Texts() ([]string, bool) {
	list, ok := t.List()
	if !ok {
		return nil, false
	}
	const head = 3 // version, SMALL_TUPLE_EXT, how many
	texts := make([]string, 0, list.Len())
	batch := append(make([]byte, 0, head+min(len(t.b), batchBytes)), tagVersion, tagSmallTuple, 0)
	for list.Len() > 0 {
		e := list.Next()
		if !e.stringLike() {
			return nil, false
		}
		if len(batch)+len(e.b) > batchBytes || batch[2] == batchStrings {
			if texts, ok = appendTexts(texts, batch); !ok {
				return nil, false
			}
			batch, batch[2] = batch[:head], 0
		}
		if e.tag() == tagNil {
			// The other empty string costs erlang_go no allocation.
			batch = append(batch, tagString, 0, 0)
		} else {
			batch = append(batch, e.b...)
		}
		batch[2]++
	}
	return appendTexts(texts, batch)
}

// appendTexts appends the strings of a batch.
func appendTexts(texts []string, batch []byte) ([]string, bool) {
	tuple, ok := fromLibrary(batch).(erlang.OtpErlangTuple)
	if !ok {
		return nil, false
	}
	for _, v := range tuple {
		s, ok := goText(v)
		if !ok {
			return nil, false
		}
		texts = append(texts, s)
	}
	return texts, true
}

// stringLike tells whether t may be a string, and is small enough to decode: a
// list takes integers of fixed size only.
func (t Term) stringLike() bool {
	switch t.tag() {
	case tagBinary, tagString, tagNil:
		return true
	case tagList:
		list, ok := t.List()
		for ok && list.Len() > 0 {
			tag := list.Next().tag()
			ok = tag == tagSmallInteger || tag == tagInteger
		}
		return ok
	}
	return false
}

// Int returns the integer t. It is false for what is no integer and for what no
// int64 holds. Encodings that are longer than they need to be count by their
// value.
func (t Term) Int() (int64, bool) {
	switch t.tag() {
	case tagSmallInteger, tagInteger:
		return goInt(fromLibrary(append([]byte{tagVersion}, t.b...)))
	case tagSmallBig, tagLargeBig:
		negative, digits := t.big()
		if len(digits) > 8 {
			return 0, false
		}
		short := []byte{tagVersion, tagSmallBig, byte(len(digits)), 0}
		if negative {
			short[3] = 1
		}
		return goInt(fromLibrary(append(short, digits...)))
	}
	return 0, false
}

// Atom returns the name of an atom.
func (t Term) Atom() (string, bool) {
	if !isAtom(t.tag()) {
		return "", false
	}
	return goAtom(fromLibrary(append([]byte{tagVersion}, t.b...)))
}

// fromLibrary decodes a payload. A nil is the atom undefined.
func fromLibrary(payload []byte) any {
	v, err := erlang.BinaryToTerm(payload)
	if err != nil {
		return invalid{}
	}
	return v
}

// invalid is none of the values of erlang_go.
type invalid struct{}

func goText(v any) (string, bool) {
	switch v := v.(type) {
	case erlang.OtpErlangBinary:
		return string(v.Value), v.Bits == 8
	case string:
		return v, true
	case erlang.OtpErlangList:
		s := make([]byte, len(v.Value))
		for i, e := range v.Value {
			n, ok := goInt(e)
			if !ok || n < 0 || n > 255 {
				return "", false
			}
			s[i] = byte(n)
		}
		return string(s), !v.Improper
	}
	return "", false
}

func goInt(v any) (int64, bool) {
	switch v := v.(type) {
	case uint8:
		return int64(v), true
	case int32:
		return int64(v), true
	case *big.Int:
		return v.Int64(), v.IsInt64()
	}
	return 0, false
}

func goAtom(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "undefined", true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case erlang.OtpErlangAtomUTF8:
		return string(v), true
	case erlang.OtpErlangAtom: // Latin-1: a byte is a code point
		name := make([]rune, len(v))
		for i := range len(v) {
			name[i] = rune(v[i])
		}
		return string(name), true
	}
	return "", false
}
