package etf

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

func ints(n int) []Value {
	values := make([]Value, n)
	for i := range values {
		values[i] = Int(i)
	}
	return values
}

// TestEncode names the tag of everything that is sent.
func TestEncode(t *testing.T) {
	long := Atom(strings.Repeat("a", 255))
	tests := []struct {
		name  string
		value Value
		want  []byte
	}{
		{"atom", Atom("ok"), term(tagSmallAtomUTF8, 2, "ok")},
		{"empty atom", Atom(""), term(tagSmallAtomUTF8, 0)},
		{"undefined", Atom("undefined"), term(tagSmallAtomUTF8, 9, "undefined")},
		{"atom of two-byte characters", Atom("åå"), term(tagSmallAtomUTF8, 4, "åå")},
		{"longest atom", long, term(tagSmallAtomUTF8, 255, string(long))},
		{"true", Bool(true), term(tagSmallAtomUTF8, 4, "true")},
		{"false", Bool(false), term(tagSmallAtomUTF8, 5, "false")},
		{"0", Int(0), term(tagSmallInteger, 0)},
		{"255", Int(255), term(tagSmallInteger, 255)},
		{"256", Int(256), term(tagInteger, uint32(256))},
		{"−1", Int(-1), term(tagInteger, most)},
		{"2³¹−1", Int(math.MaxInt32), term(tagInteger, uint32(math.MaxInt32))},
		{"−2³¹", Int(math.MinInt32), term(tagInteger, uint32(1<<31))},
		{"2³¹", Int(1 << 31), term(tagSmallBig, 4, 0, 0, 0, 0, 128)},
		{"−2³¹−1", Int(math.MinInt32 - 1), term(tagSmallBig, 4, 1, 1, 0, 0, 128)},
		{"2⁶³−1", Int(math.MaxInt64), term(tagSmallBig, 8, 0, filled(7, 255), 127)},
		{"−2⁶³", Int(math.MinInt64), term(tagSmallBig, 8, 1, filled(7, 0), 128)},
		{"mask 0", Mask(0), term(tagSmallInteger, 0)},
		{"mask 2³²−1", Mask(math.MaxUint32), term(tagSmallBig, 4, 0, filled(4, 255))},
		{"mask 2⁶³", Mask(1 << 63), term(tagSmallBig, 8, 0, filled(7, 0), 128)},
		{"mask 2⁶⁴−1", Mask(math.MaxUint64), term(tagSmallBig, 8, 0, filled(8, 255))},
		{"binary", Binary("abc"), term(tagBinary, uint32(3), "abc")},
		{"no binary", Binary(nil), term(tagBinary, uint32(0))},
		{"empty tuple", Tuple{}, term(tagSmallTuple, 0)},
		{"tuple", Tuple{Atom("a"), Int(1)}, term(tagSmallTuple, 2, tagSmallAtomUTF8, 1, "a", tagSmallInteger, 1)},
		{"empty list", List{}, term(tagNil)},
		{"list", List{Int(1), Int(2)}, term(tagList, uint32(2), tagSmallInteger, 1, tagSmallInteger, 2, tagNil)},
		{"list in a list", List{List{}}, term(tagList, uint32(1), tagNil, tagNil)},
		{"empty map", Map{}, term(tagMap, uint32(0))},
		{"map", Map{{"a", List{}}}, term(tagMap, uint32(1), tagSmallAtomUTF8, 1, "a", tagNil)},
	}
	for _, test := range tests {
		got, err := Encode(test.value)
		if err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("%s: % x, %v, want % x", test.name, got, err, test.want)
		}
		if v, err := Guard(got); err != nil || len(v.b) != len(got)-1 {
			t.Errorf("%s: Guard: %v", test.name, err)
		}
	}
	got, err := Encode(Tuple(ints(255)))
	if err != nil || !bytes.HasPrefix(got, term(tagSmallTuple, 255)) {
		t.Errorf("the largest tuple: % x…, %v", got[:min(len(got), 4)], err)
	}
	got, err = Encode(Map{{"a", Int(1)}, {"b", Int(2)}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := Guard(got)
	if err != nil || show(v) != "#{'a'=>1,'b'=>2}" {
		t.Errorf("a map of two: %s, %v", show(v), err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	tooLong := Atom(strings.Repeat("a", 256))
	tests := []struct {
		name  string
		value Value
		err   error
	}{
		{"long atom", tooLong, ErrAtom},
		{"long atom in a tuple", Tuple{Int(1), tooLong}, ErrAtom},
		{"long atom in a list", List{tooLong}, ErrAtom},
		{"long atom as a key", Map{{tooLong, Int(1)}}, ErrAtom},
		{"long atom as a value", Map{{"a", tooLong}}, ErrAtom},
		{"large tuple", Tuple(ints(256)), ErrTuple},
		{"a key twice", Map{{"a", Int(1)}, {"a", Int(2)}}, ErrKeys},
	}
	for _, test := range tests {
		if got, err := Encode(test.value); !errors.Is(err, test.err) || got != nil {
			t.Errorf("%s: % x, %v, want %v", test.name, got, err, test.err)
		}
	}
}

func TestAppendFrame(t *testing.T) {
	got := AppendFrame([]byte("before"), []byte("payload"))
	if want := "before\x00\x00\x00\x07payload"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}
