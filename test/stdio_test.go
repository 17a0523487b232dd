package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// plumbed is the request with other directives.
func plumbed(r proto.Request, fds [3]proto.Directive) proto.Request {
	r.Stdio = proto.Stdio{FDs: fds}
	return r
}

var (
	inherit = proto.Directive{Kind: proto.Inherit}
	devnull = proto.Directive{Kind: proto.Devnull}
)

func connectTo(path string) proto.Directive {
	return proto.Directive{Kind: proto.ConnectUnix, Path: path}
}

// file is one to read and to write at its end, in a directory of the test.
func file(t testing.TB, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// content is what is in the file.
func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInheritedDescriptors(t *testing.T) {
	t.Parallel()
	in, out, err := file(t, "in\n"), file(t, ""), file(t, "")
	s := start(t, func(o *client.Options) { o.Stdin, o.Stdout, o.Stderr = in, out, err })
	s.launch(plumbed(sh("read x; echo $x out; echo $x err >&2"), [3]proto.Directive{inherit, inherit, inherit}))
	s.ends("{:status, :exited, 0}", 0)
	if o, e := content(t, out.Name()), content(t, err.Name()); o != "in out\n" || e != "in err\n" {
		t.Errorf("stdout %q, stderr %q", o, e)
	}
}

// The agent shares what it was started with, and leaves it as it is.
func TestInheritedDescriptorsStayBlocking(t *testing.T) {
	t.Parallel()
	in, release := pipe(t)
	flags := file(t, "")
	s := start(t, func(o *client.Options) { o.Stdin, o.Stdout, o.Stderr = in, release, release })
	s.launch(sh(`(cat /proc/$$/fdinfo/[012] > "$1")`, flags.Name()))
	s.ends("{:status, :exited, 0}", 0)
	for _, f := range openFlags(t, content(t, flags.Name())) {
		if f&unix.O_NONBLOCK != 0 {
			t.Errorf("flags %#o", f)
		}
	}
}

// What the agent opens may get the number of a standard descriptor that it was
// started without, and still has to come to its place.
func TestAgentWithoutStandardDescriptors(t *testing.T) {
	t.Parallel()
	l := listener(t)
	closed := func(o *client.Options) { o.Path = by(t, "exec 0<&- 1>&- 2>&-") }
	t.Run("connect_unix", func(t *testing.T) {
		s := start(t, closed)
		d := connectTo(path(l))
		s.launch(plumbed(sh("echo zero >&0; echo one; echo two >&2"), [3]proto.Directive{d, d, d}))
		for _, want := range []string{"zero\n", "one\n", "two\n"} {
			if got := all(t, accept(t, l)); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		s.ends("{:status, :exited, 0}", 0)
	})
	t.Run("pty", func(t *testing.T) {
		s := &tty{session: start(t, closed)}
		s.launch(withPTY(sh("echo one; echo two >&2")))
		s.finishes("{:status, :exited, 0}")
		if got := s.written.String(); got != "one\r\ntwo\r\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("inherit", func(t *testing.T) {
		s := start(t, closed)
		s.launch(sh("exit 3"))
		s.ends("{:status, :exited, 3}", 0)
	})
}

// Each descriptor is where its directive says, whatever the others are.
func TestDevnullByDescriptor(t *testing.T) {
	t.Parallel()
	for mask := range 8 {
		t.Run(fmt.Sprintf("%03b", mask), func(t *testing.T) {
			t.Parallel()
			files := [3]*os.File{file(t, "in\n"), file(t, ""), file(t, "")}
			found := file(t, "")
			s := start(t, func(o *client.Options) { o.Stdin, o.Stdout, o.Stderr = files[0], files[1], files[2] })
			var fds [3]proto.Directive
			want := ""
			for n := range fds {
				if mask&(1<<n) != 0 {
					fds[n] = devnull
					want += "/dev/null\n"
				} else {
					want += files[n].Name() + "\n"
				}
			}
			// Without the parentheses the shell itself would be redirected.
			script := `(for n in 0 1 2; do readlink /proc/$$/fd/$n; done > "$1"); cat; echo out; echo err >&2`
			s.launch(plumbed(sh(script, found.Name()), fds))
			s.ends("{:status, :exited, 0}", 0)
			if got := content(t, found.Name()); got != want {
				t.Errorf("descriptors\n%swant\n%s", got, want)
			}
			wantOut, wantErr := "in\nout\n", "err\n"
			if mask&1 != 0 {
				wantOut = "out\n"
			}
			if mask&2 != 0 {
				wantOut = ""
			}
			if mask&4 != 0 {
				wantErr = ""
			}
			if o, e := content(t, files[1].Name()), content(t, files[2].Name()); o != wantOut || e != wantErr {
				t.Errorf("stdout %q, stderr %q", o, e)
			}
		})
	}
}

// listener is an AF_UNIX socket at a path that is short enough for sun_path.
func listener(t testing.TB) *net.UnixListener {
	t.Helper()
	dir, err := os.MkdirTemp("", "linx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return l
}

func path(l *net.UnixListener) string { return l.Addr().String() }

func accept(t testing.TB, l *net.UnixListener) *net.UnixConn {
	t.Helper()
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// all reads up to the end of file.
func all(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

func TestConnectUnixByDescriptor(t *testing.T) {
	t.Parallel()
	for n, script := range []string{"read x; echo $x > \"$1\"", "echo through", "echo through >&2"} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			l := listener(t)
			s := start(t, nil)
			var fds [3]proto.Directive
			fds[n] = connectTo(path(l))
			written := file(t, "")
			s.launch(plumbed(sh(script, written.Name()), fds))
			c := accept(t, l)
			if n == 0 {
				if _, err := io.WriteString(c, "through\n"); err != nil {
					t.Fatal(err)
				}
			} else if got := all(t, c); got != "through\n" {
				t.Errorf("descriptor %d wrote %q", n, got)
			}
			s.ends("{:status, :exited, 0}", 0)
			if got := content(t, written.Name()); n == 0 && got != "through\n" {
				t.Errorf("read %q", got)
			}
		})
	}
}

// Each of the three has a connection of its own, also to one path; it is an
// ordinary socket, which blocks, and can be read and written.
func TestConnectUnixToOnePath(t *testing.T) {
	t.Parallel()
	l := listener(t)
	d := connectTo(path(l))
	s := start(t, nil)
	script := `(cat /proc/$$/fdinfo/[012] > "$1"); echo zero >&0; echo one; echo two >&2`
	flags := file(t, "")
	s.launch(plumbed(sh(script, flags.Name()), [3]proto.Directive{d, d, d}))
	var got [3]string
	for i := range got {
		got[i] = all(t, accept(t, l))
	}
	if want := [3]string{"zero\n", "one\n", "two\n"}; got != want {
		t.Errorf("the connections, in order, wrote %q, want %q", got, want)
	}
	s.ends("{:status, :exited, 0}", 0)
	for _, f := range openFlags(t, content(t, flags.Name())) {
		if f&unix.O_NONBLOCK != 0 || f&unix.O_ACCMODE != unix.O_RDWR {
			t.Errorf("flags %#o", f)
		}
	}
}

// openFlags are the flags of the descriptors whose fdinfo (proc_pid_fdinfo(5)) is
// given.
func openFlags(t testing.TB, fdinfo string) []int64 {
	t.Helper()
	var flags []int64
	for line := range strings.Lines(fdinfo) {
		if text, ok := strings.CutPrefix(line, "flags:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			flags = append(flags, n)
		}
	}
	if len(flags) != 3 {
		t.Fatalf("flags of %d descriptors in %q", len(flags), fdinfo)
	}
	return flags
}

// The agent connects, in its own namespaces and its own directory, before it
// clones: what fails then comes before :spawned.
func TestConnectUnixFails(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "linx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := listener(t)
	for name, c := range map[string]struct {
		path  string
		errno syscall.Errno
	}{
		"missing":                      {dir + "/missing", syscall.ENOENT},
		"no directory":                 {dir + "/file/socket", syscall.ENOTDIR},
		"no socket":                    {dir + "/file", syscall.ECONNREFUSED},
		"107 bytes fit":                {"/" + strings.Repeat("x", 106), syscall.ENOENT},
		"108 bytes do not":             {"/" + strings.Repeat("x", 107), syscall.ENAMETOOLONG},
		"much too long":                {"/" + strings.Repeat("x", 100_000), syscall.ENAMETOOLONG},
		"no abstract name":             {"@linx-process-test", syscall.ENOENT},
		"an at sign is no special one": {"@", syscall.ENOENT},
	} {
		for n := range 3 {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				t.Parallel()
				s := start(t, func(o *client.Options) { o.Dir = dir })
				var fds [3]proto.Directive
				fds[0] = connectTo(path(l)) // what has been connected before is closed
				fds[n] = connectTo(c.path)
				s.request(plumbed(sh("true"), fds))
				s.send(proceed)
				s.tells(4, fmt.Sprintf("{:error, %d, :connect_unix}", c.errno))
			})
		}
	}
}

func TestConnectUnixIsTheAgents(t *testing.T) {
	t.Parallel()
	l := listener(t)
	s := start(t, func(o *client.Options) { o.Dir = filepath.Dir(path(l)) })
	r := plumbed(sh("pwd; cat /proc/self/comm"), [3]proto.Directive{inherit, connectTo("socket"), inherit})
	cwd := "/"
	r.Cwd = &cwd
	r.Namespaces = []proto.Namespace{proto.User, proto.Mount, proto.Net, proto.PID}
	s.request(r)
	_, _, err := s.AwaitReady(s.ctx)
	skipUnless(t, err, "clone")
	c := accept(t, l) // before the workload runs
	s.send(proceed)
	s.running()
	if got := all(t, c); got != "/\ncat\n" {
		t.Errorf("wrote %q", got)
	}
	s.ends("{:status, :exited, 0}", 0)
}

// A socket ends when the workload closes it, not when the agent exits.
func TestConnectUnixEndsWithTheWorkload(t *testing.T) {
	t.Parallel()
	l := listener(t)
	in, release := pipe(t)
	s := start(t, func(o *client.Options) { o.Stdin = in })
	s.launch(plumbed(sh("echo through; exec >&-; read x"), [3]proto.Directive{inherit, connectTo(path(l)), inherit}))
	if got := all(t, accept(t, l)); got != "through\n" {
		t.Errorf("wrote %q", got)
	}
	release.Close()
	s.ends("{:status, :exited, 1}", 0)
}

// A megabyte in both directions at once arrives whole: what is connected is a plain
// socket, in which the agent has no part.
func TestConnectUnixCarriesMuch(t *testing.T) {
	t.Parallel()
	l := listener(t)
	s := start(t, nil)
	d := connectTo(path(l))
	s.launch(plumbed(bare("/bin/cat"), [3]proto.Directive{d, d, inherit}))
	in, out := accept(t, l), accept(t, l)
	data := pattern(1<<20, 1)
	sent := make(chan error, 1)
	go func() {
		_, err := in.Write(data)
		if err == nil {
			err = in.CloseWrite()
		}
		sent <- err
	}()
	if got := all(t, out); got != string(data) {
		t.Errorf("%d of %d bytes came back, or others", len(got), len(data))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	s.ends("{:status, :exited, 0}", 0)
}
