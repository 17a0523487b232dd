package main

import (
	"fmt"
	"os"
	"sync"

	"github.com/linxprocess/linx-process/client"
)

// messages writes lines to stderr while the command runs, from any goroutine.
type messages struct {
	terminal   *terminal
	onTerminal bool // stderr is one

	mu sync.Mutex
}

func (m *messages) line(format string, args ...any) {
	end := "\n"
	if m.onTerminal && m.terminal.isRaw() {
		end = "\r\n"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// Where it cannot be written there is nobody to read it.
	_, _ = fmt.Fprintf(os.Stderr, format+end, args...)
}

// trace is the line of a frame.
func (m *messages) trace(d client.Direction, frame string) { m.line("%c %s", d, frame) }
