package etf

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// corpusFiles are what testdata/corpus.escript writes, with the file that has
// their names and values.
var corpusFiles = []struct{ frames, text string }{
	{"terms.v1.frames", "terms.txt"},
	{"terms.v2.frames", "terms.txt"},
	{"requests.v1.frames", "requests.txt"},
	{"requests.v2.frames", "requests.txt"},
	{"commands.v1.frames", "commands.txt"},
	{"commands.v2.frames", "commands.txt"},
	{"events.v1.frames", "events.txt"},
	{"events.v2.frames", "events.txt"},
	{"made.frames", "made.txt"},
}

// corpusEntry is a payload that a BEAM wrote, and its value in words.
type corpusEntry struct {
	name    string
	payload []byte
	value   string
}

func readCorpus(t testing.TB, framesFile, textFile string) []corpusEntry {
	t.Helper()
	stream, err := os.ReadFile(filepath.Join("testdata", framesFile))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", textFile))
	if err != nil {
		t.Fatal(err)
	}
	var entries []corpusEntry
	f := Framer{Limit: 1 << 20}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for len(stream) > 0 || f.Pending() {
		n := copy(f.Buffer(), stream)
		f.Filled(n)
		stream = stream[n:]
		for {
			payload, ok, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if len(entries) == len(lines) {
				t.Fatalf("%s has more frames than %s has lines", framesFile, textFile)
			}
			name, value, _ := strings.Cut(lines[len(entries)], "\t")
			entries = append(entries, corpusEntry{name, bytes.Clone(payload), value})
		}
		if n == 0 && f.Pending() {
			t.Fatalf("%s ends in the middle of a frame", framesFile)
		}
	}
	if len(entries) != len(lines) {
		t.Fatalf("%s has %d frames, %s %d lines", framesFile, len(entries), textFile, len(lines))
	}
	return entries
}

// seeds gives every payload of the corpus to a fuzz target.
func seeds(f *testing.F) {
	for _, file := range corpusFiles {
		for _, e := range readCorpus(f, file.frames, file.text) {
			if len(e.payload) < 4<<10 {
				f.Add(e.payload)
			}
		}
	}
}

func TestCorpus(t *testing.T) {
	for _, file := range corpusFiles {
		t.Run(file.frames, func(t *testing.T) {
			for _, e := range readCorpus(t, file.frames, file.text) {
				term, err := Guard(e.payload)
				if err != nil {
					t.Errorf("%s: %v", e.name, err)
					continue
				}
				if want := len(e.payload) - 1; e.name != "trailing" && len(term.b) != want {
					t.Errorf("%s: the term has %d bytes, want %d", e.name, len(term.b), want)
				}
				got := show(term)
				if len(got) > 200 {
					got = fmt.Sprintf("%d bytes, CRC-32 %d", len(got), crc32.ChecksumIEEE([]byte(got)))
				}
				if got != e.value {
					t.Errorf("%s: %s, want %s", e.name, got, e.value)
				}
			}
		})
	}
}

// show is show/1 of corpus.escript. It reads the term's bytes by itself where
// the accessors have no use for a kind of term.
func show(t Term) string {
	switch tag := t.tag(); tag {
	case tagAtom, tagSmallAtom, tagAtomUTF8, tagSmallAtomUTF8:
		name, ok := t.Atom()
		if !ok {
			return "no atom"
		}
		return "'" + name + "'"
	case tagSmallInteger, tagInteger, tagSmallBig, tagLargeBig:
		return showInteger(t)
	case tagFloat:
		text := strings.TrimRight(string(t.b[1:]), "\x00")
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err.Error()
		}
		return strconv.FormatFloat(f, 'e', 6, 64)
	case tagNewFloat:
		return strconv.FormatFloat(math.Float64frombits(number(t.b[1:])), 'e', 6, 64)
	case tagBinary:
		return showBinary(t.content())
	case tagBitBinary:
		bits := 8*len(t.content()) - 8 + int(t.b[5])
		if bits%8 == 0 {
			return showBinary(t.content())
		}
		return fmt.Sprintf("bits %d", bits)
	case tagSmallTuple, tagLargeTuple:
		elements, _ := t.Tuple()
		return "{" + strings.Join(showAll(elements), ",") + "}"
	case tagNil, tagString, tagList:
		return "[" + showElements(t) + "]"
	case tagMap:
		entries, _ := t.Map()
		all := showAll(entries)
		var pairs []string
		for i := 0; i < len(all); i += 2 {
			pairs = append(pairs, all[i]+"=>"+all[i+1])
		}
		slices.Sort(pairs)
		return "#{" + strings.Join(pairs, ",") + "}"
	case tagPID, tagNewPID:
		return "pid"
	case tagPort, tagNewPort, tagV4Port:
		return "port"
	case tagRef, tagNewRef, tagNewerRef:
		return "reference"
	case tagFun, tagNewFun, tagExport:
		return "fun"
	default:
		return fmt.Sprintf("tag %d", tag)
	}
}

// showInteger also asks Int and Uint64, which have to agree with the digits.
func showInteger(t Term) string {
	n := new(big.Int)
	switch t.tag() {
	case tagSmallInteger:
		n.SetUint64(uint64(t.b[1]))
	case tagInteger:
		n.SetInt64(int64(int32(number(t.b[1:]))))
	default:
		digits := bytes.Clone(t.content())
		slices.Reverse(digits)
		n.SetBytes(digits)
		if t.b[len(t.b)-len(digits)-1] == 1 {
			n.Neg(n)
		}
	}
	if i, ok := t.Int(); ok != n.IsInt64() || ok && i != n.Int64() {
		return fmt.Sprintf("%v, but Int says %d, %v", n, i, ok)
	}
	if u, ok := t.Uint64(); ok != n.IsUint64() || ok && u != n.Uint64() {
		return fmt.Sprintf("%v, but Uint64 says %d, %v", n, u, ok)
	}
	return n.String()
}

func showAll(terms Terms) []string {
	var all []string
	for terms.Len() > 0 {
		all = append(all, show(terms.Next()))
	}
	return all
}

// showElements shows a list without its brackets, over tails that are lists, as
// a BEAM sees it.
func showElements(t Term) string {
	switch t.tag() {
	case tagNil:
		return ""
	case tagString:
		return showBytes(t.content())
	}
	elements := Terms{b: t.content(), n: t.count() + 1}
	all := showAll(Terms{b: elements.b, n: elements.n - 1})
	var tail Term
	for elements.Len() > 0 {
		tail = elements.Next()
	}
	switch tail.tag() {
	case tagNil:
	case tagString, tagList:
		all = append(all, showElements(tail))
	default:
		return strings.Join(all, ",") + "|" + show(tail)
	}
	return strings.Join(all, ",")
}

func showBytes(b []byte) string {
	all := make([]string, len(b))
	for i, c := range b {
		all[i] = strconv.Itoa(int(c))
	}
	return strings.Join(all, ",")
}

func showBinary(b []byte) string {
	unplain := func(c rune) bool { return c < ' ' || c > '~' }
	if len(b) > 0 && !bytes.ContainsFunc(b, unplain) {
		return `<<"` + string(b) + `">>`
	}
	return "<<" + showBytes(b) + ">>"
}
