package main

import (
	"sync"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the terminal on stdin while the command has one of its own: raw, so
// that every byte goes through, and put back when it is over.
type terminal struct {
	fd int

	mu   sync.Mutex
	kept *term.State // what to put back; nil while the terminal is as it was
}

// raw makes the terminal raw. A stdin that is none is left alone.
func (t *terminal) raw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !term.IsTerminal(t.fd) {
		return nil
	}
	state, err := term.MakeRaw(t.fd)
	if err == nil && t.kept == nil {
		t.kept = state
	}
	return err
}

// again makes a terminal raw that was, after a stop during which a shell had it.
func (t *terminal) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept != nil {
		// Where this fails the terminal is gone.
		_, _ = term.MakeRaw(t.fd)
	}
}

// restore puts the terminal back. It may be called at any time, and again.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept != nil {
		// Where this fails the terminal is gone.
		_ = term.Restore(t.fd, t.kept)
		t.kept = nil
	}
}

// isRaw tells whether lines have to end in "\r\n".
func (t *terminal) isRaw() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.kept != nil
}

// guard is for the end of every goroutine but the main one, which has a deferred
// restore of its own: a panic must not leave a raw terminal behind.
func (t *terminal) guard() {
	if v := recover(); v != nil {
		t.restore()
		panic(v)
	}
}

// winsize is the size of the terminal that the user looks at: that of stdout, or
// else of stdin. ok is false where neither is one.
func winsize() (size proto.Winsize, ok bool) {
	for _, fd := range []int{1, 0} {
		if w, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			return proto.Winsize{Rows: w.Row, Cols: w.Col, XPix: w.Xpixel, YPix: w.Ypixel}, true
		}
	}
	return proto.Winsize{}, false
}
