package test

import (
	"bytes"
	endian "encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// transports are the two kinds of control channel.
var transports = map[string]func(*client.Options){
	"pipes":      nil,
	"socketpair": func(o *client.Options) { o.Socketpair = true },
}

func (s *session) raw(b []byte) {
	s.t.Helper()
	if err := s.SendRaw(b); err != nil {
		s.t.Fatal(err)
	}
}

// Where a write ends means nothing.
func TestFramesInPieces(t *testing.T) {
	t.Parallel()
	r := withPTY(sh(`stty -echo; read x; echo "got $x"; exit 5`))
	whole := stream(t, r,
		proto.Command{Kind: proto.PTYWinsize, Winsize: proto.Winsize{Rows: 3, Cols: 4}}, classic(allow), proceed,
		proto.Command{Kind: proto.PTYIn, Data: []byte("typed\n")})
	for name, transport := range transports {
		for _, size := range []int{1, 2, 3, 5, 7, len(whole) / 2, len(whole) - 1, len(whole)} {
			t.Run(fmt.Sprintf("%s/%d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				s := &tty{session: start(t, transport)}
				for b := whole; len(b) > 0; b = b[min(size, len(b)):] {
					s.raw(b[:min(size, len(b))])
				}
				s.sees("got typed\r\n")
				s.finishes("{:status, :exited, 5}")
			})
		}
	}
}

// A frame that the hang-up cuts short is no frame; the hang-up is what it is at that
// state.
func TestFramesCutShort(t *testing.T) {
	t.Parallel()
	request := stream(t, sh("echo ran"))
	command := stream(t, sh("echo ran"), proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})[len(request):]
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{0, 1, 3, 4, 5, len(request) - 1} {
				t.Run(fmt.Sprintf("%d bytes of a request", n), func(t *testing.T) {
					t.Parallel()
					s := start(t, transport)
					s.raw(request[:n])
					s.Hangup()
					s.tells(1)
					if got := s.out.String(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "linx-process: ") {
						t.Errorf("on stderr %q, want a line", got)
					}
				})
			}
			for _, n := range []int{0, 1, 4, len(command) - 1} {
				t.Run(fmt.Sprintf("%d bytes of a command at the checkpoint", n), func(t *testing.T) {
					t.Parallel()
					s := start(t, transport)
					s.request(sh("echo ran"))
					host, _ := s.ready()
					s.raw(command[:n])
					s.Hangup()
					s.tells(1, "{:status, :signaled, 9}")
					if alive(host) || s.out.String() != "" {
						t.Errorf("the child was not ended, or it executed; output %q", s.out)
					}
				})
				t.Run(fmt.Sprintf("%d bytes of a command while running", n), func(t *testing.T) {
					t.Parallel()
					s := start(t, transport)
					s.launch(forever)
					s.raw(command[:n])
					s.Hangup()
					s.tells(1, "{:status, :signaled, 15}")
				})
			}
		})
	}
}

// A length is answered when it has been announced: no byte of the frame need come.
func TestFramesOverTheLimit(t *testing.T) {
	t.Parallel()
	for _, over := range []uint32{1, 1 << 20, 1<<32 - 1} {
		announce := func(limit uint32) []byte { return endian.BigEndian.AppendUint32(nil, max(over, limit+over)) }
		t.Run(fmt.Sprint(over), func(t *testing.T) {
			t.Parallel()
			t.Run("request", func(t *testing.T) {
				t.Parallel()
				s := start(t, nil)
				s.raw(announce(proto.MaxRequest))
				s.tells(2, "{:error, 90, :request_too_big}")
			})
			t.Run("checkpoint", func(t *testing.T) {
				t.Parallel()
				s := start(t, nil)
				s.request(sh("echo ran"))
				host, _ := s.ready()
				s.raw(announce(proto.MaxCommand))
				s.tells(1, "{:error, 90, :command_too_big}")
				if alive(host) || s.out.String() != "" {
					t.Errorf("the child was not ended, or it executed; output %q", s.out)
				}
			})
			t.Run("running", func(t *testing.T) {
				t.Parallel()
				s := start(t, nil)
				host := s.launch(forever)
				s.raw(announce(proto.MaxCommand))
				s.tells(0, "{:error, 90, :command_too_big}", "{:status, :signaled, 9}")
				if alive(host) {
					t.Error("the workload is still there")
				}
			})
		})
	}
}

// The limits themselves are within them.
func TestFramesAtTheLimit(t *testing.T) {
	t.Parallel()
	t.Run("request", func(t *testing.T) {
		t.Parallel()
		// What is behind a term is ignored, and so makes a frame of any length.
		request := stream(t, sh("echo ran"))[4:]
		request = append(request, make([]byte, proto.MaxRequest-len(request))...)
		s := start(t, nil)
		s.raw(frameOf(request))
		s.send(proceed)
		s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
	})
	t.Run("checkpoint", func(t *testing.T) {
		t.Parallel()
		payload, err := proto.EncodeCommand(proceed)
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, nil)
		s.request(sh("echo ran"))
		s.raw(frameOf(append(payload, make([]byte, proto.MaxCommand-len(payload))...)))
		s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
	})
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		s := start(t, nil)
		s.launch(forever)
		s.raw(frameOf(make([]byte, proto.MaxCommand)))
		s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGUSR1)})
		s.tells(0, "{:status, :signaled, 10}")
	})
}

// A payload that is no request is one answer, whatever is wrong with it, and costs
// no more memory than it has bytes. An agent with a limited address space would not
// survive the attempt to hold what some of these announce.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	payloads := map[string]string{
		"spawn of nothing":          "\x83" + tupleOf(atomOf("spawn")),
		"spawn of a list":           "\x83" + tupleOf(atomOf("spawn"), "j"),
		"spawn of 2³²-1 entries":    "\x83" + tupleOf(atomOf("spawn"), "t\xff\xff\xff\xff"),
		"another tag":               "\x83" + tupleOf(atomOf("exec"), "t\x00\x00\x00\x00"),
		"no argv":                   "\x83" + tupleOf(atomOf("spawn"), "t\x00\x00\x00\x00"),
		"an empty argv":             "\x83" + tupleOf(atomOf("spawn"), mapOf(atomOf("argv"), "j")),
		"argv of 2³²-1":             "\x83" + tupleOf(atomOf("spawn"), mapOf(atomOf("argv"), "l\xff\xff\xff\xff")),
		"an improper argv":          "\x83" + tupleOf(atomOf("spawn"), mapOf(atomOf("argv"), "l\x00\x00\x00\x01"+binaryOf("/bin/true")+binaryOf(""))),
		"argv twice":                "\x83" + tupleOf(atomOf("spawn"), mapOf(atomOf("argv"), listOf(binaryOf("a")), atomOf("argv"), listOf(binaryOf("b")))),
		"a command":                 "\x83" + atomOf("proceed"),
		"enter without target":      "\x83" + tupleOf(atomOf("enter"), mapOf(atomOf("argv"), listOf(binaryOf("/bin/true")))),
		"enter of pid 0":            "\x83" + tupleOf(atomOf("enter"), mapOf(atomOf("argv"), listOf(binaryOf("/bin/true")), atomOf("target"), smallOf(0))),
		"enter of pid -1":           "\x83" + tupleOf(atomOf("enter"), mapOf(atomOf("argv"), listOf(binaryOf("/bin/true")), atomOf("target"), integerOf(-1))),
		"enter of pid 2⁶⁴":          "\x83" + tupleOf(atomOf("enter"), mapOf(atomOf("argv"), listOf(binaryOf("/bin/true")), atomOf("target"), twoTo64)),
		"an unknown value too deep": "\x83" + tupleOf(atomOf("spawn"), mapOf(atomOf("argv"), listOf(binaryOf("/bin/true")), atomOf("x"), strings.Repeat("h\x01", 500_000)+"j")),
	}
	for key, values := range map[string][]string{
		"argv":          {smallOf(1), atomOf("ls"), binaryOf("/bin/true"), listOf(smallOf(1)), listOf(atomOf("ls"))},
		"env":           {smallOf(1), atomOf("nil"), listOf(binaryOf("NAME")), listOf(binaryOf("=VALUE")), mapOf(atomOf("A"), binaryOf("1"))},
		"namespaces":    {atomOf("all"), listOf(atomOf("network")), listOf(binaryOf("net")), smallOf(1)},
		"stdio":         {atomOf("pipe"), smallOf(0), listOf(atomOf("stdin")), listOf(tupleOf(atomOf("stdin"), atomOf("pty"))), listOf(tupleOf(atomOf("stdlog"), atomOf("devnull"))), listOf(tupleOf(atomOf("stdin"), tupleOf(atomOf("connect_unix"), smallOf(1))))},
		"cwd":           {atomOf("nil"), smallOf(1), listOf(integerOf(256))},
		"no_new_privs":  {smallOf(1), binaryOf("true"), atomOf("yes")},
		"orphan_policy": {atomOf("kill"), tupleOf(atomOf("kill")), tupleOf(atomOf("kill"), integerOf(-1)), tupleOf(atomOf("kill"), "n\x04\x00\x00\x00\x00\x80"), tupleOf(atomOf("linger"), smallOf(1)), tupleOf(atomOf("kill"), atomOf("infinity"))},
	} {
		for _, value := range values {
			entries := []string{atomOf("argv"), listOf(binaryOf("/bin/true")), atomOf(key), value}
			if key == "argv" {
				entries = entries[2:]
			}
			payloads[fmt.Sprintf("%s %q", key, value)] = "\x83" + tupleOf(atomOf("spawn"), mapOf(entries...))
		}
	}
	for name, payload := range malformed {
		if _, ok := payloads[name]; !ok {
			payloads[name] = payload
		}
	}
	delete(payloads, "a request") // to a running session it is malformed; here it has no argv
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *client.Options) { o.Path = by(t, "ulimit -v 3000000") })
			if err := s.SendFrame([]byte(payload)); err != nil {
				t.Fatal(err)
			}
			s.tells(2, "{:error, 22, :malformed_request}")
		})
	}
}

func listOf(elements ...string) string {
	return "l" + string(endian.BigEndian.AppendUint32(nil, uint32(len(elements)))) + strings.Join(elements, "") + "j"
}

// mapOf is a map of keys and values in turn.
func mapOf(entries ...string) string {
	return "t" + string(endian.BigEndian.AppendUint32(nil, uint32(len(entries)/2))) + strings.Join(entries, "")
}

// Six bytes that announce gigabytes are refused for what they are; the agent stays
// as small as it was, in every state.
func TestBombs(t *testing.T) {
	t.Parallel()
	for _, bomb := range []string{
		"\x83l\xff\xff\xff\xff", "\x83m\xff\xff\xff\xff", "\x83i\xff\xff\xff\xff", "\x83t\xff\xff\xff\xff",
		"\x83o\xff\xff\xff\xff", "\x83M\xff\xff\xff\xff", "\x83k\xff\xff\x00\x00", "\x83P\xff\xff\xff\xff",
		"\x83h\xffh\xffh", "\x83n\xff\x00\x00\x00",
	} {
		t.Run(fmt.Sprintf("%q", bomb), func(t *testing.T) {
			t.Parallel()
			limited := func(o *client.Options) { o.Path = by(t, "ulimit -v 3000000") }
			s := start(t, limited)
			s.raw(frameOf([]byte(bomb)))
			s.tells(2, "{:error, 22, :malformed_request}")

			s = start(t, limited)
			s.request(sh("echo ran"))
			s.raw(frameOf([]byte(bomb)))
			s.tells(1, spawnedFrame, readyFrame, "{:error, 22, :malformed_command}")

			s = start(t, nil)
			host := s.launch(forever)
			for range 100 {
				s.raw(frameOf([]byte(bomb)))
			}
			s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGSTOP)})
			eventually(t, "the workload has stopped", func() bool { return strings.HasPrefix(ofProcess(t, host, "State"), "T") })
			if kib := residentKiB(t, s.AgentPID()); kib > 8<<10 {
				t.Errorf("the agent has %d KiB resident", kib)
			}
			s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
			s.tells(0, "{:status, :signaled, 9}")
		})
	}
}

// A key that the agent does not know is skipped, whatever its value is, and
// whatever it is itself; so is what is behind the term.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	node := atomOf("a@b")
	values := map[string]string{
		"atom":            atomOf("x"),
		"latin-1 atom":    "d\x00\x01\xe9",
		"long atom":       "v\x00\x01x",
		"integer":         integerOf(-5),
		"big integer":     twoTo64,
		"padded integer":  "n\x05\x00\x01\x00\x00\x00\x00",
		"large integer":   "o\x00\x00\x01\x00\x00" + strings.Repeat("\xff", 256),
		"float":           "F\x40\x22\x00\x00\x00\x00\x00\x00",
		"binary":          binaryOf("\x00\xff"),
		"bit string":      "M\x00\x00\x00\x01\x03\xe0",
		"string":          "k\x00\x02ab",
		"empty list":      "j",
		"improper list":   "l\x00\x00\x00\x01" + smallOf(1) + smallOf(2),
		"deep list":       strings.Repeat("l\x00\x00\x00\x01", 20) + "j" + strings.Repeat("j", 20),
		"empty tuple":     "h\x00",
		"large tuple":     "i\x00\x00\x00\x01" + smallOf(1),
		"empty map":       "t\x00\x00\x00\x00",
		"map of tuples":   mapOf(tupleOf(smallOf(1)), listOf(mapOf("j", "h\x00"))),
		"map, undefined":  mapOf(atomOf("undefined"), atomOf("undefined")),
		"pid":             "X" + node + strings.Repeat("\x00", 12),
		"old pid":         "g" + node + strings.Repeat("\x00", 9),
		"port":            "Y" + node + strings.Repeat("\x00", 8),
		"reference":       "Z\x00\x01" + node + strings.Repeat("\x00", 8),
		"external fun":    "q" + atomOf("m") + atomOf("f") + smallOf(1),
		"a known value":   listOf(binaryOf("/bin/false")),
		"a nested argv":   mapOf(atomOf("argv"), "j"),
		"a million bytes": binaryOf(strings.Repeat("x", 1_000_000)),
	}
	keys := map[string]string{
		"atom": atomOf("unknown"), "string": binaryOf("argv"), "integer": smallOf(1), "tuple": tupleOf(atomOf("argv")),
		"list": "j", "undefined": atomOf("undefined"), "nil": atomOf("nil"), "true": atomOf("true"),
		"target": atomOf("target"), "map": mapOf(), "float": "F\x40\x22\x00\x00\x00\x00\x00\x00",
	}
	argv := listOf(binaryOf("/bin/echo"), binaryOf("ran"))
	run := func(t *testing.T, entries ...string) {
		t.Parallel()
		s := start(t, nil)
		payload := "\x83" + tupleOf(atomOf("spawn"), mapOf(entries...)) + "trailing \x83\xff"
		if err := s.SendFrame([]byte(payload)); err != nil {
			t.Fatal(err)
		}
		if err := s.SendFrame([]byte("\x83" + atomOf("proceed") + "\x00trailing")); err != nil {
			t.Fatal(err)
		}
		s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
		if got := s.out.String(); got != "ran\n" {
			t.Errorf("output %q", got)
		}
	}
	for name, value := range values {
		t.Run("value/"+name, func(t *testing.T) {
			run(t, atomOf("unknown"), value, atomOf("argv"), argv, atomOf("other"), value)
		})
	}
	for name, key := range keys {
		t.Run("key/"+name, func(t *testing.T) { run(t, key, smallOf(1), atomOf("argv"), argv) })
	}
}

// A request of nearly 4 MiB is taken; that execve(2) does not take it is told.
func TestRequestThatExecveRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	r := sh("true")
	for range 39 {
		r.Argv = append(r.Argv, strings.Repeat("x", 100_000))
	}
	for range 100 {
		r.Env = append(r.Env, "NAME="+strings.Repeat("x", 2000))
	}
	if n := len(stream(t, r)); n < 4_000_000 {
		t.Fatalf("a request of %d bytes", n)
	}
	s.request(r)
	s.send(proceed)
	s.tells(0, spawnedFrame, readyFrame, "{:error, 7, :execve}")
}

// As many strings as a request of that size can have.
func TestRequestOfManyStrings(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	r := bare("/bin/sh", "-c", "echo $#", "sh")
	r.Env = []string{}
	for range 100_000 {
		r.Argv = append(r.Argv, "")
	}
	s.request(r)
	s.send(proceed)
	s.tells(0, spawnedFrame, readyFrame, runningFrame, "{:status, :exited, 0}")
	if got := s.out.String(); got != "100000\n" {
		t.Errorf("output %q", got)
	}
}

// A stream of frames that are ignored neither holds up the session nor grows the
// agent.
func TestFloodOfFrames(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	host := s.launch(forever)
	flood := bytes.Repeat(frameOf([]byte("\x83"+atomOf("proceed"))), 10_000)
	for range 20 {
		s.raw(flood)
	}
	s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGSTOP)})
	eventually(t, "the workload has stopped", func() bool { return strings.HasPrefix(ofProcess(t, host, "State"), "T") })
	if kib := residentKiB(t, s.AgentPID()); kib > mostKiB {
		t.Errorf("the agent has %d KiB resident", kib)
	}
	s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGKILL)})
	s.tells(0, "{:status, :signaled, 9}")
}
