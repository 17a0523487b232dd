package seccomp

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// The kernel bounds what all filters of a thread can cost a system call
// (MAX_INSNS_PER_PATH in kernel/seccomp.c): so many instructions, with so many
// more for each filter below the newest.
const (
	maxPath = 1 << 18 / unix.SizeofSockFilter // 32,768
	penalty = 4
)

// Stack is the filters of one session, in the order in which they are to be
// installed. Its zero value has none. It never holds more than the kernel could
// take: 32,768 instructions, 256 KiB.
type Stack struct {
	filters [][]byte
	path    int // the least that the kernel counts for them, each with its penalty
}

// Add puts a copy of bpf behind the others. An error leaves the stack as it
// was: that of Check, or ENOMEM for a filter that the kernel would not take on
// top of those that are there.
//
// ENOMEM comes from the kernel too, when filters are installed that passed
// here. It counts the instructions of its own form of a filter, where one of
// ours becomes one to five and every filter has some more (Linux 6.18: three),
// and it counts the filters that the thread began with. Here each of ours counts
// as one, which holds for every kernel.
func (s *Stack) Add(bpf []byte) error {
	if err := Check(bpf); err != nil {
		return err
	}
	path := s.path + len(bpf)/unix.SizeofSockFilter
	if path > maxPath {
		return fmt.Errorf("filters that count as %d instructions: more than %d: %w", path, maxPath, unix.ENOMEM)
	}
	s.path = path + penalty
	s.filters = append(s.filters, bytes.Clone(bpf))
	return nil
}

// Filters is what Install takes. The memory stays the stack's.
func (s *Stack) Filters() [][]byte { return s.filters }
