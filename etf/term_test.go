package etf

import (
	"bytes"
	"math"
	"testing"
)

// guarded is a term that Guard has passed.
func guarded(t testing.TB, parts ...any) Term {
	t.Helper()
	got, err := Guard(term(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// others are terms of every kind, for what must take just one of them.
func others(t testing.TB) map[string]Term {
	return map[string]Term{
		"zero term":     {},
		"small integer": guarded(t, tagSmallInteger, 7),
		"integer":       guarded(t, tagInteger, most),
		"small big":     guarded(t, tagSmallBig, 9, 0, filled(9, 255)),
		"float":         guarded(t, tagNewFloat, filled(8, 0)),
		"atom":          guarded(t, tagSmallAtomUTF8, 2, "ok"),
		"true":          guarded(t, tagSmallAtomUTF8, 4, "true"),
		"undefined":     guarded(t, tagSmallAtom, 9, "undefined"),
		"empty atom":    guarded(t, tagAtom, 0, 0),
		"tuple":         guarded(t, tagSmallTuple, 1, tagNil),
		"empty tuple":   guarded(t, tagSmallTuple, 0),
		"map":           guarded(t, tagMap, uint32(1), tagSmallAtom, 9, "undefined", tagNil),
		"binary":        guarded(t, tagBinary, uint32(1), "b"),
		"bits":          guarded(t, tagBitBinary, uint32(1), 3, 0xe0),
		"string":        guarded(t, tagString, 0, 1, "s"),
		"nil":           guarded(t, tagNil),
		"list":          guarded(t, tagList, uint32(1), tagNil, tagNil),
		"improper list": guarded(t, tagList, uint32(1), tagSmallInteger, 1, tagSmallInteger, tagNil),
		"pid":           guarded(t, tagPID, tagSmallAtom, 1, "n", filled(9, 0)),
		"fun":           guarded(t, tagNewFun, uint32(40), filled(36, 0)),
		"export":        guarded(t, tagExport, tagSmallAtom, 1, "m", tagSmallAtom, 1, "f", tagSmallInteger, 1),
	}
}

// TestKinds has every accessor take its own kinds of terms and no other.
func TestKinds(t *testing.T) {
	accessors := map[string]struct {
		ok    func(Term) bool
		takes []string
	}{
		"Is":     {func(t Term) bool { return t.Is("ok") }, []string{"atom"}},
		"Uint64": {func(t Term) bool { _, ok := t.Uint64(); return ok }, []string{"small integer"}},
		"Int":    {func(t Term) bool { _, ok := t.Int(); return ok }, []string{"small integer", "integer"}},
		"Atom":   {func(t Term) bool { _, ok := t.Atom(); return ok }, []string{"atom", "true", "undefined", "empty atom"}},
		"Tuple":  {func(t Term) bool { _, ok := t.Tuple(); return ok }, []string{"tuple", "empty tuple"}},
		"List":   {func(t Term) bool { _, ok := t.List(); return ok }, []string{"nil", "list"}},
		"Map":    {func(t Term) bool { _, ok := t.Map(); return ok }, []string{"map"}},
		"Bytes":  {func(t Term) bool { _, ok := t.Bytes(); return ok }, []string{"binary", "string", "nil"}},
		"Text":   {func(t Term) bool { _, ok := t.Text(); return ok }, []string{"binary", "string", "nil"}},
		"Texts":  {func(t Term) bool { _, ok := t.Texts(); return ok }, []string{"nil", "list"}},
	}
	terms := others(t)
	for name, a := range accessors {
		takes := make(map[string]bool)
		for _, kind := range a.takes {
			takes[kind] = true
		}
		for kind, v := range terms {
			if got := a.ok(v); got != takes[kind] {
				t.Errorf("%s of %s: %v", name, kind, got)
			}
		}
	}
}

func TestIs(t *testing.T) {
	for name, a := range map[string]Term{
		"ATOM_EXT":            guarded(t, tagAtom, 0, 4, "kill"),
		"SMALL_ATOM_EXT":      guarded(t, tagSmallAtom, 4, "kill"),
		"ATOM_UTF8_EXT":       guarded(t, tagAtomUTF8, 0, 4, "kill"),
		"SMALL_ATOM_UTF8_EXT": guarded(t, tagSmallAtomUTF8, 4, "kill"),
	} {
		if !a.Is("kill") || a.Is("kil") || a.Is("kills") || a.Is("") || a.Is("KILL") {
			t.Errorf("%s is compared wrongly", name)
		}
		if got, ok := a.Atom(); got != "kill" || !ok {
			t.Errorf("%s: Atom is %q, %v", name, got, ok)
		}
	}
	if guarded(t, tagBinary, uint32(4), "kill").Is("kill") {
		t.Error("a binary is an atom")
	}
}

func TestIntegers(t *testing.T) {
	tests := []struct {
		name  string
		parts []any
		u     uint64
		uOK   bool
		i     int64
		iOK   bool
	}{
		{"0", []any{tagSmallInteger, 0}, 0, true, 0, true},
		{"255", []any{tagSmallInteger, 255}, 255, true, 255, true},
		{"INTEGER 5", []any{tagInteger, uint32(5)}, 5, true, 5, true},
		{"2³¹−1", []any{tagInteger, uint32(1<<31 - 1)}, 1<<31 - 1, true, 1<<31 - 1, true},
		{"−1", []any{tagInteger, most}, 0, false, -1, true},
		{"−2³¹", []any{tagInteger, uint32(1 << 31)}, 0, false, math.MinInt32, true},
		{"2⁶³−1", []any{tagSmallBig, 8, 0, filled(7, 255), 127}, math.MaxInt64, true, math.MaxInt64, true},
		{"2⁶³", []any{tagSmallBig, 8, 0, filled(7, 0), 128}, 1 << 63, true, 0, false},
		{"−2⁶³", []any{tagSmallBig, 8, 1, filled(7, 0), 128}, 0, false, math.MinInt64, true},
		{"−2⁶³−1", []any{tagSmallBig, 8, 1, 1, filled(6, 0), 128}, 0, false, 0, false},
		{"2⁶⁴−1", []any{tagSmallBig, 8, 0, filled(8, 255)}, math.MaxUint64, true, 0, false},
		{"2⁶⁴", []any{tagSmallBig, 9, 0, filled(8, 0), 1}, 0, false, 0, false},
		{"SMALL_BIG −1", []any{tagSmallBig, 1, 1, 1}, 0, false, -1, true},
		{"2⁶⁴−1, padded", []any{tagSmallBig, 200, 0, filled(8, 255), filled(192, 0)}, math.MaxUint64, true, 0, false},
		{"7, LARGE_BIG, padded to 1 MiB", []any{tagLargeBig, uint32(1 << 20), 0, 7, filled(1<<20-1, 0)}, 7, true, 7, true},
		{"−7, LARGE_BIG, padded to 1 MiB", []any{tagLargeBig, uint32(1 << 20), 1, 7, filled(1<<20-1, 0)}, 0, false, -7, true},
		{"0 without digits", []any{tagSmallBig, 0, 0}, 0, true, 0, true},
		{"−0", []any{tagSmallBig, 3, 1, 0, 0, 0}, 0, true, 0, true},
		{"−0 without digits", []any{tagLargeBig, uint32(0), 1}, 0, true, 0, true},
		{"8 Mbit", []any{tagLargeBig, uint32(1 << 20), 0, filled(1<<20, 255)}, 0, false, 0, false},
	}
	for _, test := range tests {
		v := guarded(t, test.parts...)
		if u, ok := v.Uint64(); ok != test.uOK || ok && u != test.u {
			t.Errorf("%s: Uint64 is %d, %v", test.name, u, ok)
		}
		if i, ok := v.Int(); ok != test.iOK || ok && i != test.i {
			t.Errorf("%s: Int is %d, %v", test.name, i, ok)
		}
	}
}

func TestStrings(t *testing.T) {
	letters := bytes.Repeat([]byte{tagSmallInteger, 'x'}, 70_000)
	tests := []struct {
		name  string
		parts []any
		want  string
		ok    bool
	}{
		{"binary", []any{tagBinary, uint32(3), "a\x00b"}, "a\x00b", true},
		{"empty binary", []any{tagBinary, uint32(0)}, "", true},
		{"string", []any{tagString, 0, 3, "a\xffb"}, "a\xffb", true},
		{"empty string", []any{tagString, 0, 0}, "", true},
		{"nil", []any{tagNil}, "", true},
		{"list of bytes", []any{tagList, uint32(2), tagSmallInteger, 0, tagSmallInteger, 255, tagNil}, "\x00\xff", true},
		{"list of bytes as INTEGER", []any{tagList, uint32(1), tagInteger, uint32('a'), tagNil}, "a", true},
		{"long list of bytes", []any{tagList, uint32(70_000), letters, tagNil}, string(filled(70_000, 'x')), true},
		{"empty LIST", []any{tagList, uint32(0), tagNil}, "", true},
		{"bits of a whole byte", []any{tagBitBinary, uint32(1), 8, "a"}, "", false},
		{"list with 256", []any{tagList, uint32(1), tagInteger, uint32(256), tagNil}, "", false},
		{"list with −1", []any{tagList, uint32(1), tagInteger, most, tagNil}, "", false},
		{"list with a big integer", []any{tagList, uint32(1), tagSmallBig, 1, 0, 97, tagNil}, "", false},
		{"list with an atom", []any{tagList, uint32(2), tagSmallInteger, 97, tagSmallAtom, 1, "b", tagNil}, "", false},
		{"list of binaries", []any{tagList, uint32(1), tagBinary, uint32(1), "a", tagNil}, "", false},
		{"improper list", []any{tagList, uint32(1), tagSmallInteger, 97, tagSmallInteger, 98}, "", false},
		{"improper list that ends in 106", []any{tagList, uint32(1), tagSmallInteger, 97, tagSmallInteger, tagNil}, "", false},
		{"tail that is a binary", []any{tagList, uint32(1), tagSmallInteger, 97, tagBinary, uint32(0)}, "", false},
		{"tail that is a list", []any{tagList, uint32(1), tagSmallInteger, 97, tagList, uint32(0), tagNil}, "", false},
		{"tail that is a string", []any{tagList, uint32(1), tagSmallInteger, 97, tagString, 0, 1, "b"}, "", false},
		{"atom", []any{tagSmallAtom, 1, "a"}, "", false},
		{"integer", []any{tagSmallInteger, 97}, "", false},
	}
	for _, test := range tests {
		v := guarded(t, test.parts...)
		if got, ok := v.Text(); ok != test.ok || got != test.want {
			t.Errorf("%s: Text is %.20q, %v", test.name, got, ok)
		}
		if got, ok := v.Bytes(); ok != test.ok || string(got) != test.want {
			t.Errorf("%s: Bytes is %.20q, %v", test.name, got, ok)
		}
	}
}

// TestBytesShares makes sure that Bytes is a view, and one that cannot be
// appended to over what comes behind it.
func TestBytesShares(t *testing.T) {
	payload := term(tagSmallTuple, 2, tagBinary, uint32(3), "abc", tagNil)
	v, err := Guard(payload)
	if err != nil {
		t.Fatal(err)
	}
	elements, _ := v.Tuple()
	got, _ := elements.Next().Bytes()
	if &got[0] != &payload[8] {
		t.Error("Bytes is a copy")
	}
	_ = append(got, 'd')
	if payload[11] != tagNil {
		t.Error("appending to Bytes has written over the payload")
	}
}

func TestTexts(t *testing.T) {
	many := func(n int, e []byte) []any {
		return []any{tagList, uint32(n), bytes.Repeat(e, n), tagNil}
	}
	long := append(term(tagBinary, uint32(batchBytes))[1:], filled(batchBytes, 'l')...)
	mixed := term(tagBinary, uint32(1), "a", tagString, 0, 1, "b", tagNil, tagList, uint32(1), tagSmallInteger, 99, tagNil)[1:]
	tests := []struct {
		name  string
		parts []any
		n     int
		want  func(i int) string
	}{
		{"none", []any{tagNil}, 0, nil},
		{"one", many(1, term(tagBinary, uint32(1), "x")[1:]), 1, func(int) string { return "x" }},
		{"a batch", many(batchStrings, []byte{tagNil}), batchStrings, func(int) string { return "" }},
		{"a batch and one", many(batchStrings+1, []byte{tagNil}), batchStrings + 1, func(int) string { return "" }},
		{"batches", many(10_000, term(tagString, 0, 2, "xy")[1:]), 10_000, func(int) string { return "xy" }},
		{"longer than a batch", many(3, long), 3, func(int) string { return string(filled(batchBytes, 'l')) }},
		{
			"every shape",
			[]any{tagList, uint32(400), bytes.Repeat(mixed, 100), tagNil},
			400, func(i int) string { return []string{"a", "b", "", "c"}[i%4] },
		},
	}
	for _, test := range tests {
		got, ok := guarded(t, test.parts...).Texts()
		if !ok || got == nil || len(got) != test.n {
			t.Errorf("%s: %d strings, %v", test.name, len(got), ok)
			continue
		}
		for i, s := range got {
			if s != test.want(i) {
				t.Errorf("%s: string %d is %.20q", test.name, i, s)
				break
			}
		}
	}
	for name, parts := range map[string][]any{
		"a string, not a list of them": {tagString, 0, 2, "ab"},
		"a list of bytes":              {tagList, uint32(1), tagSmallInteger, 97, tagNil},
		"an atom among them":           {tagList, uint32(2), tagNil, tagSmallAtom, 1, "a", tagNil},
		"an integer of 256 in one":     {tagList, uint32(1), tagList, uint32(1), tagInteger, uint32(256), tagNil, tagNil},
		"a map among them":             {tagList, uint32(1), tagMap, uint32(1), tagSmallAtom, 9, "undefined", tagNil, tagNil},
		"an improper list":             {tagList, uint32(1), tagNil, tagBinary, uint32(0)},
		"a tuple":                      {tagSmallTuple, 1, tagNil},
	} {
		if got, ok := guarded(t, parts...).Texts(); ok {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestAtom(t *testing.T) {
	for name, parts := range map[string][]any{
		"":          {tagSmallAtomUTF8, 0},
		"true":      {tagSmallAtom, 4, "true"},
		"false":     {tagAtom, 0, 5, "false"},
		"undefined": {tagAtomUTF8, 0, 9, "undefined"},
		"nil":       {tagSmallAtomUTF8, 3, "nil"},
		"æ":         {tagSmallAtom, 1, 0xe6},
		"π":         {tagSmallAtomUTF8, 2, "π"},
	} {
		if got, ok := guarded(t, parts...).Atom(); !ok || got != name {
			t.Errorf("%q is %q, %v", name, got, ok)
		}
	}
}

func TestTerms(t *testing.T) {
	m, ok := guarded(t, tagMap, uint32(2), tagSmallInteger, 1, tagNil, tagSmallInteger, 1, tagSmallTuple, 0).Map()
	if !ok || m.Len() != 4 {
		t.Fatalf("a map of two entries has %d terms, %v", m.Len(), ok)
	}
	for _, want := range []byte{tagSmallInteger, tagNil, tagSmallInteger, tagSmallTuple} {
		if got := m.Next().tag(); got != want {
			t.Errorf("tag %d, want %d", got, want)
		}
	}
	if m.Len() != 0 || m.Next().tag() != 0 || m.Len() != 0 {
		t.Error("there is something behind the last")
	}
}

// TestViewsAllocs: what a command is read with allocates nothing.
func TestViewsAllocs(t *testing.T) {
	payload := term(tagSmallTuple, 4, tagSmallAtomUTF8, 6, "pty_in", tagBinary, uint32(5), "ls -l",
		tagSmallBig, 8, 0, filled(8, 255), tagList, uint32(1), tagMap, uint32(1), tagNil, tagNil, tagNil)
	n := testing.AllocsPerRun(100, func() {
		v, err := Guard(payload)
		tuple, ok := v.Tuple()
		name, data, mask, list := tuple.Next(), tuple.Next(), tuple.Next(), tuple.Next()
		b, isBytes := data.Bytes()
		u, isUint := mask.Uint64()
		elements, isList := list.List()
		m, isMap := elements.Next().Map()
		if err != nil || !ok || !name.Is("pty_in") || !isBytes || len(b) != 5 || !isUint || u != math.MaxUint64 ||
			!isList || !isMap || m.Len() != 2 {
			t.Fatal("not as it was made")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDecodeMemory has what goes through erlang_go, at its worst.
func TestDecodeMemory(t *testing.T) {
	const n = 1 << 20
	tests := []struct {
		name  string
		parts []any
		bound uint64 // bytes allocated for a byte of the payload
	}{
		{"a binary", []any{tagBinary, uint32(4 * n), filled(4*n, 'x')}, 4},
		{"a list of bytes", []any{tagList, uint32(n - 2), bytes.Repeat([]byte{tagSmallInteger, 1}, n-2), tagNil}, 12},
		{"zeros in front of an integer", []any{tagLargeBig, uint32(4 * n), 0, filled(4*n, 0)}, 1},
		{"a long integer", []any{tagLargeBig, uint32(4 * n), 0, filled(4*n, 1)}, 1},
	}
	for _, test := range tests {
		v := guarded(t, test.parts...)
		got := allocated(func() {
			v.Text()
			v.Int()
			v.Atom()
		})
		if got > test.bound*uint64(len(v.b)) {
			t.Errorf("%s: %d bytes allocated for %d", test.name, got, len(v.b))
		}
	}
}

// TestTextsMemory counts everything that a request of many small strings
// allocates, garbage included.
func TestTextsMemory(t *testing.T) {
	const n = 600_000
	v := guarded(t, tagList, uint32(n), bytes.Repeat(term(tagBinary, uint32(1), "x")[1:], n), tagNil)
	var texts []string
	total := allocated(func() { texts, _ = v.Texts() })
	if len(texts) != n {
		t.Fatalf("%d strings", len(texts))
	}
	if limit := uint64(20 * len(v.b)); total > limit {
		t.Errorf("%d bytes allocated for %d", total, len(v.b))
	}
}

func BenchmarkTexts(b *testing.B) {
	const n = 600_000
	v := guarded(b, tagList, uint32(n), bytes.Repeat(term(tagBinary, uint32(1), "x")[1:], n), tagNil)
	b.ReportAllocs()
	b.SetBytes(int64(len(v.b)))
	for b.Loop() {
		if texts, ok := v.Texts(); !ok || len(texts) != n {
			b.Fatal(len(texts), ok)
		}
	}
}
