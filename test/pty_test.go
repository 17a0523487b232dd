package test

import (
	"bytes"
	endian "encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// pattern is n bytes that look like noise and are the same for the same seed.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, 0, n+8)
	for r := rand.NewPCG(seed, 1); len(b) < n; {
		b = endian.NativeEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n]
}

// withPTY is the request on a fresh PTY.
func withPTY(r proto.Request) proto.Request {
	r.Stdio = proto.Stdio{PTY: true}
	return r
}

// tty is a session whose workload has a PTY, with what it has written there.
type tty struct {
	*session
	written bytes.Buffer
	dropped int // bytes of input, as announced
}

// open launches the script on a PTY.
func open(t testing.TB, script string, args ...string) (s *tty, host int) {
	t.Helper()
	s = &tty{session: start(t, nil)}
	return s, s.launch(withPTY(sh(script, args...)))
}

// next takes one frame; done where it is the terminal one.
func (s *tty) next() (e proto.Event, done bool) {
	s.t.Helper()
	e, err := s.Next(s.ctx)
	if err != nil {
		s.t.Fatalf("%v; output %.500q", err, s.written.String())
	}
	switch e.Kind {
	case proto.PTYOut:
		s.written.Write(e.Data)
	case proto.PTYInDropped:
		s.dropped += e.N
	}
	return e, e.Kind.Terminal()
}

// sees reads until the output has the text, and forgets the output up to there.
func (s *tty) sees(text string) {
	s.t.Helper()
	for {
		if i := strings.Index(s.written.String(), text); i >= 0 {
			s.written.Next(i + len(text))
			return
		}
		if e, done := s.next(); done {
			s.t.Fatalf("%v before %q; output %.500q", e, text, s.written.String())
		}
	}
}

// finishes reads up to the terminal frame, which is the wanted one; the agent
// exits with 0.
func (s *tty) finishes(frame string) {
	s.t.Helper()
	for {
		e, done := s.next()
		if !done {
			continue
		}
		if e.String() != frame {
			s.t.Fatalf("ended with %v, want %s; output %.500q", e, frame, s.written.String())
		}
		s.exits(0)
		return
	}
}

func (s *tty) types(text string) {
	s.t.Helper()
	if _, err := s.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// fifo is one that a workload waits at, once: who opens it again might find it still
// open at the other end, and at its end of file.
func fifo(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tell writes a line into a fifo that somebody reads, or is about to.
func tell(t testing.TB, path, line string) {
	t.Helper()
	var f *os.File
	eventually(t, "somebody waits at the fifo", func() (ok bool) {
		var err error
		f, err = os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		return err == nil
	})
	defer f.Close()
	if _, err := f.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
}

// A workload on a PTY leads a session, has the slave as its controlling terminal on
// all three, and finds an ordinary one, which blocks.
func TestPTYIsTheControllingTerminal(t *testing.T) {
	t.Parallel()
	s := &tty{session: start(t, nil)}
	host := s.launch(withPTY(bare("/bin/cat", "/proc/self/stat")))
	s.finishes("{:status, :exited, 0}")
	text := s.written.String()
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	pid := strconv.Itoa(host)
	// From the third field of proc_pid_stat(5): state ppid pgrp session tty_nr tpgid.
	if len(f) < 6 || f[2] != pid || f[3] != pid || f[4] == "0" || f[5] != pid {
		t.Errorf("pgrp, session, tty_nr, tpgid of %s: %s", pid, text)
	}

	s, _ = open(t, `for n in 0 1 2; do readlink /proc/$$/fd/$n; done; cat /proc/$$/fdinfo/[012]; echo through > /dev/tty`)
	s.finishes("{:status, :exited, 0}")
	text = strings.ReplaceAll(s.written.String(), "\r\n", "\n")
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[0], "/dev/pts/") || lines[1] != lines[0] || lines[2] != lines[0] {
		t.Errorf("descriptors %q", lines[:3])
	}
	for _, f := range openFlags(t, text) {
		if f&unix.O_NONBLOCK != 0 || f&unix.O_ACCMODE != unix.O_RDWR {
			t.Errorf("flags %#o", f)
		}
	}
	if !strings.HasSuffix(text, "through\n") {
		t.Errorf("nothing came by /dev/tty: %q", text)
	}
}

func TestPTYLineDiscipline(t *testing.T) {
	t.Parallel()
	t.Run("a line and the end of file", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t, `stty -echo; echo ready; read x; echo "got $x"; cat; echo end`)
		s.sees("ready\r\n")
		s.types("hello\n")
		s.sees("got hello\r\n")
		s.types("\x04")
		s.sees("end\r\n")
		s.finishes("{:status, :exited, 0}")
	})
	t.Run("echo", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t, `echo ready; read x; echo "got $x"`)
		s.sees("ready\r\n")
		s.types("hello\n")
		s.sees("hello\r\ngot hello\r\n")
		s.finishes("{:status, :exited, 0}")
	})
	t.Run("interrupt", func(t *testing.T) {
		t.Parallel()
		s := &tty{session: start(t, nil)}
		s.launch(withPTY(bare("/bin/cat")))
		s.types("\x03")
		s.finishes("{:status, :signaled, 2}")
	})
}

// What is typed before the workload runs, as soon as the commands of a running
// session may be sent, is not lost.
func TestPTYInputBehindProceed(t *testing.T) {
	t.Parallel()
	s := &tty{session: start(t, nil)}
	s.request(withPTY(sh(`read x; echo "got $x"`)))
	s.send(proceed, proto.Command{Kind: proto.PTYIn, Data: []byte("early\n")})
	s.ready()
	s.running()
	s.sees("got early\r\n")
	s.finishes("{:status, :exited, 0}")
}

func TestPTYWinsize(t *testing.T) {
	t.Parallel()
	size := func(w proto.Winsize) proto.Command { return proto.Command{Kind: proto.PTYWinsize, Winsize: w} }
	s := &tty{session: start(t, nil)}
	// A trap runs when the command in the foreground has ended: read(1) is none, and
	// ends at a signal for which there is a trap.
	s.request(withPTY(sh(`trap "stty size; exit 9" WINCH; stty size; echo ready; while :; do read x; done`)))
	host, _ := s.ready()
	s.send(size(proto.Winsize{Rows: 1, Cols: 2}), size(proto.Winsize{Rows: 33, Cols: 77, XPix: 5, YPix: 6}), proceed)
	s.running()
	s.sees("33 77\r\nready\r\n")
	if got, want := winsize(t, host), (unix.Winsize{Row: 33, Col: 77, Xpixel: 5, Ypixel: 6}); got != want {
		t.Errorf("size %+v, want %+v", got, want)
	}
	// A signal that comes right before read(2) would be noticed behind it.
	eventually(t, "the shell reads", func() bool {
		return strings.HasPrefix(content(t, fmt.Sprintf("/proc/%d/syscall", host)), fmt.Sprintf("%d 0x0 ", unix.SYS_READ))
	})
	s.send(size(proto.Winsize{Rows: 65535, Cols: 0}))
	s.sees("65535 0\r\n")
	s.finishes("{:status, :exited, 9}")
}

// winsize is the size of the terminal that a process has as its descriptor 0.
func winsize(t testing.TB, pid int) unix.Winsize {
	t.Helper()
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/0", pid), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		t.Fatal(err)
	}
	return *w
}

// settled returns when the agent has handled every command sent so far: they are
// handled in order, and the last one shows.
func (s *tty) settled(host int) {
	s.t.Helper()
	w := winsize(s.t, host)
	w.Row++
	s.send(proto.Command{Kind: proto.PTYWinsize, Winsize: proto.Winsize{Rows: w.Row, Cols: w.Col}})
	eventually(s.t, "the commands have been handled", func() bool { return winsize(s.t, host).Row == w.Row })
}

// Input that the workload is slow to read is not lost silently. What the agent
// accepts now arrives, byte by byte, and what it does not is announced.
func TestPasteToASlowReader(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	for name, c := range map[string]struct {
		chunk, chunks int
		most          int // that may be dropped, in bytes
	}{
		"200 KB at once":          {200_000, 1, 0},
		"200 KB in pieces":        {1000, 200, 0},
		"1 MiB, just below":       {32 << 10, 31, 0},
		"3 MiB in chunks":         {32 << 10, 96, 2 << 20},
		"3 MiB in uneven pieces":  {77_777, 40, 40*77_777 - bound + 77_777},
		"one of more than a half": {600_000, 2, 600_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate, count, got := fifo(t), fifo(t), file(t, "")
			s, host := open(t,
				`stty raw -echo; echo ready; read x < "$1"; echo started; read n < "$2"; head -c $n > "$3"`,
				gate, count, got.Name())
			s.sees("ready")
			chunks := make([][]byte, c.chunks)
			for i := range chunks {
				chunks[i] = pattern(c.chunk, uint64(i))
				s.send(proto.Command{Kind: proto.PTYIn, Data: chunks[i]})
			}
			s.settled(host)
			tell(t, gate, "go")
			s.sees("started")
			if s.dropped%c.chunk != 0 || s.dropped > c.most {
				t.Errorf("%d bytes were dropped, at most %d in whole chunks may be", s.dropped, c.most)
			}
			total := c.chunk * c.chunks
			if c.most > 0 && s.dropped == 0 {
				t.Errorf("all of %d bytes were accepted", total)
			}
			tell(t, count, strconv.Itoa(total-s.dropped))
			s.finishes("{:status, :exited, 0}")
			if missing := leftOut(t, content(t, got.Name()), chunks); missing*c.chunk != s.dropped {
				t.Errorf("%d chunks are missing, %d bytes were announced", missing, s.dropped)
			}
		})
	}
}

// leftOut tells how many of the chunks are not in the text, which has to be made of
// the others, whole and in order.
func leftOut(t testing.TB, text string, chunks [][]byte) (missing int) {
	t.Helper()
	for _, chunk := range chunks {
		rest, ok := strings.CutPrefix(text, string(chunk))
		if !ok {
			missing++
		}
		text = rest
	}
	if text != "" {
		t.Errorf("%d bytes that are no chunk, or none in its place", len(text))
	}
	return missing
}

// Lines, of which the line discipline holds 4096 bytes, wait in the same way.
func TestPasteOfLines(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	gate, got := fifo(t), file(t, "")
	s, host := open(t, `stty -echo; echo ready; read x < "$1"; exec cat > "$2"`, gate, got.Name())
	s.sees("ready")
	s.types(lines.String())
	s.types("\x04")
	s.settled(host)
	tell(t, gate, "go")
	s.finishes("{:status, :exited, 0}")
	if text := content(t, got.Name()); s.dropped != 0 || text != lines.String() {
		t.Errorf("%d bytes dropped, %d of %d bytes arrived, or others", s.dropped, len(text), lines.Len())
	}
}

// Input that nobody reads does not hold back the end.
func TestPasteToAWorkloadThatDoesNotRead(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"raw -echo", "-echo", "echo"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			gate := fifo(t)
			s, host := open(t, `stty $2; echo ready; read x < "$1"; exit 6`, gate, mode)
			s.sees("ready")
			s.types(strings.Repeat("line\n", 200_000))
			s.settled(host)
			tell(t, gate, "go")
			s.finishes("{:status, :exited, 6}")
		})
	}
}

// A reader that keeps up loses nothing, however much there is.
func TestPasteToAReaderThatKeepsUp(t *testing.T) {
	t.Parallel()
	const chunk, chunks = 64 << 10, 64
	got := file(t, "")
	s, _ := open(t, `stty raw -echo; echo ready; head -c $2 > "$1"`, got.Name(), strconv.Itoa(chunk*chunks))
	s.sees("ready")
	var all []byte
	for i := range chunks {
		data := pattern(chunk, uint64(i))
		all = append(all, data...)
		s.send(proto.Command{Kind: proto.PTYIn, Data: data})
		// The reader has all but what is on its way.
		eventually(t, "the reader keeps up", func() bool {
			st, err := got.Stat()
			return err == nil && st.Size() > int64(len(all)-(256<<10))
		})
	}
	s.finishes("{:status, :exited, 0}")
	if s.dropped != 0 || content(t, got.Name()) != string(all) {
		t.Errorf("%d bytes dropped, %d bytes of %d arrived, or others", s.dropped, len(content(t, got.Name())), len(all))
	}
}

// Input is taken while output waits for a client that only writes, up to the bound.
func TestPTYBothWays(t *testing.T) {
	t.Parallel()
	s, _ := open(t, `stty raw -echo; echo ready; exec head -c $1`, strconv.Itoa(1<<20))
	s.sees("ready\n")
	data := pattern(1<<20, 3)
	s.types(string(data))
	s.finishes("{:status, :exited, 0}")
	if s.dropped != 0 || !bytes.Equal(s.written.Bytes(), data) {
		t.Errorf("%d bytes dropped, %d came back", s.dropped, s.written.Len())
	}
}

// All that the workload wrote comes before the terminal frame, byte by byte, also to
// a client that reads only once the workload has ended or cannot go on.
func TestPTYOutputIsWhole(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 4095, 4096, 4097, 65_536, 200_000, 5 << 20} {
		for _, stalls := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, stalls %v", size, stalls), func(t *testing.T) {
				t.Parallel()
				data := pattern(size, uint64(size))
				from := file(t, string(data))
				s, host := open(t, `stty -opost; exec cat "$1"`, from.Name())
				if stalls {
					eventually(t, "the workload has ended, or cannot go on", func() bool {
						return !alive(host) || position(host, from.Name()) >= 128<<10
					})
				}
				s.finishes("{:status, :exited, 0}")
				if !bytes.Equal(s.written.Bytes(), data) {
					t.Errorf("%d bytes of %d came, or others", s.written.Len(), size)
				}
			})
		}
	}
}

// position is how far a process has got in a file that it reads; −1 where it has
// not opened it, or is gone.
func position(pid int, path string) int {
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, fd := range fds {
		if link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())); link != path {
			continue
		}
		info, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd.Name()))
		for line := range strings.Lines(string(info)) {
			if text, ok := strings.CutPrefix(line, "pos:"); ok {
				n, err := strconv.Atoi(strings.TrimSpace(text))
				if err == nil {
					return n
				}
			}
		}
	}
	return -1
}

// residentKiB is the resident size of a process, at its highest.
func residentKiB(t testing.TB, pid int) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(ofProcess(t, pid, "VmHWM"), " kB"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mostKiB is what an agent may ever have resident, whatever it is sent: its buffers
// are 1 MiB of input, a quarter of output and a frame of at most 4 MiB, beside the
// few MiB of the program.
const mostKiB = 16 << 10

// A client that does not read for a while holds up the workload, not the agent:
// commands go on to work, and memory stays bounded.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, socketpair := range map[string]bool{"pipes": false, "socketpair": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const size = 64 << 20
			from := file(t, "")
			if err := from.Truncate(size); err != nil {
				t.Fatal(err)
			}
			s := &tty{session: start(t, func(o *client.Options) { o.Socketpair = socketpair })}
			host := s.launch(withPTY(sh(`stty raw -echo; exec cat "$1"`, from.Name())))
			eventually(t, "the buffers are full", func() bool { return position(host, from.Name()) >= 256<<10 })

			// A flood of input, nobody reads it, and the announcements cost nothing.
			for i := range 100 {
				s.send(proto.Command{Kind: proto.PTYIn, Data: pattern(32<<10, uint64(i))})
			}
			s.settled(host)
			s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGSTOP)})
			eventually(t, "the workload has stopped", func() bool {
				return strings.HasPrefix(ofProcess(t, host, "State"), "T")
			})
			got := position(host, from.Name())
			if got > 4<<20 {
				t.Errorf("the workload wrote %d bytes that nobody has read", got)
			}
			if kib := residentKiB(t, s.AgentPID()); kib > mostKiB {
				t.Errorf("the agent has %d KiB resident", kib)
			}
			s.send(proto.Command{Kind: proto.Signal, Signal: int(unix.SIGTERM)},
				proto.Command{Kind: proto.Signal, Signal: int(unix.SIGCONT)})
			eventually(t, "the workload has ended", func() bool { return !alive(host) })

			s.finishes("{:status, :signaled, 15}")
			if n := s.written.Len(); n == 0 || n > got || strings.Trim(s.written.String(), "\x00") != "" {
				t.Errorf("%d bytes of output, or others; the workload had read %d", n, got)
			}
			if s.dropped < 100*(32<<10)-(1<<20)-(256<<10) {
				t.Errorf("%d bytes of input were dropped", s.dropped)
			}
		})
	}
}

// A client that reads again finds the output go on where it stopped.
func TestClientThatReadsAgain(t *testing.T) {
	t.Parallel()
	data := pattern(8<<20, 5)
	from := file(t, string(data))
	s, host := open(t, `stty -opost; exec cat "$1"`, from.Name())
	for step := 1; step <= 3; step++ {
		eventually(t, "the workload goes on", func() bool {
			return position(host, from.Name()) >= s.written.Len()+(128<<10)
		})
		for s.written.Len() < step<<20 {
			s.next()
		}
	}
	s.finishes("{:status, :exited, 0}")
	if !bytes.Equal(s.written.Bytes(), data) {
		t.Errorf("%d bytes of %d came, or others", s.written.Len(), len(data))
	}
}

// That nobody has the slave open is not the end: the workload can open it again.
func TestPTYOfAWorkloadThatClosesIt(t *testing.T) {
	t.Parallel()
	gate := fifo(t)
	s, _ := open(t, `echo before; exec 0<&- 1>&- 2>&-; read x < "$1"; echo again > /dev/tty; exit 4`, gate)
	s.sees("before\r\n")
	tell(t, gate, "go")
	s.sees("again\r\n")
	s.finishes("{:status, :exited, 4}")
}
