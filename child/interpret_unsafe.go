package child

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// op is an Op as the child finds it in the arena.
type op struct {
	number  uintptr
	args    [6]uintptr
	out     uint8 // a word; 0 is a word that nobody reads
	deref   uint8 // bit i: args[i] is a word, take what it holds
	onError uint8
	_       [5]uint8
}

// command is what the agent writes to the command pipe: run that many ops.
type command struct {
	sequence uint32
	count    uint32
}

// report is what the child writes to the report pipe when a program has ended,
// and, where it failed, to the arena before that.
type report struct {
	sequence uint32 // of the command
	index    uint32 // of the op that failed
	errno    uint32 // 0: the program succeeded
	_        uint32
}

const (
	commandSize = int(unsafe.Sizeof(command{}))
	reportSize  = int(unsafe.Sizeof(report{}))
)

// interpret is the life of the child. It runs the program that the arena holds,
// writes its report, and reads from the command pipe which program is next;
// until one fails, one replaces the process (execve) or the pipe ends.
//
// It runs after the fork, in a process that has one thread of a runtime that
// counts on many. So it, and all that it calls, must not allocate, lock, grow
// the stack, reach a preemption point or panic: it has no slices (no bounds
// checks), no pointer stores (no write barriers), no calls but raw system calls.
// Signals are blocked from before the fork until a program unblocks them.
//
//	norace, nocheckptr: the instrumentation calls into the runtime.
//	nosplit: the prologue would find stackguard0 spoilt (runtime_BeforeFork) and
//	         try to grow the stack, which is fatal here.
//	noinline: its frame must not become part of one that is already checked.
//
//go:norace
//go:nocheckptr
//go:nosplit
//go:noinline
func interpret(arena unsafe.Pointer, first command, commands, reports uintptr) {
	var (
		next    = first
		done    report
		failure = (*report)(arena) // sound: the arena begins with one, see arena.go
		o       *op
		a       [6]uintptr
		i, j    uint32
		r       uintptr
		errno   syscall.Errno
	)
	for {
		done.sequence = next.sequence
		done.errno = 0
		for i = 0; i < next.count; i++ {
			// Sound: the agent laid out next.count ops of this size here.
			o = (*op)(unsafe.Add(arena, programOffset+uintptr(i)*opSize))
			a = o.args
			for j = 0; j < 6; j++ {
				if o.deref&(1<<j) != 0 {
					// Sound: a is a word number below NumWords.
					*(*uintptr)(unsafe.Add(unsafe.Pointer(&a), 8*uintptr(j))) = *word(arena, *(*uintptr)(unsafe.Add(unsafe.Pointer(&a), 8*uintptr(j))))
				}
			}
			switch o.number {
			case numberStop:
				i = next.count
				continue
			case numberClone:
				r, _, errno = syscall.RawSyscall6(unix.SYS_CLONE,
					a[0]|unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|uintptr(unix.SIGCHLD),
					0, uintptr(unsafe.Pointer(word(arena, uintptr(o.out)))), 0, 0, 0)
				if errno == 0 {
					if r != 0 {
						exit(0)
					}
					continue
				}
			default:
				r, _, errno = syscall.RawSyscall6(o.number, a[0], a[1], a[2], a[3], a[4], a[5])
			}
			switch {
			case errno == 0:
				*word(arena, uintptr(o.out)) = r
			case o.onError == uint8(Fail):
				done.index, done.errno = i, uint32(errno)
				// Kept before it is written, so that a filter that this
				// program installed and that refuses write(2) cannot
				// silence it.
				*failure = done
				i = next.count
			default:
				i += uint32(o.onError - uint8(GoOn))
			}
		}
		syscall.RawSyscall6(unix.SYS_WRITE, reports, uintptr(unsafe.Pointer(&done)), uintptr(reportSize), 0, 0, 0)
		if done.errno != 0 {
			exit(1)
		}
		for {
			r, _, errno = syscall.RawSyscall6(unix.SYS_READ, commands, uintptr(unsafe.Pointer(&next)), uintptr(commandSize), 0, 0, 0)
			if errno != syscall.EINTR {
				break
			}
		}
		if errno != 0 || r != uintptr(commandSize) {
			exit(0)
		}
	}
}

// word is the address of a word.
//
//go:norace
//go:nocheckptr
//go:nosplit
func word(arena unsafe.Pointer, n uintptr) *uintptr {
	// Sound: n is below NumWords, and the words are inside the arena.
	return (*uintptr)(unsafe.Add(arena, wordsOffset+8*n))
}

// exit ends the child. A filter may refuse exit_group(2) with an errno; SIGSEGV
// has its default disposition by the time that a filter is there, and a fault
// is no system call.
//
//go:norace
//go:nocheckptr
//go:nosplit
func exit(code uintptr) {
	var nowhere *uintptr
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, code, 0, 0, 0, 0, 0)
		*nowhere = 0
	}
}
