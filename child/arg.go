package child

// Arg is one argument of a system call: a number, a pointer to data that is
// copied into the arena, or a word of the arena.
type Arg struct {
	kind  argKind
	value uint64  // number, signal: itself; value, address: the word
	text  string  // how it is printed, where that is not plain
	to    *target // string, vector, bytes: what the pointer leads to
}

// target is what lies behind a pointer.
type target struct {
	data     []byte    // string, bytes
	strings  []string  // vector
	pointers []Pointer // bytes: pointers inside data
}

type argKind uint8

const (
	kindNumber argKind = iota
	kindSignal
	kindString
	kindVector
	kindBytes
	kindValue
	kindAddress
)

// Pointer is a pointer field of a structure: at Offset bytes from its start, to
// what To stands for.
type Pointer struct {
	Offset int
	To     Arg
}

// Int is a plain number; negative ones are sign-extended.
func Int[N ~int | ~int32 | ~int64 | ~uint | ~uint16 | ~uint32 | ~uint64 | ~uintptr](n N) Arg {
	return Arg{kind: kindNumber, value: uint64(n)}
}

// Named is a number that is printed by its name in the manual.
func Named[N ~int | ~int32 | ~int64 | ~uint | ~uint16 | ~uint32 | ~uint64 | ~uintptr](name string, n N) Arg {
	return Arg{kind: kindNumber, value: uint64(n), text: name}
}

// Signal is the number of a signal, which is printed by its name.
func Signal(n int) Arg { return Arg{kind: kindSignal, value: uint64(n)} }

// String is a pointer to s with a NUL behind it. s has no NUL of its own.
func String(s string) Arg { return Arg{kind: kindString, to: &target{data: []byte(s)}} }

// Strings is a pointer to a NULL-terminated vector of pointers to strings, as
// execve(2) takes it.
func Strings(ss []string) Arg { return Arg{kind: kindVector, to: &target{strings: ss}} }

// As prints the argument as text.
func (g Arg) As(text string) Arg {
	g.text = text
	return g
}

// Struct is a pointer to a copy of b, aligned for any structure, with the
// given pointers put into it. It is printed as text.
func Struct(text string, b []byte, pointers ...Pointer) Arg {
	return Arg{kind: kindBytes, text: text, to: &target{data: b, pointers: pointers}}
}

// Value is what the word holds when the child comes to the op.
func Value(w Word) Arg { return Arg{kind: kindValue, value: uint64(w)} }

// Address is a pointer to the word.
func Address(w Word) Arg { return Arg{kind: kindAddress, value: uint64(w)} }
