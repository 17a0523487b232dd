package ns

import (
	"math/bits"
	"os"
	"testing"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// The kernel tells the flag of a namespace file (ioctl_ns(2)).
func TestTableAgreesWithTheKernel(t *testing.T) {
	for n, k := range kinds {
		n := proto.Namespace(n)
		for _, file := range []string{k.file, k.born} {
			f, err := os.Open("/proc/self/ns/" + file)
			if err != nil {
				if Supported(n) {
					t.Errorf("%v: supported, but %v", n, err)
				}
				continue
			}
			if !Supported(n) {
				t.Errorf("%v is there, but not supported", n)
			}
			flag, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
			if err != nil || uint64(flag) != k.flag {
				t.Errorf("%s: flag %#x, %v; the table says %#x", file, flag, err, k.flag)
			}
			f.Close()
		}
	}
}

func TestCloneFlags(t *testing.T) {
	var all []proto.Namespace
	for n := range proto.Namespace(proto.NumNamespaces) {
		all = append(all, n)
	}
	for _, c := range []struct {
		list []proto.Namespace
		want uint64
		name string
	}{
		{nil, 0, ""},
		{[]proto.Namespace{proto.Time}, 0x80, "CLONE_NEWTIME"},
		{[]proto.Namespace{proto.Net, proto.User, proto.Net}, 0x50000000, "CLONE_NEWUSER|CLONE_NEWNET"},
		{all, 0x7e020080, "CLONE_NEWUSER|CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWCGROUP|CLONE_NEWNET|CLONE_NEWTIME|CLONE_NEWPID"},
	} {
		if got := CloneFlags(c.list); got != c.want {
			t.Errorf("%v: %#x, want %#x", c.list, got, c.want)
		}
		if got := FlagNames(c.want); got != c.name {
			t.Errorf("%#x is written %s, want %s", c.want, got, c.name)
		}
	}
	if got := bits.OnesCount64(CloneFlags(all)); got != proto.NumNamespaces {
		t.Errorf("%d flags for %d namespaces", got, proto.NumNamespaces)
	}
}
