package stdio

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// listen makes a listener at a short path, and leaves it to the test to accept.
func listen(t *testing.T, backlog int) (path string) {
	t.Helper()
	path, _ = listener(t, directory(t)+"/l", backlog)
	return path
}

// directory is one with a short name.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func listener(t *testing.T, path string, backlog int) (string, int) {
	t.Helper()
	fd := bound(t, path, unix.SOCK_STREAM)
	if err := unix.Listen(fd, backlog); err != nil {
		t.Fatal(err)
	}
	return path, fd
}

func bound(t *testing.T, path string, kind int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// accept waits for a connection; it is a file, for its reads.
func accept(t *testing.T, listener int) *os.File {
	t.Helper()
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			f := os.NewFile(uintptr(fd), "connection")
			t.Cleanup(func() { f.Close() })
			return f
		case unix.EINTR:
		default:
			t.Fatal(err)
		}
	}
}

func TestConnectionsAreOrdinarySockets(t *testing.T) {
	path, l := listener(t, directory(t)+"/l", 2)
	s := opened(t, proto.Stdio{FDs: [3]proto.Directive{connectTo(path), connectTo(path), inherit}})
	fds := s.FDs()
	if len(fds) != 2 {
		t.Fatalf("descriptors %v", fds)
	}
	for i, fd := range fds {
		if flags(t, fd)&unix.O_NONBLOCK != 0 {
			t.Errorf("%d does not block", fd)
		}
		for _, option := range []int{unix.SO_SNDTIMEO, unix.SO_RCVTIMEO} {
			tv, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, option)
			if err != nil || tv.Nano() != 0 {
				t.Errorf("%d has a timeout of %d ns, %v", fd, tv.Nano(), err)
			}
		}
		text := "connection " + string(rune('0'+i))
		if _, err := unix.Write(fd, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := accept(t, l).Read(got); err != nil || string(got) != text {
			t.Errorf("read %q, %v", got, err)
		}
	}
}

func TestAgentLetsGoOfConnections(t *testing.T) {
	path, l := listener(t, directory(t)+"/l", 2)
	s := opened(t, proto.Stdio{FDs: [3]proto.Directive{inherit, connectTo(path), inherit}})
	peer := accept(t, l)
	s.CloseChildSide()
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestPathsOfSockets(t *testing.T) {
	t.Chdir(directory(t))
	long := strings.Repeat("l", 107)
	for _, name := range []string{long, "./@at"} {
		listener(t, name, 2)
	}
	bound(t, "datagram", unix.SOCK_DGRAM)
	bound(t, "deaf", unix.SOCK_STREAM)
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
	for path, want := range map[string]string{
		long:                       "success",
		"@at":                      "success",
		long + "l":                 "connect_unix ENAMETOOLONG",
		strings.Repeat("l", 1<<20): "connect_unix ENAMETOOLONG",
		"":                         "connect_unix ENOENT",
		"missing":                  "connect_unix ENOENT",
		"@missing":                 "connect_unix ENOENT",
		"file/below":               "connect_unix ENOTDIR",
		"file":                     "connect_unix ECONNREFUSED",
		"deaf":                     "connect_unix ECONNREFUSED",
		"datagram":                 "connect_unix EPROTOTYPE",
		"\x00abstract":             "connect_unix EINVAL",
		"@at\x00":                  "connect_unix EINVAL",
	} {
		s, err := Open(proto.Stdio{FDs: [3]proto.Directive{connectTo(path), inherit, inherit}})
		if got := outcome(err); got != want {
			t.Errorf("%.20q: %s, want %s", path, got, want)
		}
		if err == nil {
			s.CloseChildSide()
		}
	}
}

// fill connects to a listener until its backlog is full.
func fill(t *testing.T, path string) {
	t.Helper()
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err {
		case nil:
		case unix.EAGAIN:
			return
		default:
			t.Fatal(err)
		}
	}
}

func TestFullBacklog(t *testing.T) {
	path, l := listener(t, filepath.Join(directory(t), "l"), 0)
	fill(t, path)
	t.Run("for too long", func(t *testing.T) {
		nothingLeft(t)
		const wait = 20 * time.Millisecond
		start := time.Now()
		_, err := dial(path, wait)
		if got := outcome(err); got != "connect_unix ETIMEDOUT" {
			t.Errorf("got %s", got)
		}
		if waited := time.Since(start); waited < wait {
			t.Errorf("it gave up after %v of %v", waited, wait)
		}
	})
	t.Run("no time at all", func(t *testing.T) {
		nothingLeft(t)
		_, err := dial(path, 0)
		if got := outcome(err); got != "connect_unix ETIMEDOUT" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("for a while", func(t *testing.T) {
		connected := make(chan error)
		go func() {
			fd, err := dial(path, time.Hour)
			connected <- errors.Join(err, unix.Close(fd))
		}()
		accept(t, l)
		if err := <-connected; err != nil {
			t.Error(err)
		}
	})
}
