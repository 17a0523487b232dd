// Package proto owns the typed form of the control protocol: the request, the
// commands and the events, their stages, and the codec between them and the
// terms of package etf, in both directions. It makes no system calls.
//
//	client ──▶ agent   {:spawn, map} | {:enter, map}      the first frame
//	                   commands                           every later frame
//	client ◀── agent   {:status, :spawned, host_pid}
//	                   {:status, :ready, inner_pid}       parked at the checkpoint
//	                   {:status, :running}                execve(2) has succeeded
//	                   {:pty_out, bin} …                  PTY mode only
//	                   one terminal frame                 exited, signaled, aborted or error
//
// docs/PROTOCOL.md is the whole contract.
package proto

// Limits of a frame's payload in bytes, the four bytes of its length not
// counted.
const (
	MaxRequest = 4 << 20
	MaxCommand = 1 << 20
)

// Kind tells what a request asks for.
type Kind uint8

const (
	Spawn Kind = iota // a child in fresh namespaces
	Enter             // a child inside the namespaces of a running process
)

// Request is the first frame of a session.
type Request struct {
	Kind Kind

	// Argv is the argument vector; Argv[0] is the path given to execve(2),
	// without a PATH search. It is never empty.
	Argv []string

	// Env is the whole environment, as KEY=value. Nil stands for the agent's
	// own, an empty slice for none at all.
	Env []string

	// Namespaces are those to create (Spawn) or to join (Enter). Nil stands for
	// none (Spawn) or every one that differs from the agent's (Enter).
	Namespaces []Namespace

	// Target is the process to enter, as the agent's pid namespace sees it,
	// greater than 0. Enter only.
	Target int

	Stdio Stdio

	// Cwd is for chdir(2) right before execve(2); nil leaves it alone.
	Cwd *string

	NoNewPrivs bool

	Orphan OrphanPolicy
}

// Stdio is where the workload's descriptors 0, 1 and 2 lead.
type Stdio struct {
	PTY bool         // a fresh pseudoterminal on all three; FDs is unused then
	FDs [3]Directive // by descriptor number
}

// Directive is what one standard descriptor is connected to.
type Directive struct {
	Kind DirectiveKind
	Path string // ConnectUnix: the path of the AF_UNIX stream socket
}

// DirectiveKind tells directives apart.
type DirectiveKind uint8

const (
	Inherit DirectiveKind = iota // the agent's own descriptor
	Devnull
	ConnectUnix
)

// OrphanPolicy is what happens to a running workload when the client hangs up.
type OrphanPolicy struct {
	Linger  bool
	GraceMS uint32 // milliseconds from SIGTERM to SIGKILL, 0 … 2³¹−1; unless Linger
}

// DefaultOrphan is the policy of a request that names none.
var DefaultOrphan = OrphanPolicy{GraceMS: 5000}

// CommandKind tells commands apart.
type CommandKind uint8

const (
	CapDropBounding CommandKind = iota + 1 // Masks[0]
	CapSetThread                           // Masks: effective, permitted, inheritable
	CapSetAmbient                          // Masks[0]
	SeccompInstall                         // Data: struct sock_filter × n
	PTYWinsize                             // Winsize
	Proceed
	Abort
	Signal // Signal
	PTYIn  // Data
)

// Command is a frame after the request. It is one flat struct, so that decoding
// one allocates nothing.
type Command struct {
	Kind    CommandKind
	Masks   [3]uint64
	Data    []byte // shares the memory of the frame that it was decoded from
	Winsize Winsize
	Signal  int // 1 … 64
}

// Winsize is struct winsize of TIOCSWINSZ (ioctl_tty(2)).
type Winsize struct{ Rows, Cols, XPix, YPix uint16 }

// EventKind tells events apart.
type EventKind uint8

const (
	Spawned      EventKind = iota + 1 // PID: the child's, in the agent's pid namespace
	Ready                             // PID: the child's own view of itself
	Running                           //
	PTYOut                            // Data
	PTYInDropped                      // N bytes
	Exited                            // N: exit status
	Signaled                          // N: signal number
	Aborted                           // PID: as in Ready
	Failed                            // Errno, Stage
)

// Event is a frame from the agent.
type Event struct {
	Kind  EventKind
	PID   int
	N     int
	Data  []byte
	Errno int
	Stage Stage
}

// Terminal tells whether the event is the last of its session.
func (k EventKind) Terminal() bool { return k >= Exited }
