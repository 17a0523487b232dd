package caps

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for name, want := range map[string]int{
		"cap_net_admin":          unix.CAP_NET_ADMIN,
		"CAP_NET_ADMIN":          unix.CAP_NET_ADMIN,
		"net_admin":              unix.CAP_NET_ADMIN,
		"Net_Admin":              unix.CAP_NET_ADMIN,
		"cap_chown":              unix.CAP_CHOWN,
		"cap_checkpoint_restore": unix.CAP_CHECKPOINT_RESTORE,
		"0":                      0,
		"12":                     unix.CAP_NET_ADMIN,
		"63":                     63,
		"":                       -1,
		"cap_":                   -1,
		"cap_cap_chown":          -1,
		" chown":                 -1,
		"unknown":                -1,
		"all":                    -1,
		"64":                     -1,
		"-1":                     -1,
		"+1":                     -1,
		"chown,kill":             -1,
		"net_admin\x00":          -1,
	} {
		got, err := Parse(name)
		switch {
		case want < 0:
			if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), strconv.Quote(name)) {
				t.Errorf("%q: %d, %v", name, got, err)
			}
		case err != nil || got != uint(want):
			t.Errorf("%q: %d, %v; want %d", name, got, err, want)
		}
	}
}

func TestMask(t *testing.T) {
	for list, want := range map[string]uint64{
		"none":                      0,
		"all":                       All(),
		"ALL":                       All(),
		"cap_chown":                 1,
		"chown,KILL,cap_net_admin":  1 | 1<<unix.CAP_KILL | 1<<unix.CAP_NET_ADMIN,
		"chown, kill":               1 | 1<<unix.CAP_KILL,
		"chown,chown":               1,
		"none,chown":                1,
		"chown,all":                 All(),
		"63":                        1 << 63,
		"bpf,cap_setuid,audit_read": 1<<unix.CAP_BPF | 1<<unix.CAP_SETUID | 1<<unix.CAP_AUDIT_READ,
	} {
		if got, err := Mask(list); err != nil || got != want {
			t.Errorf("%q: %#x, %v; want %#x", list, got, err, want)
		}
	}
	for _, list := range []string{"", " ", ",", "chown,", ",chown", "chown,,kill", "chown;kill", "chown kill", "all,nothing"} {
		if got, err := Mask(list); !errors.Is(err, ErrUnknown) || got != 0 {
			t.Errorf("%q: %#x, %v", list, got, err)
		}
	}
}

func TestNames(t *testing.T) {
	if got := Names(0); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	got := Names(1<<63 | 1<<unix.CAP_NET_ADMIN | 1)
	if want := []string{"cap_chown", "cap_net_admin", "63"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNamesAndMasksAreInverse(t *testing.T) {
	for _, mask := range []uint64{1, 1 << 31, 1 << 32, 1 << 63, 0xf0f0f0f0f0f0f0f0, ^uint64(0)} {
		if got, err := Mask(strings.Join(Names(mask), ",")); err != nil || got != mask {
			t.Errorf("%#x became %#x, %v", mask, got, err)
		}
	}
}

// The last capability by name is the last that x/sys knows, so that a new one
// cannot go without a name unseen.
func TestEveryCapabilityHasItsName(t *testing.T) {
	for n := range unix.CAP_LAST_CAP + 1 {
		if got := Names(1 << n)[0]; !strings.HasPrefix(got, "cap_") {
			t.Errorf("capability %d is called %s", n, got)
		}
	}
}

func TestLastCapIsProcfss(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(b)); fmt.Sprint(LastCap()) != want {
		t.Errorf("%d, procfs says %s", LastCap(), want)
	}
	if All() != 1<<(LastCap()+1)-1 {
		t.Errorf("all: %#x", All())
	}
}

func ExampleMask() {
	mask, err := Mask("net_admin,CAP_SYS_PTRACE")
	fmt.Printf("%#x %v %v\n", mask, Names(mask), err)
	// Output: 0x81000 [cap_net_admin cap_sys_ptrace] <nil>
}
