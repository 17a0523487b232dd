package agent

import (
	"encoding/json"
	"io"
	"math"
	"os"

	"github.com/linxprocess/linx-process/ns"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// kernelFeature is something of the kernel that the agent can use, since when
// it is there, and what happens where it is not.
type kernelFeature struct {
	name    string
	since   string // Linux version
	without string
	here    func() bool
}

// kernelFeatures is in the order of the versions.
var kernelFeatures = []kernelFeature{
	{"clone3", "5.3", "clone(2); a time namespace by unshare(2) and a second clone", func() bool {
		_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
		return errno != unix.ENOSYS
	}},
	{"pidfd_open", "5.3", "no sessions", func() bool {
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		if err != nil {
			return false
		}
		unix.Close(fd)
		return true
	}},
	{"time_namespaces", "5.6", "namespaces: [:time] fails at :clone", func() bool {
		return unix.Access("/proc/self/ns/time", unix.F_OK) == nil
	}},
	{"close_range", "5.9", "descriptors are closed one by one", func() bool {
		return unix.CloseRange(math.MaxInt32, math.MaxInt32, 0) == nil
	}},
	{"close_range_cloexec", "5.11", "descriptors are marked one by one", func() bool {
		return unix.CloseRange(math.MaxInt32, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil
	}},
}

// features is what WriteFeatures prints.
type features struct {
	Version    string          `json:"version"`
	Kernel     string          `json:"kernel"`
	Core       bool            `json:"core"`       // part 1 of the protocol
	Notify     []string        `json:"notify"`     // of part 2
	Setup      []string        `json:"setup"`      // of part 3
	Namespaces []string        `json:"namespaces"` // that this kernel has
	Interfaces map[string]bool `json:"interfaces"` // of this kernel
}

// WriteFeatures prints, as JSON, what this build has and what of it this kernel
// can do.
func WriteFeatures(w io.Writer, version string) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	f := features{
		Version:    version,
		Kernel:     unix.ByteSliceToString(name.Release[:]),
		Core:       true,
		Notify:     []string{},
		Setup:      []string{},
		Namespaces: []string{},
		Interfaces: map[string]bool{},
	}
	for n := range proto.Namespace(proto.NumNamespaces) {
		if ns.Supported(n) {
			f.Namespaces = append(f.Namespaces, n.String())
		}
	}
	for _, k := range kernelFeatures {
		f.Interfaces[k.name] = k.here()
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(f)
}
