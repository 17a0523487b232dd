package etf

import (
	"bytes"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"github.com/okeuday/erlang_go/v2/erlang"
)

// FuzzGuard: no payload panics, here or in an accessor; what stands behind the
// term has no say; and erlang_go, where it is safe, reads the same value.
func FuzzGuard(f *testing.F) {
	seeds(f)
	for _, test := range refused {
		if len(test.payload) < 4<<10 {
			f.Add(test.payload)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := Guard(payload)
		inside := append(bytes.Clone(payload), filled(64, tagNil)...)[:len(payload)]
		if w, err2 := Guard(inside); (err == nil) != (err2 == nil) || !bytes.Equal(v.b, w.b) {
			t.Fatalf("with other bytes behind it: %v, then %v", err, err2)
		}
		if err != nil {
			return
		}
		if again, err := Guard(append([]byte{tagVersion}, v.b...)); err != nil || !bytes.Equal(again.b, v.b) {
			t.Fatalf("the term by itself: %v", err)
		}
		text := show(v)
		want, safe := goValue(v)
		if !safe {
			return
		}
		got, err := erlang.BinaryToTerm(append([]byte{tagVersion}, v.b...))
		if err != nil {
			t.Fatalf("erlang_go refuses %s: %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("erlang_go reads %s as %#v", text, got)
		}
	})
}

// goValue is what erlang_go has to make of a term, read from the term's views.
// It is false where erlang_go is not safe or not right: pids, ports, references
// and functions, bits and text floats, maps, big integers of many digits, a list
// whose tail is no empty list.
func goValue(t Term) (any, bool) {
	switch t.tag() {
	case tagSmallInteger:
		return t.b[1], true
	case tagInteger:
		return int32(number(t.b[1:])), true
	case tagSmallBig, tagLargeBig:
		digits := t.content()
		if len(digits) > 32 {
			return nil, false
		}
		n := new(big.Int)
		for _, d := range slices.Backward(digits) {
			n.Lsh(n, 8)
			n.Add(n, big.NewInt(int64(d)))
		}
		if negative, _ := t.big(); negative {
			n.Neg(n)
		}
		return n, true
	case tagAtom, tagSmallAtom, tagAtomUTF8, tagSmallAtomUTF8:
		name := string(t.content())
		switch {
		case name == "true" || name == "false":
			return name == "true", true
		case name == "undefined":
			return nil, true
		case t.tag() == tagAtom || t.tag() == tagSmallAtom:
			return erlang.OtpErlangAtom(name), true
		}
		return erlang.OtpErlangAtomUTF8(name), true
	case tagBinary:
		return erlang.OtpErlangBinary{Value: append([]byte{}, t.content()...), Bits: 8}, true
	case tagString:
		return string(t.content()), true
	case tagSmallTuple, tagLargeTuple:
		elements, _ := t.Tuple()
		all, ok := goValues(elements)
		return erlang.OtpErlangTuple(all), ok
	case tagNil, tagList:
		elements, ok := t.List()
		if !ok {
			return nil, false
		}
		all, ok := goValues(elements)
		return erlang.OtpErlangList{Value: all}, ok
	}
	return nil, false
}

func goValues(terms Terms) ([]any, bool) {
	all := []any{}
	for terms.Len() > 0 {
		v, ok := goValue(terms.Next())
		if !ok {
			return nil, false
		}
		all = append(all, v)
	}
	return all, true
}

// FuzzAccessors: what every accessor says of a term agrees with what the others
// say.
func FuzzAccessors(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := Guard(payload)
		if err != nil {
			return
		}
		text, isText := v.Text()
		b, isBytes := v.Bytes()
		if isText != isBytes || text != string(b) {
			t.Errorf("Text is %q, %v; Bytes is %q, %v", text, isText, b, isBytes)
		}
		i, isInt := v.Int()
		u, isUint := v.Uint64()
		if isInt && (isUint != (i >= 0) || isUint && u != uint64(i)) || !isInt && isUint && u < 1<<63 {
			t.Errorf("Int is %d, %v; Uint64 is %d, %v", i, isInt, u, isUint)
		}
		if name, ok := v.Atom(); ok && isASCII(name) && !v.Is(name) {
			t.Errorf("Is is false of the Atom %q", name)
		}
		texts, isTexts := v.Texts()
		list, isList := v.List()
		if isTexts && list.Len() != len(texts) {
			t.Fatalf("%d Texts of a list of %d", len(texts), list.Len())
		}
		all := isList
		for i := 0; list.Len() > 0; i++ {
			s, ok := list.Next().Text()
			if isTexts && s != texts[i] {
				t.Errorf("element %d is %q, of Texts %q", i, s, texts[i])
			}
			all = all && ok
		}
		if all != isTexts {
			t.Errorf("Texts is %v; that every element is a Text is %v", isTexts, all)
		}
	})
}

func isASCII(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c >= 0x80 })
}

// FuzzFramer: however a stream is cut, the frames are the same.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x02bc"), byte(1))
	f.Add([]byte("\x00\x00\x00\x05abcde\x00\x00\xff\xff"), byte(3))
	f.Add(AppendFrame(AppendFrame(nil, filled(300, 1)), filled(5000, 2)), byte(255))
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		whole := Framer{Limit: 1 << 17}
		want, wantErr := feed(t, &whole, stream, max(1, len(stream)))
		cut := Framer{Limit: 1 << 17}
		got, err := feed(t, &cut, stream, 1+int(step))
		if err != wantErr || !reflect.DeepEqual(got, want) {
			t.Fatalf("%d frames, %v; in steps of %d: %d, %v", len(want), wantErr, 1+int(step), len(got), err)
		}
		if err == nil && cut.Pending() != whole.Pending() {
			t.Errorf("pending %v and %v", whole.Pending(), cut.Pending())
		}
	})
}
