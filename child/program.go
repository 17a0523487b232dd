// Package child owns the process between clone(2) and execve(2). Nothing of the
// Go runtime works there, so the child does nothing of its own: it interprets
// programs, lists of system calls that ordinary Go code has laid out in memory
// that both sides share. This package owns those programs, that memory (the
// arena), the clone, and all code that runs after it.
package child

// Program is a list of system calls for the child, run in order.
type Program struct {
	Name string // for people: what the program is for
	Ops  []Op
}

// Op is one system call of a program.
type Op struct {
	Call    Syscall
	Args    []Arg   // six at most; what is missing is 0
	Stage   string  // what a failure of it is called
	Out     Word    // takes the result; NoWord drops it
	OnError OnError // Fail where nothing is said
}

// OnError tells the child what to do when an op fails.
type OnError uint8

const (
	Fail OnError = iota // report the stage and the errno, and exit
	GoOn                // as if it had succeeded, but Out is left alone
)

// Skip goes on behind the next k ops: what they do is what success means.
func Skip(k uint8) OnError { return GoOn + OnError(k) }

// Word names a 64-bit word of the arena in which results of system calls are
// kept. Both sides can read it.
type Word uint8

// NoWord is the word of an op that drops its result.
const NoWord Word = 0

// NumWords is how many words there are, NoWord counted.
const NumWords = 32
