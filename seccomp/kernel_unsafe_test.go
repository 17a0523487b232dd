package seccomp

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's own verdict on a filter comes from a process that is thrown away:
// this test binary, started again with one argument. It reads filters from its
// standard input, each behind its length, and writes an errno for each.
//
// judgeByCheck never installs one. With SECCOMP_FILTER_FLAG_TSYNC the kernel
// checks and compiles the filter, and only then looks whether all threads of the
// process can have it; where one has a filter of its own that is ESRCH
// (SECCOMP_FILTER_FLAG_TSYNC_ESRCH, Linux 5.7), and the filter is dropped. So
// ESRCH is what a good filter gets.
//
// judgeByInstall installs each in a thread of its own, which then ends. Its
// filters must allow every system call, or the thread could not even do that.
const (
	judgeByCheck   = "judge-by-check"
	judgeByInstall = "judge-by-install"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case judgeByCheck:
			os.Exit(judge(withoutInstalling()))
		case judgeByInstall:
			os.Exit(judge(inOwnThread))
		}
	}
	os.Exit(m.Run())
}

func judge(verdict func(filter []byte) syscall.Errno) int {
	in := bufio.NewReaderSize(os.Stdin, 1<<16)
	out := bufio.NewWriter(os.Stdout)
	var length, errno [4]byte
	for {
		if in.Buffered() == 0 {
			if out.Flush() != nil {
				return 1
			}
		}
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return 0
		}
		filter := make([]byte, binary.NativeEndian.Uint32(length[:]))
		if _, err := io.ReadFull(in, filter); err != nil {
			return 1
		}
		binary.NativeEndian.PutUint32(errno[:], uint32(verdict(filter)))
		if _, err := out.Write(errno[:]); err != nil {
			return 1
		}
	}
}

func withoutInstalling() func([]byte) syscall.Errno {
	ready := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread()
		errno := errnoOr0(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		if errno == 0 {
			errno = setModeFilter(encode(allow), 0)
		}
		ready <- errno
		select {} // keeps the thread, and its filter
	}()
	errno := <-ready
	runtime.LockOSThread()
	if errno == 0 {
		errno = errnoOr0(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	}
	return func(filter []byte) syscall.Errno {
		if errno != 0 {
			return errno
		}
		switch errno := setModeFilter(filter, unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH); errno {
		case unix.ESRCH:
			return 0
		case 0:
			panic("a filter for all threads, though one has its own")
		default:
			return errno
		}
	}
}

func inOwnThread(filter []byte) syscall.Errno {
	verdict := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
		errno := errnoOr0(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		if errno == 0 {
			errno = setModeFilter(filter, 0)
		}
		verdict <- errno
	}()
	return <-verdict
}

// errnoOr0 is the errno in an error of package unix.
func errnoOr0(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}

// setModeFilter is seccomp(SECCOMP_SET_MODE_FILTER) on the calling thread.
func setModeFilter(filter []byte, flags uintptr) syscall.Errno {
	prog := struct {
		length uint16
		filter *byte
	}{uint16(len(filter) / unix.SizeofSockFilter), unsafe.SliceData(filter)}
	// Sound: the structure is that of linux/filter.h, and lives until the call
	// returns; the kernel reads length instructions, which filter has.
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	return errno
}

// kernel is a judge and the two ends to talk to it.
type kernel struct {
	in  *bufio.Writer
	out *bufio.Reader
}

func newKernel(tb testing.TB, how string) *kernel {
	tb.Helper()
	cmd := exec.Command("/proc/self/exe", how)
	cmd.Stderr = os.Stderr
	// Under -race every process sleeps a second before it exits.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("judge: %v", err)
		}
	})
	return &kernel{bufio.NewWriterSize(in, 1<<16), bufio.NewReader(out)}
}

// verdicts asks about filters of up to 65,535 instructions; bytes of a filter
// that make no instruction are not seen by the kernel.
func (k *kernel) verdicts(tb testing.TB, filters ...[]byte) []syscall.Errno {
	tb.Helper()
	sent := make(chan error, 1)
	go func() {
		for _, f := range filters {
			var length [4]byte
			binary.NativeEndian.PutUint32(length[:], uint32(len(f)))
			// Errors stick to the writer, and Flush tells.
			_, _ = k.in.Write(length[:])
			_, _ = k.in.Write(f)
		}
		sent <- k.in.Flush()
	}()
	all := make([]syscall.Errno, len(filters))
	for i := range all {
		var errno [4]byte
		if _, err := io.ReadFull(k.out, errno[:]); err != nil {
			tb.Fatalf("no verdict on filter %d of %d: %v", i, len(filters), err)
		}
		all[i] = syscall.Errno(binary.NativeEndian.Uint32(errno[:]))
	}
	if err := <-sent; err != nil {
		tb.Fatal(err)
	}
	return all
}
