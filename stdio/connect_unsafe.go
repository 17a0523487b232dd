package stdio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// connect is connect(2) to a path that fits sun_path with a NUL behind it.
// unix.Connect takes a leading '@' for an abstract address.
func connect(fd int, path string) error {
	address := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for i := range len(path) {
		address.Path[i] = int8(path[i])
	}
	// Sound: Offsetof is a constant.
	length := unsafe.Offsetof(address.Path) + uintptr(len(path)) + 1
	// Sound: address lives through the call, and has length bytes.
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address)), length)
	if errno != 0 {
		return errno
	}
	return nil
}
