package ns

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// What lies on another kind of file system than it must is refused with EXDEV:
// a tmpfs over /proc, or a file that only looks like a namespace, is not what
// the kernel says about a process.

// proc is the agent's procfs. Its descriptors are O_PATH and close-on-exec.
type proc struct {
	root int // /proc
	self int // /proc/self/ns
}

// openProc fails where /proc is no procfs (EXDEV), or that of another pid
// namespace than the agent's: then it does not have the agent (ENOENT), or, being
// an ancestor's, has other numbers for the same processes (EXDEV).
func openProc() (*proc, error) {
	p := &proc{root: -1, self: -1}
	if err := p.open(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *proc) open() (err error) {
	if p.root, err = openDir(unix.AT_FDCWD, "/proc"); err != nil {
		return err
	}
	self, err := openDir(p.root, "self")
	if err != nil {
		return err
	}
	defer unix.Close(self)
	if err := checkNumbers(self); err != nil {
		return err
	}
	p.self, err = openDir(self, "ns")
	return err
}

// process opens /proc/<pid>/ns. The caller closes it.
func (p *proc) process(pid int) (int, error) {
	process, err := openDir(p.root, strconv.Itoa(pid))
	if err != nil {
		return -1, err
	}
	defer unix.Close(process)
	return openDir(process, "ns")
}

func (p *proc) close() {
	closeFD(&p.self)
	closeFD(&p.root)
}

// openDir opens a directory of procfs. The caller closes it.
func openDir(at int, path string) (int, error) {
	fd, err := unix.Openat(at, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, proto.FailedAt(proto.StageOpenNSProc, "openat", path, err)
	}
	if err := checkType(fd, unix.PROC_SUPER_MAGIC); err != nil {
		unix.Close(fd)
		return -1, proto.FailedAt(proto.StageOpenNSProc, "fstatfs", path, err)
	}
	if at != unix.AT_FDCWD {
		if err := checkMount(at, fd); err != nil {
			unix.Close(fd)
			return -1, proto.FailedAt(proto.StageOpenNSProc, "statx", path, err)
		}
	}
	return fd, nil
}

// checkMount is EXDEV where something is mounted between the two: it may be
// procfs as well, but another process's directory. The id of a mount is there
// from Linux 5.8; before that nothing is found.
func checkMount(above, below int) error {
	var a, b unix.Statx_t
	for fd, st := range map[int]*unix.Statx_t{above: &a, below: &b} {
		if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, st); err != nil {
			return err
		}
	}
	if a.Mnt_id != b.Mnt_id {
		return unix.EXDEV
	}
	return nil
}

// checkNumbers makes sure that pids in this procfs are those that the agent's
// pid namespace has. NSpid (Linux 4.1; it is there if pid namespaces are) lists
// the ids of a process from the namespace of the procfs down to its own.
func checkNumbers(self int) error {
	const path = "status"
	fd, err := unix.Openat(self, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return proto.FailedAt(proto.StageOpenNSProc, "openat", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	status, err := io.ReadAll(f)
	if err != nil {
		return proto.FailedAt(proto.StageOpenNSProc, "read", path, err)
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok && len(strings.Fields(ids)) != 1 {
			return proto.FailedAt(proto.StageOpenNSProc, "read", path, unix.EXDEV)
		}
	}
	return nil
}

// identity tells namespaces apart (stat(2) of a file in nsfs, Linux 3.8).
type identity struct{ dev, ino uint64 }

// openNS opens a namespace file in dir, a /proc/<pid>/ns. The caller closes it.
func openNS(n proto.Namespace, dir int, file string) (int, identity, error) {
	stage := proto.StageOpenNS(n)
	fd, err := unix.Openat(dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, identity{}, proto.FailedAt(stage, "openat", file, err)
	}
	if err := checkType(fd, unix.NSFS_MAGIC); err != nil {
		unix.Close(fd)
		return -1, identity{}, proto.FailedAt(stage, "fstatfs", file, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, identity{}, proto.FailedAt(stage, "fstat", file, err)
	}
	return fd, identity{st.Dev, st.Ino}, nil
}

// checkType is EXDEV for a descriptor of another kind of file system.
func checkType(fd int, magic int64) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	if st.Type != magic {
		return unix.EXDEV
	}
	return nil
}

func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}
