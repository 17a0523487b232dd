// Package nofile knows the RLIMIT_NOFILE that the process was started with. An
// init function of package syscall raises the soft limit to the hard one before
// main; a package that imports nothing and sorts before "syscall" has its
// variables initialised earlier, and asks the kernel by itself.
package nofile

// Limit is struct rlimit64 of prlimit64(2), in descriptors.
type Limit struct{ Soft, Hard uint64 }

var original, errno = ask()

func ask() (l Limit, errno uintptr) {
	errno = prlimit64(&l)
	return l, errno
}

// prlimit64 stores the limit of this process in old and returns 0 or the
// negative errno.
//
//go:noescape
func prlimit64(old *Limit) uintptr

// Original is the limit at the start of the process; false where the kernel did
// not tell.
func Original() (Limit, bool) { return original, errno == 0 }
