package test

import (
	endian "encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// capability is the mask of some of capabilities(7).
func capability(bits ...uint) (mask uint64) {
	for _, n := range bits {
		mask |= 1 << n
	}
	return mask
}

// maskOf is a field of a status, in base 16.
func maskOf(t testing.TB, text, key string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(field(t, text, key), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func dropBounding(mask uint64) proto.Command {
	return proto.Command{Kind: proto.CapDropBounding, Masks: [3]uint64{mask}}
}

func setThread(e, p, i uint64) proto.Command {
	return proto.Command{Kind: proto.CapSetThread, Masks: [3]uint64{e, p, i}}
}

func setAmbient(mask uint64) proto.Command {
	return proto.Command{Kind: proto.CapSetAmbient, Masks: [3]uint64{mask}}
}

// What the commands set is what the workload has. The masks of a root workload are
// those of execve(2) for root: all that the bounding set leaves.
func TestCapabilitiesAsRoot(t *testing.T) {
	t.Parallel()
	skipUnless(t, privileged(), "capabilities")
	self := content(t, "/proc/self/status")
	bounding, permitted := maskOf(t, self, "CapBnd"), maskOf(t, self, "CapPrm")
	some := capability(unix.CAP_NET_RAW, unix.CAP_SYS_ADMIN)
	one := capability(unix.CAP_NET_BIND_SERVICE)
	for name, c := range map[string]struct {
		commands                      []proto.Command
		bounding, inheritable, around uint64
	}{
		"nothing":              {nil, bounding, 0, 0},
		"bounding":             {[]proto.Command{dropBounding(some)}, bounding &^ some, 0, 0},
		"bounding, twice":      {[]proto.Command{dropBounding(some), dropBounding(some | one)}, bounding &^ (some | one), 0, 0},
		"bounding, none":       {[]proto.Command{dropBounding(0)}, bounding, 0, 0},
		"bounding, all":        {[]proto.Command{dropBounding(^uint64(0))}, 0, 0, 0},
		"inheritable":          {[]proto.Command{setThread(permitted, permitted, some)}, bounding, some, 0},
		"ambient":              {[]proto.Command{setThread(permitted, permitted, some|one), setAmbient(one)}, bounding, some | one, one},
		"ambient, then less":   {[]proto.Command{setThread(permitted, permitted, some|one), setAmbient(some | one), setAmbient(some)}, bounding, some | one, some},
		"ambient, then none":   {[]proto.Command{setThread(permitted, permitted, one), setAmbient(one), setAmbient(0)}, bounding, one, 0},
		"none left to be used": {[]proto.Command{setThread(0, permitted, 0)}, bounding, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(ownStatus())
			s.send(append(c.commands, proceed)...)
			s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
			has := s.out.String()
			for key, want := range map[string]uint64{
				"CapBnd": c.bounding, "CapInh": c.inheritable, "CapAmb": c.around,
				"CapPrm": c.bounding | c.inheritable, "CapEff": c.bounding | c.inheritable,
			} {
				if got := maskOf(t, has, key); got != want {
					t.Errorf("%s %#x, want %#x", key, got, want)
				}
			}
		})
	}
}

// privileged is nil for a process that may do anything.
func privileged() error {
	if os.Geteuid() != 0 {
		return unix.EPERM
	}
	return nil
}

// In a user namespace without maps a workload is nobody, and keeps what is ambient
// only; with maps it is root there.
func TestCapabilitiesInAUserNamespace(t *testing.T) {
	t.Parallel()
	last, err := strconv.Atoi(strings.TrimSpace(content(t, "/proc/sys/kernel/cap_last_cap")))
	if err != nil {
		t.Fatal(err)
	}
	every := ^uint64(0) >> (63 - last)
	some := capability(unix.CAP_SETUID, unix.CAP_NET_ADMIN)
	for name, c := range map[string]struct {
		mapped                                   bool
		commands                                 []proto.Command
		bounding, permitted, inheritable, around uint64
	}{
		"nobody":               {false, nil, every, 0, 0, 0},
		"nobody, ambient":      {false, []proto.Command{setThread(every, every, some), setAmbient(some)}, every, some, some, some},
		"nobody, less bound":   {false, []proto.Command{dropBounding(some)}, every &^ some, 0, 0, 0},
		"root":                 {true, nil, every, every, 0, 0},
		"root, less bound":     {true, []proto.Command{dropBounding(some)}, every &^ some, every &^ some, 0, 0},
		"root, inheritable":    {true, []proto.Command{setThread(every, every, some), dropBounding(every)}, 0, some, some, 0},
		"root, mask of 64 bit": {true, []proto.Command{setThread(^uint64(0), ^uint64(0), 0)}, every, every, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(within(ownStatus(), proto.User))
			host, _, err := s.AwaitReady(s.ctx)
			skipUnless(t, err, "clone")
			if c.mapped {
				mapRoot(t, host)
			}
			s.send(append(c.commands, proceed)...)
			s.running()
			s.ends("{:status, :exited, 0}", 0)
			has := s.out.String()
			for key, want := range map[string]uint64{
				"CapBnd": c.bounding, "CapPrm": c.permitted, "CapEff": c.permitted,
				"CapInh": c.inheritable, "CapAmb": c.around,
			} {
				if got := maskOf(t, has, key); got != want {
					t.Errorf("%s %#x, want %#x", key, got, want)
				}
			}
		})
	}
}

// A capability command that fails ends the session at once, without :proceed.
func TestCapabilityCommandsThatFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		commands []proto.Command
		frame    string
	}{
		"more effective than permitted": {[]proto.Command{setThread(1, 0, 0)}, "{:error, 1, :cap_set_thread}"},
		"back after it was given up":    {[]proto.Command{setThread(0, 0, 0), setThread(0, 1, 0)}, "{:error, 1, :cap_set_thread}"},
		"ambient, not inheritable":      {[]proto.Command{setAmbient(1)}, "{:error, 1, :cap_set_ambient}"},
		"ambient, not there":            {[]proto.Command{setAmbient(1 << 63)}, "{:error, 22, :cap_set_ambient}"},
		"bounding, without CAP_SETPCAP": {[]proto.Command{setThread(0, 0, 0), dropBounding(1)}, "{:error, 1, :cap_drop_bounding}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(within(sh("true"), proto.User))
			host, _, err := s.AwaitReady(s.ctx)
			skipUnless(t, err, "clone")
			s.send(c.commands...)
			s.tells(1, c.frame)
			if alive(host) {
				t.Error("the child is still there")
			}
		})
	}
}

// classic is a filter as the protocol has it: struct sock_filter × n.
func classic(program ...unix.SockFilter) proto.Command {
	var b []byte
	for _, f := range program {
		b = endian.NativeEndian.AppendUint16(b, f.Code)
		b = append(b, f.Jt, f.Jf)
		b = endian.NativeEndian.AppendUint32(b, f.K)
	}
	return proto.Command{Kind: proto.SeccompInstall, Data: b}
}

// The instructions that filters here are made of.
var (
	loadNumber = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}
	allow      = verdict(unix.SECCOMP_RET_ALLOW)
)

func verdict(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// on is a filter of n instructions, at least 4, that gives one system call the
// verdict, and allows every other.
func on(call uint32, action uint32, n int) proto.Command {
	program := slices.Repeat([]unix.SockFilter{loadNumber}, n-3)
	return classic(append(program,
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		verdict(action), allow)...)
}

func refuseWith(e syscall.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

// chroot is a request for a workload that says how chroot(2) fails. What it is
// refused with here is nothing that chroot(2) itself knows.
func chroot() proto.Request {
	r := sh("chroot / /bin/true 2>&1 || true")
	r.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return r
}

const (
	saysEDOM   = "Numerical argument out of domain"
	saysERANGE = "Numerical result out of range"
)

// Of filters that refuse alike the kernel asks the last one that was installed
// (seccomp(2)): their order shows.
func TestFiltersInOrder(t *testing.T) {
	t.Parallel()
	domain, result := on(unix.SYS_CHROOT, refuseWith(unix.EDOM), 4), on(unix.SYS_CHROOT, refuseWith(unix.ERANGE), 4)
	for name, c := range map[string]struct {
		filters []proto.Command
		says    string
	}{
		"one":                    {[]proto.Command{domain}, saysEDOM},
		"two":                    {[]proto.Command{domain, result}, saysERANGE},
		"two, the other way":     {[]proto.Command{result, domain}, saysEDOM},
		"one that allows behind": {[]proto.Command{result, classic(allow)}, saysERANGE},
		"one that allows before": {[]proto.Command{classic(allow), result}, saysERANGE},
		"many":                   {append(slices.Repeat([]proto.Command{result}, 50), domain), saysEDOM},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(chroot())
			s.send(append(c.filters, proceed)...)
			s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
			if got := s.out.String(); !strings.Contains(got, c.says) {
				t.Errorf("%q, want %q", got, c.says)
			}
		})
	}
}

func TestFilterShowsInTheStatus(t *testing.T) {
	t.Parallel()
	before, err := strconv.Atoi(ofProcess(t, os.Getpid(), "Seccomp_filters"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, nil)
	s.request(ownStatus())
	s.send(classic(allow), classic(allow), classic(allow), proceed)
	s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
	for key, want := range map[string]string{"Seccomp": "2", "Seccomp_filters": strconv.Itoa(before + 3), "NoNewPrivs": "1"} {
		if got := field(t, s.out.String(), key); got != want {
			t.Errorf("%s %s, want %s", key, got, want)
		}
	}
}

// Filters may be as large as the kernel takes them: all that it takes runs, and
// what it refuses is told when it arrives.
func TestFilterSizes(t *testing.T) {
	t.Parallel()
	large := func(n int) proto.Command { return on(unix.SYS_CHROOT, refuseWith(unix.EDOM), n) }
	zeros := func(n int) proto.Command {
		return proto.Command{Kind: proto.SeccompInstall, Data: make([]byte, n)}
	}
	for name, c := range map[string]struct {
		filters []proto.Command
		errno   syscall.Errno // 0: it runs
	}{
		"1,000 instructions":     {[]proto.Command{large(1000)}, 0},
		"4,096 instructions":     {[]proto.Command{large(4096)}, 0},
		"seven of 4,096":         {slices.Repeat([]proto.Command{large(4096)}, 7), 0},
		"4,097 instructions":     {[]proto.Command{large(4097)}, unix.EINVAL},
		"65,535 instructions":    {[]proto.Command{large(65_535)}, unix.EINVAL},
		"65,536 instructions":    {[]proto.Command{large(65_536)}, unix.E2BIG},
		"130,000 instructions":   {[]proto.Command{large(130_000)}, unix.E2BIG},
		"eight of 4,096":         {slices.Repeat([]proto.Command{large(4096)}, 8), unix.ENOMEM},
		"empty":                  {[]proto.Command{zeros(0)}, unix.EINVAL},
		"1 byte":                 {[]proto.Command{zeros(1)}, unix.EINVAL},
		"7 bytes":                {[]proto.Command{zeros(7)}, unix.EINVAL},
		"9 bytes":                {[]proto.Command{zeros(9)}, unix.EINVAL},
		"an odd number of bytes": {[]proto.Command{zeros(8*4096 + 4)}, unix.EINVAL},
		"the second one":         {[]proto.Command{large(4), zeros(7)}, unix.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(chroot())
			host, _ := s.ready()
			s.send(c.filters...)
			if c.errno != 0 {
				s.tells(1, fmt.Sprintf("{:error, %d, :seccomp_install}", c.errno))
				if alive(host) {
					t.Error("the child is still there")
				}
				return
			}
			s.send(proceed)
			s.tells(0, runningFrame, "{:status, :exited, 0}")
			if got := s.out.String(); !strings.Contains(got, saysEDOM) {
				t.Errorf("%q, want %q", got, saysEDOM)
			}
		})
	}
}

// What the kernel would refuse is refused when it arrives, as EINVAL.
func TestFiltersThatTheKernelRefuses(t *testing.T) {
	t.Parallel()
	for name, program := range map[string][]unix.SockFilter{
		"no return":               {loadNumber},
		"a jump behind the end":   {{Code: unix.BPF_JMP | unix.BPF_JA, K: 5}, allow},
		"a branch behind the end": {{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 200}, allow},
		"an unknown instruction":  {{Code: 0xffff}, allow},
		"a load not aligned":      {{Code: loadNumber.Code, K: 2}, allow},
		"a load from outside":     {{Code: loadNumber.Code, K: 64}, allow},
		"a load of one byte":      {{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS}, allow},
		"a division by zero":      {{Code: unix.BPF_ALU | unix.BPF_DIV | unix.BPF_K}, allow},
		"a word not stored":       {{Code: unix.BPF_LD | unix.BPF_MEM, K: 3}, allow},
		"a word that is none":     {{Code: unix.BPF_ST, K: 16}, allow},
		"a shift too far":         {{Code: unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K, K: 32}, allow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(sh("true"))
			s.send(classic(program...))
			s.tells(1, spawnedFrame, readyFrame, "{:error, 22, :seccomp_install}")
		})
	}
}

// A user without privileges can install filters: no_new_privs comes first.
func TestFilterInAUserNamespace(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.request(within(ownStatus(), proto.User))
	_, _, err := s.AwaitReady(s.ctx)
	skipUnless(t, err, "clone")
	s.send(setThread(0, 0, 0), classic(allow), proceed)
	s.running()
	s.ends("{:status, :exited, 0}", 0)
	if got := field(t, s.out.String(), "Seccomp"); got != "2" {
		t.Errorf("Seccomp %s", got)
	}
}

func TestAbort(t *testing.T) {
	t.Parallel()
	mark := file(t, "")
	s := start(t, nil)
	s.request(within(sh(`echo ran > "$1"`, mark.Name()), proto.PID))
	host, inner, err := s.AwaitReady(s.ctx)
	skipUnless(t, err, "clone")
	s.send(classic(allow), proto.Command{Kind: proto.Abort})
	s.ends(fmt.Sprintf("{:status, :aborted, %d}", inner), 0)
	if alive(host) || content(t, mark.Name()) != "" {
		t.Error("the child was not ended, or it executed")
	}
}

// frameOf is a whole frame around the payload.
func frameOf(payload []byte) []byte {
	return append(endian.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

// stream is the request and the commands as the client writes them.
func stream(t testing.TB, r proto.Request, commands ...proto.Command) []byte {
	t.Helper()
	payload, err := proto.EncodeRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	b := frameOf(payload)
	for _, c := range commands {
		payload, err := proto.EncodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, frameOf(payload)...)
	}
	return b
}

// Commands that were written behind the request, before the client read anything,
// are handled at the state that they belong to.
func TestCommandsQueuedBehindTheRequest(t *testing.T) {
	t.Parallel()
	skipUnless(t, privileged(), "capabilities")
	one := capability(unix.CAP_NET_RAW)
	s := &tty{session: start(t, nil)}
	r := withPTY(sh(`stty -echo; stty size; grep -E '^(CapBnd|Seccomp):' /proc/self/status; read x; echo "got $x"; exec sleep 1000`))
	if err := s.SendRaw(stream(t, r,
		proto.Command{Kind: proto.PTYWinsize, Winsize: proto.Winsize{Rows: 12, Cols: 34}},
		dropBounding(one), classic(allow), proceed,
		proto.Command{Kind: proto.PTYIn, Data: []byte("typed\n")},
	)); err != nil {
		t.Fatal(err)
	}
	s.sees("12 34\r\n")
	s.sees(fmt.Sprintf("CapBnd:\t%016x\r\n", maskOf(t, content(t, "/proc/self/status"), "CapBnd")&^one))
	s.sees("Seccomp:\t2\r\n")
	s.sees("got typed\r\n")
	s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
	s.finishes("{:status, :signaled, 9}")
}

// A command of the checkpoint that comes when the workload runs is ignored, and so
// is what belongs to a PTY without one.
func TestCommandsThatAreIgnored(t *testing.T) {
	t.Parallel()
	size := proto.Command{Kind: proto.PTYWinsize, Winsize: proto.Winsize{Rows: 1, Cols: 1}}
	s := start(t, nil)
	s.request(forever)
	late := []proto.Command{
		proceed, dropBounding(^uint64(0)), setThread(0, 0, 0), setAmbient(1),
		on(unix.SYS_READ, refuseWith(unix.EDOM), 4), size,
		{Kind: proto.Abort},
		{Kind: proto.SeccompInstall},
		{Kind: proto.PTYIn, Data: []byte("nowhere")},
	}
	s.send(append([]proto.Command{size, proceed}, late...)...)
	s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGSTOP)})
	host, _ := s.ready()
	s.running()
	eventually(t, "the workload has stopped", func() bool { return strings.HasPrefix(ofProcess(t, host, "State"), "T") })
	if got, want := ofProcess(t, host, "CapBnd"), ofProcess(t, os.Getpid(), "CapBnd"); got != want {
		t.Errorf("CapBnd %s, want %s", got, want)
	}
	s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
	s.tells(0, "{:status, :signaled, 9}")
}

// The terms that malformed commands are made of.
func atomOf(name string) string { return string([]byte{'w', byte(len(name))}) + name }

func binaryOf(b string) string {
	return "m" + string(endian.BigEndian.AppendUint32(nil, uint32(len(b)))) + b
}

func tupleOf(elements ...string) string {
	return string([]byte{'h', byte(len(elements))}) + strings.Join(elements, "")
}

func smallOf(n byte) string { return string([]byte{'a', n}) }

func integerOf(n int32) string {
	return "b" + string(endian.BigEndian.AppendUint32(nil, uint32(n)))
}

const (
	twoTo64  = "n\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	minusOne = "n\x01\x01\x01"
)

// malformed are payloads that are no command, by what is wrong with them.
var malformed = map[string]string{
	"nothing":                     "",
	"no term":                     "hello",
	"another version":             "\x82" + atomOf("proceed"),
	"a version and nothing":       "\x83",
	"a term cut short":            "\x83w\x07proce",
	"a tuple cut short":           "\x83h\x02" + atomOf("signal"),
	"compressed":                  "\x83P\x00\x00\x00\x09x\x9cc\x00\x00",
	"unknown atom":                "\x83" + atomOf("go"),
	"atom in other letters":       "\x83" + atomOf("Proceed"),
	"a string":                    "\x83" + binaryOf("proceed"),
	"an integer":                  "\x83" + smallOf(1),
	"a list":                      "\x83j",
	"a map":                       "\x83t\x00\x00\x00\x00",
	"an empty tuple":              "\x83h\x00",
	"a tuple of an atom":          "\x83" + tupleOf(atomOf("proceed")),
	"unknown tuple":               "\x83" + tupleOf(atomOf("write"), smallOf(1)),
	"no tag":                      "\x83" + tupleOf(smallOf(1), smallOf(1)),
	"proceed with an argument":    "\x83" + tupleOf(atomOf("proceed"), smallOf(1)),
	"signal without one":          "\x83" + atomOf("signal"),
	"signal 0":                    "\x83" + tupleOf(atomOf("signal"), smallOf(0)),
	"signal 65":                   "\x83" + tupleOf(atomOf("signal"), smallOf(65)),
	"signal -1":                   "\x83" + tupleOf(atomOf("signal"), integerOf(-1)),
	"signal -9":                   "\x83" + tupleOf(atomOf("signal"), integerOf(-9)),
	"signal 265":                  "\x83" + tupleOf(atomOf("signal"), integerOf(265)),
	"signal 2⁶⁴":                  "\x83" + tupleOf(atomOf("signal"), twoTo64),
	"signal of an atom":           "\x83" + tupleOf(atomOf("signal"), atomOf("term")),
	"signal of a string":          "\x83" + tupleOf(atomOf("signal"), binaryOf("9")),
	"signal of a float":           "\x83" + tupleOf(atomOf("signal"), "F\x40\x22\x00\x00\x00\x00\x00\x00"),
	"signal and more":             "\x83" + tupleOf(atomOf("signal"), smallOf(9), smallOf(9)),
	"a mask of -1":                "\x83" + tupleOf(atomOf("cap_drop_bounding"), minusOne),
	"a mask of 2⁶⁴":               "\x83" + tupleOf(atomOf("cap_drop_bounding"), twoTo64),
	"an ambient atom":             "\x83" + tupleOf(atomOf("cap_set_ambient"), atomOf("all")),
	"two masks":                   "\x83" + tupleOf(atomOf("cap_set_thread"), smallOf(0), smallOf(0)),
	"four masks":                  "\x83" + tupleOf(atomOf("cap_set_thread"), smallOf(0), smallOf(0), smallOf(0), smallOf(0)),
	"a third mask of -1":          "\x83" + tupleOf(atomOf("cap_set_thread"), smallOf(0), smallOf(0), minusOne),
	"a filter of an atom":         "\x83" + tupleOf(atomOf("seccomp_install"), atomOf("allow")),
	"a filter of an integer":      "\x83" + tupleOf(atomOf("seccomp_install"), smallOf(1)),
	"a filter and options":        "\x83" + tupleOf(atomOf("seccomp_install"), binaryOf(""), "jj"),
	"a size of three":             "\x83" + tupleOf(atomOf("pty_winsize"), tupleOf(smallOf(1), smallOf(1), smallOf(1))),
	"a size of five":              "\x83" + tupleOf(atomOf("pty_winsize"), tupleOf(smallOf(1), smallOf(1), smallOf(1), smallOf(1), smallOf(1))),
	"a size that is no tuple":     "\x83" + tupleOf(atomOf("pty_winsize"), smallOf(1), smallOf(1)),
	"65536 rows":                  "\x83" + tupleOf(atomOf("pty_winsize"), tupleOf(integerOf(65_536), smallOf(1), smallOf(1), smallOf(1))),
	"-1 columns":                  "\x83" + tupleOf(atomOf("pty_winsize"), tupleOf(smallOf(1), integerOf(-1), smallOf(1), smallOf(1))),
	"input of an atom":            "\x83" + tupleOf(atomOf("pty_in"), atomOf("x")),
	"input of an integer":         "\x83" + tupleOf(atomOf("pty_in"), smallOf(1)),
	"a list of 2³²-1":             "\x83l\xff\xff\xff\xff",
	"a binary of 2³²-1":           "\x83m\xff\xff\xff\xff",
	"a large integer of 2³²-1":    "\x83o\xff\xff\xff\xff",
	"a tuple of 2³²-1":            "\x83i\xff\xff\xff\xff",
	"a map of 2³²-1":              "\x83t\xff\xff\xff\xff",
	"a string of 65535":           "\x83k\xff\xff",
	"tuples in tuples":            "\x83" + strings.Repeat("h\x01", 300_000) + "j",
	"lists in lists":              "\x83" + strings.Repeat("l\x00\x00\x00\x01", 100_000) + strings.Repeat("j", 100_001),
	"a request":                   "\x83" + tupleOf(atomOf("spawn"), "t\x00\x00\x00\x00"),
	"undefined":                   "\x83" + atomOf("undefined"),
	"an input that is not one, 2": "\x83" + tupleOf(atomOf("pty_in"), "l\x00\x00\x00\x01"+integerOf(256)+"j"),
}

// At the checkpoint a malformed command ends the session; the child is reaped before
// that is told.
func TestMalformedAtTheCheckpoint(t *testing.T) {
	t.Parallel()
	payloads := map[string][]byte{}
	for name, payload := range malformed {
		payloads[name] = []byte(payload)
	}
	// These are commands, but of a running session.
	for name, c := range map[string]proto.Command{
		"signal": {Kind: proto.Signal, Signal: 1}, "input": {Kind: proto.PTYIn, Data: []byte("x")},
	} {
		payload, err := proto.EncodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		payloads[name] = payload
	}
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.request(sh("echo ran"))
			host, _ := s.ready()
			if err := s.SendFrame(payload); err != nil {
				t.Fatal(err)
			}
			e, err := s.Next(s.ctx)
			if err != nil || e.String() != "{:error, 22, :malformed_command}" {
				t.Fatalf("%v, %v", e, err)
			}
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", host)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the child had not been reaped: %v", err)
			}
			s.tells(1)
			if got := s.out.String(); got != "" {
				t.Errorf("output %q", got)
			}
		})
	}
}

// While the workload runs a malformed command is ignored.
func TestMalformedWhileRunning(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	host := s.launch(forever)
	for name, payload := range malformed {
		if err := s.SendFrame([]byte(payload)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGSTOP)})
	eventually(t, "the workload has stopped", func() bool { return strings.HasPrefix(ofProcess(t, host, "State"), "T") })
	if kib := residentKiB(t, s.AgentPID()); kib > mostKiB {
		t.Errorf("the agent has %d KiB resident", kib)
	}
	s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
	s.tells(0, "{:status, :signaled, 9}")
}

// Every signal of signal(7) reaches the workload as itself.
func TestSignals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // where some signals might leave a core
	for n := 1; n <= 64; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *client.Options) {
				o.Dir = dir
				// SIGTSTP and its like stop nothing in a process group that is orphaned,
				// as that of the test may be.
				o.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			})
			host := s.launch(sh("ulimit -c 0; exec sleep 1000"))
			eventually(t, "it sleeps", func() bool { return comm(host) == "sleep" })
			signal := func(n syscall.Signal) { s.send(proto.Command{Kind: proto.Signal, Signal: int(n)}) }
			state := func(letter string) {
				t.Helper()
				eventually(t, "its state is "+letter, func() bool {
					return strings.Contains(letter, ofProcess(t, host, "State")[:1])
				})
			}
			signal(syscall.Signal(n))
			switch syscall.Signal(n) {
			case unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT:
				signal(unix.SIGKILL)
				s.ends("{:status, :signaled, 9}", 0)
			case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
				state("T")
				signal(unix.SIGCONT)
				state("SRD")
				signal(unix.SIGKILL)
				s.ends("{:status, :signaled, 9}", 0)
			default:
				s.ends(fmt.Sprintf("{:status, :signaled, %d}", n), 0)
			}
		})
	}
}

// comm is the name of a process, empty where it is gone.
func comm(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSuffix(string(b), "\n")
}
