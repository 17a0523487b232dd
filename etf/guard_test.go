package etf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// term is a payload from its parts: bytes, strings, and numbers as the format's
// 32-bit counts.
func term(parts ...any) []byte {
	b := []byte{tagVersion}
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case uint32:
			b = binary.BigEndian.AppendUint32(b, p)
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// nested is n one-element tuples around the integer 1.
func nested(n int) []byte {
	return term(bytes.Repeat([]byte{tagSmallTuple, 1}, n), tagSmallInteger, 1)
}

var most = uint32(1<<32 - 1)

// refused are payloads that Guard has to refuse.
var refused = []struct {
	name    string
	payload []byte
	err     error
	offset  int
}{
	{"empty", nil, ErrVersion, 0},
	{"another version", []byte{130, tagNil}, ErrVersion, 0},
	{"no term", term(), ErrTruncated, 1},
	{"tag 0", term(0), ErrTag, 1},
	{"tag 255", term(255), ErrTag, 1},
	{"compressed", term(80, uint32(2), "\x78\x9c\x4b\x62\x04\x00\x00\xc4\x00\xc3"), ErrTag, 1},
	{"compressed inside", term(tagSmallTuple, 1, 80, uint32(2), "\x78\x9c"), ErrTag, 3},
	{"a version inside", term(tagSmallTuple, 1, tagVersion, tagNil), ErrTag, 3},
	{"atom cache reference", term(82, 0), ErrTag, 1},
	{"new cache", term(78, 0), ErrTag, 1},
	{"distribution header", term(68, 0), ErrTag, 1},
	{"local", term(121, 1, 2, 3, 4), ErrTag, 1},

	{"LIST bomb", term(tagList, most), ErrTruncated, 1},
	{"MAP bomb", term(tagMap, most), ErrTruncated, 1},
	{"LARGE_TUPLE bomb", term(tagLargeTuple, most), ErrTruncated, 1},
	{"BINARY bomb", term(tagBinary, most), ErrTruncated, 1},
	{"BIT_BINARY bomb", term(tagBitBinary, most, 8), ErrTruncated, 1},
	{"LARGE_BIG bomb", term(tagLargeBig, most, 0), ErrTruncated, 1},
	{"NEW_FUN bomb", term(tagNewFun, most), ErrTruncated, 1},
	{"FUN bomb", term(tagFun, most), ErrTruncated, 1},
	{"NEWER_REFERENCE bomb", term(tagNewerRef, 255, 255, tagSmallAtom, 0), ErrTruncated, 1},
	{"ATOM bomb", term(tagAtom, 255, 255), ErrTruncated, 1},
	{"ATOM_UTF8 bomb", term(tagAtomUTF8, 255, 255), ErrTruncated, 1},
	{"SMALL_ATOM bomb", term(tagSmallAtom, 255), ErrTruncated, 1},
	{"SMALL_ATOM_UTF8 bomb", term(tagSmallAtomUTF8, 255), ErrTruncated, 1},
	{"STRING bomb", term(tagString, 255, 255), ErrTruncated, 1},
	{"SMALL_BIG bomb", term(tagSmallBig, 255, 0), ErrTruncated, 1},
	{"SMALL_TUPLE bomb", term(tagSmallTuple, 255), ErrTruncated, 1},

	{"LIST of one too many", term(tagList, uint32(2), tagNil, tagNil), ErrTruncated, 1},
	{"LIST without a tail", term(tagList, uint32(1), tagSmallInteger, 1), ErrTruncated, 8},
	{"MAP without a value", term(tagMap, uint32(1), tagNil), ErrTruncated, 1},
	{"MAP without its last value", term(tagMap, uint32(1), tagSmallInteger, 1), ErrTruncated, 8},
	{"tuple that ends early", term(tagSmallTuple, 2, tagSmallInteger, 1), ErrTruncated, 5},
	{"tuple, an element cut", term(tagSmallTuple, 1, tagSmallInteger), ErrTruncated, 3},

	{"SMALL_BIG, sign 2", term(tagSmallBig, 1, 2, 5), ErrTerm, 1},
	{"LARGE_BIG, sign 255", term(tagLargeBig, uint32(1), 255, 5), ErrTerm, 1},
	{"BIT_BINARY of 9 bits", term(tagBitBinary, uint32(1), 9, 0), ErrTerm, 1},
	{"BIT_BINARY of 0 bits", term(tagBitBinary, uint32(1), 0, 0), ErrTerm, 1},
	{"BIT_BINARY of no byte", term(tagBitBinary, uint32(0), 8), ErrTerm, 1},
	{"NEW_FUN too small", term(tagNewFun, uint32(3), filled(40, 0)), ErrTerm, 1},
	{"NEW_FUN without a head", term(tagNewFun, uint32(newFunHead-1), filled(40, 0)), ErrTerm, 1},
	{"pid of no atom", term(tagPID, tagNil, filled(9, 0)), ErrTerm, 1},
	{"pid of an atom cut", term(tagPID, tagSmallAtom, 9, "ab"), ErrTruncated, 1},
	{"pid of nothing", term(tagPID), ErrTruncated, 1},

	{"33 deep", nested(MaxDepth), ErrDepth, 1 + 2*(MaxDepth-1)},
	{"400,000 nested tuples", nested(400_000), ErrDepth, 1 + 2*(MaxDepth-1)},
	{
		"100,000 nested lists", term(bytes.Repeat([]byte{tagList, 0, 0, 0, 1}, 100_000), bytes.Repeat([]byte{tagNil}, 100_001)),
		ErrDepth, 1 + 5*(MaxDepth-1),
	},
	{
		"100,000 lists, each the tail of another",
		term(bytes.Repeat([]byte{tagList, 0, 0, 0, 1, tagNil}, 100_000), tagNil), ErrDepth, 1 + 6*(MaxDepth-1),
	},
	{
		"100,000 maps, each the key of another",
		term(bytes.Repeat([]byte{tagMap, 0, 0, 0, 1}, 100_000), bytes.Repeat([]byte{tagNil}, 100_001)),
		ErrDepth, 1 + 5*(MaxDepth-1),
	},
	{
		"more terms than allowed", term(tagList, uint32(MaxTerms), bytes.Repeat([]byte{tagNil}, MaxTerms+1)),
		ErrTerms, 1 + 5 + MaxTerms - 1,
	},
}

func TestGuardRefuses(t *testing.T) {
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			got, err := Guard(test.payload)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			var guard *GuardError
			if !errors.As(err, &guard) || guard.Offset != test.offset {
				t.Errorf("got %v, want byte %d", err, test.offset)
			}
			if got.b != nil {
				t.Error("there is a term beside the error")
			}
		})
	}
}

// TestGuardTruncation cuts every payload of the corpus at every byte.
func TestGuardTruncation(t *testing.T) {
	for _, file := range corpusFiles {
		for _, e := range readCorpus(t, file.frames, file.text) {
			whole, err := Guard(e.payload)
			if err != nil {
				t.Fatal(err)
			}
			end := 1 + len(whole.b)
			for cut := range min(end, 5000) {
				// What stands behind the cut, within the slice's capacity,
				// must not be read.
				if _, err := Guard(e.payload[:cut]); err == nil {
					t.Fatalf("%s: %s cut at %d of %d bytes passes", file.frames, e.name, cut, end)
				}
			}
			if got, err := Guard(e.payload[:end]); err != nil || !bytes.Equal(got.b, whole.b) {
				t.Errorf("%s: %s without what is behind it: %v", file.frames, e.name, err)
			}
		}
	}
}

func TestGuardAccepts(t *testing.T) {
	tests := []struct {
		name    string
		payload []byte
		behind  int // bytes that are no part of the term
	}{
		{"as deep as allowed", nested(MaxDepth - 1), 0},
		{"an empty tuple as deep as allowed", term(bytes.Repeat([]byte{tagSmallTuple, 1}, MaxDepth-1), tagSmallTuple, 0), 0},
		{"as many terms as allowed", term(tagList, uint32(MaxTerms-2), bytes.Repeat([]byte{tagNil}, MaxTerms-1)), 0},
		{"another term behind", term(tagNil, tagVersion, tagNil), 2},
		{"nonsense behind", term(tagNil, most), 4},
		{"a deep term behind", append(term(tagNil), nested(100)...), 203},
		{"wide and deep", term(tagSmallTuple, 2, nested(30)[1:], nested(30)[1:]), 0},
		{"a fun of an older release", term(tagFun, uint32(1), tagPID, tagSmallAtom, 1, "n", filled(9, 0), tagAtom, 0, 1, "m", tagSmallInteger, 0, tagInteger, uint32(7), tagNil), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Guard(test.payload)
			if err != nil {
				t.Fatal(err)
			}
			if want := test.payload[1 : len(test.payload)-test.behind]; !bytes.Equal(got.b, want) {
				t.Errorf("the term has %d bytes, want %d", len(got.b), len(want))
			}
		})
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestGuardMemory makes sure that no payload has Guard allocate, but for the
// error.
func TestGuardMemory(t *testing.T) {
	for _, test := range refused {
		n := allocated(func() { _, _ = Guard(test.payload) })
		if n > 4<<10 { // what else the test binary does in the meantime
			t.Errorf("%s: %d bytes allocated", test.name, n)
		}
	}
	payload := term(tagList, uint32(100_000), bytes.Repeat([]byte{tagSmallTuple, 1, tagNil}, 100_000), tagNil)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := Guard(payload); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGuardErrorText(t *testing.T) {
	_, err := Guard(term(tagSmallTuple, 1, 80))
	if got := err.Error(); !strings.Contains(got, "byte 3") || !strings.Contains(got, ErrTag.Error()) {
		t.Errorf("got %q", got)
	}
}

func BenchmarkGuard(b *testing.B) {
	benchmarks := []struct {
		name    string
		payload []byte
	}{
		{"pty_in", term(tagSmallTuple, 2, tagSmallAtomUTF8, 6, "pty_in", tagBinary, uint32(5), "ls -l")},
		{"binaries", term(tagList, uint32(600_000), bytes.Repeat(term(tagBinary, uint32(1), "x")[1:], 600_000), tagNil)},
		{"nils", term(tagList, uint32(1_000_000), bytes.Repeat([]byte{tagNil}, 1_000_001))},
	}
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.payload)))
			for b.Loop() {
				if _, err := Guard(bench.payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
