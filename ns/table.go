// Package ns owns namespaces(7): the table of their kinds, the flags that create
// them, the target whose namespaces a session enters, and the programs that
// create and join them in the child. The agent itself never joins one.
package ns

import (
	"strings"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// kind is a row of namespaces(7).
type kind struct {
	flag uint64 // for clone3(2), unshare(2) and setns(2)
	name string // of the flag
	file string // below /proc/<pid>/ns: the namespace that the process is in
	born string // below /proc/<pid>/ns: the one that its children are born into
}

var kinds = [proto.NumNamespaces]kind{
	proto.User:   {unix.CLONE_NEWUSER, "CLONE_NEWUSER", "user", "user"},              // Linux 3.8
	proto.Mount:  {unix.CLONE_NEWNS, "CLONE_NEWNS", "mnt", "mnt"},                    // 3.8
	proto.UTS:    {unix.CLONE_NEWUTS, "CLONE_NEWUTS", "uts", "uts"},                  // 3.0
	proto.IPC:    {unix.CLONE_NEWIPC, "CLONE_NEWIPC", "ipc", "ipc"},                  // 3.0
	proto.Cgroup: {unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP", "cgroup", "cgroup"},      // 4.6
	proto.Net:    {unix.CLONE_NEWNET, "CLONE_NEWNET", "net", "net"},                  // 3.0
	proto.Time:   {unix.CLONE_NEWTIME, "CLONE_NEWTIME", "time", "time_for_children"}, // 5.6
	proto.PID:    {unix.CLONE_NEWPID, "CLONE_NEWPID", "pid", "pid_for_children"},     // 3.8, its _for_children 4.12
}

// CloneFlags is the CLONE_NEW* flags of the namespaces in list, as clone3(2) and
// setns(2) take them. Naming one twice is naming it once.
func CloneFlags(list []proto.Namespace) uint64 {
	var flags uint64
	for _, n := range list {
		flags |= kinds[n].flag
	}
	return flags
}

// Supported tells whether the running kernel has the namespace. It needs a
// procfs on /proc; without one there is no telling, and the answer is no.
func Supported(n proto.Namespace) bool {
	return unix.Access("/proc/self/ns/"+kinds[n].file, unix.F_OK) == nil
}

// FlagNames is how the manual writes the flags.
func FlagNames(flags uint64) string {
	var in []string
	for _, k := range kinds {
		if flags&k.flag != 0 {
			in = append(in, k.name)
		}
	}
	return strings.Join(in, "|")
}
