package etf

// Value is a term to encode: one of Atom, Binary, Int, Mask, Tuple, List and Map.
type Value interface {
	// library is the value as erlang_go encodes it with the tag that is wanted.
	library() (any, error)

	// inspect appends the value as Elixir's inspect/1 writes it.
	inspect(dst []byte) []byte
}

type (
	// Atom is encoded as SMALL_ATOM_UTF8_EXT, at most 255 bytes of UTF-8. The
	// booleans are atoms.
	Atom string

	// Binary is encoded as BINARY_EXT. Strings are binaries.
	Binary []byte

	// Int is encoded as SMALL_INTEGER_EXT, INTEGER_EXT or SMALL_BIG_EXT, the
	// first that holds it.
	Int int64

	// Mask is encoded as Int is, and printed in base 16.
	Mask uint64

	// Tuple is encoded as SMALL_TUPLE_EXT, at most 255 elements.
	Tuple []Value

	// List is a proper list, encoded as LIST_EXT, the empty one as NIL_EXT.
	List []Value

	// Map is encoded as MAP_EXT, in no particular order. Its keys differ.
	Map []Entry

	// Entry is a key of a map with its value.
	Entry struct {
		Key   Atom
		Value Value
	}
)

// Bool is the atom true or false.
func Bool(b bool) Atom {
	if b {
		return "true"
	}
	return "false"
}
