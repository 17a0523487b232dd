package agent

// state is where a session stands.
//
//	awaiting ─▶ starting ─▶ parked ◀─▶ commanding      ending ─▶ flushing ─▶ draining ─▶ gone
//	                          │                           ▲         ▲
//	                          └─▶ executing ─▶ running ───┼─────────┤
//	                                             └─▶ orphaned ──────┘
//
// Frames are taken in awaiting, parked and running; while a program is in
// flight they wait in the pipe; later they are read and dropped.
type state uint8

const (
	awaiting   state = iota // nothing but an open control channel
	starting                // cloned; the programs up to the checkpoint are in flight
	parked                  // at the checkpoint
	commanding              // the program of a checkpoint command is in flight
	executing               // the last program is in flight
	running                 // execve(2) has succeeded
	orphaned                // the client is gone; SIGTERM was sent
	ending                  // SIGKILL was sent; to be reaped
	flushing                // the terminal frame is in the output queue
	draining                // fd 4 is closed; the client may be in the middle of a write
	gone                    // nothing is left
	numStates
)

// eventKind is what can happen to a session.
type eventKind uint8

const (
	onRequest    eventKind = iota // the first frame, well-formed
	onCapability                  // a cap_* command
	onFilter                      // seccomp_install
	onWinsize
	onProceed
	onAbort
	onSignal
	onInput     // pty_in
	onMalformed // a frame that is no request, or no command, of ours
	onTooBig    // a length over the limit
	onHangup    // end of file on fd 3 behind the last frame, or EPIPE on fd 4
	onPeerGone  // the same, seen while frames wait in the pipe
	onTerminate // SIGTERM, SIGINT or SIGHUP to the agent
	onReported  // the program in flight has succeeded
	onFailed    // an op of it has failed
	onEnded     // end of file on the report pipe
	onGarbled   // a report that the child does not write
	onExit      // the child has been reaped
	onTimer
	onFlushed // the output queue is empty
	numEvents
)

// row is one state's answer to every event.
type row [numEvents]func(*Session, event)

// transitions is the whole of a session's behaviour. A cell that stays empty
// would be a panic, so a test goes through all of them. never marks what cannot
// happen (and does nothing if it does); ignore what the protocol says to ignore.
var transitions = [numStates]row{
	awaiting: {
		onRequest:    (*Session).begin,
		onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never,
		onMalformed: (*Session).refuseRequest,
		onTooBig:    (*Session).refuseRequest,
		onHangup:    (*Session).leaveUnasked,
		onPeerGone:  never,
		onTerminate: (*Session).leaveUnasked,
		onReported:  never, onFailed: never, onEnded: never, onGarbled: never,
		onExit: never, onTimer: never, onFlushed: ignore,
	},
	starting: {
		onRequest: never, onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never, onMalformed: never, onTooBig: never,
		onHangup:    never,
		onPeerGone:  (*Session).suspect,
		onTerminate: (*Session).endQuietly,
		onReported:  (*Session).started,
		onFailed:    (*Session).startFailed,
		onEnded:     (*Session).endBeforeReady,
		onGarbled:   (*Session).endBeforeReady,
		onExit:      (*Session).exitBeforeReady,
		onTimer:     (*Session).endQuietly,
		onFlushed:   ignore,
	},
	parked: {
		onRequest:    never,
		onCapability: (*Session).changeCapabilities,
		onFilter:     (*Session).addFilter,
		onWinsize:    (*Session).resize,
		onProceed:    (*Session).proceed,
		onAbort:      (*Session).abort,
		onSignal:     (*Session).refuseCommand,
		onInput:      (*Session).refuseCommand,
		onMalformed:  (*Session).refuseCommand,
		onTooBig:     (*Session).refuseCommand,
		onHangup:     (*Session).endQuietly,
		onPeerGone:   ignore, // onHangup follows behind the last frame
		onTerminate:  (*Session).endQuietly,
		onReported:   (*Session).endGarbled,
		onFailed:     (*Session).endGarbled,
		onEnded:      (*Session).endAsItDid,
		onGarbled:    (*Session).endGarbled,
		onExit:       (*Session).exited,
		onTimer:      never,
		onFlushed:    ignore,
	},
	commanding: {
		onRequest: never, onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never, onMalformed: never, onTooBig: never,
		onHangup:    never,
		onPeerGone:  (*Session).suspect,
		onTerminate: (*Session).endQuietly,
		onReported:  (*Session).park,
		onFailed:    (*Session).commandFailed,
		onEnded:     (*Session).endAsItDid,
		onGarbled:   (*Session).endGarbled,
		onExit:      (*Session).exited,
		onTimer:     (*Session).endQuietly,
		onFlushed:   ignore,
	},
	executing: {
		onRequest: never, onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never, onMalformed: never, onTooBig: never,
		onHangup:    never,
		onPeerGone:  (*Session).suspect,
		onTerminate: (*Session).suspectForGood,
		onReported:  (*Session).endGarbled, // execve(2) returns on failure only
		onFailed:    (*Session).executeFailed,
		onEnded:     (*Session).executed,
		onGarbled:   (*Session).endGarbled,
		onExit:      (*Session).exited,
		onTimer:     (*Session).endQuietly,
		onFlushed:   ignore,
	},
	running: {
		onRequest: never, onCapability: ignore, onFilter: ignore,
		onWinsize: (*Session).resize,
		onProceed: ignore, onAbort: ignore,
		onSignal:    (*Session).signal,
		onInput:     (*Session).input,
		onMalformed: ignore,
		onTooBig:    (*Session).killForFrame,
		onHangup:    (*Session).orphan,
		onPeerGone:  ignore, // onHangup follows behind the last frame
		onTerminate: (*Session).orphan,
		onReported:  never, onFailed: never, onEnded: never, onGarbled: never,
		onExit:    (*Session).exited,
		onTimer:   never,
		onFlushed: ignore,
	},
	orphaned: {
		onRequest: never, onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never, onMalformed: never, onTooBig: never,
		onHangup: ignore, onPeerGone: ignore, onTerminate: ignore,
		onReported: never, onFailed: never, onEnded: never, onGarbled: never,
		onExit:    (*Session).exited,
		onTimer:   (*Session).kill, // the grace is over
		onFlushed: ignore,
	},
	ending: {
		onRequest: never, onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never, onMalformed: never, onTooBig: never,
		onHangup: ignore, onPeerGone: ignore,
		onTerminate: (*Session).giveUp,
		onReported:  ignore, onFailed: ignore, onEnded: ignore, onGarbled: ignore,
		onExit:    (*Session).exited,
		onTimer:   never,
		onFlushed: ignore,
	},
	flushing: {
		onRequest: never, onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never, onMalformed: never, onTooBig: never,
		onHangup:    (*Session).hurry,
		onPeerGone:  never,
		onTerminate: (*Session).vanish,
		onReported:  never, onFailed: never, onEnded: never, onGarbled: never, onExit: never,
		onTimer:   (*Session).vanish,
		onFlushed: (*Session).drain,
	},
	draining: {
		onRequest: never, onCapability: never, onFilter: never, onWinsize: never, onProceed: never,
		onAbort: never, onSignal: never, onInput: never, onMalformed: never, onTooBig: never,
		onHangup:    (*Session).vanish,
		onPeerGone:  never,
		onTerminate: (*Session).vanish,
		onReported:  never, onFailed: never, onEnded: never, onGarbled: never, onExit: never,
		onTimer:   (*Session).waitForReader,
		onFlushed: never,
	},
	gone: {
		onRequest: ignore, onCapability: ignore, onFilter: ignore, onWinsize: ignore, onProceed: ignore,
		onAbort: ignore, onSignal: ignore, onInput: ignore, onMalformed: ignore, onTooBig: ignore,
		onHangup: ignore, onPeerGone: ignore, onTerminate: ignore,
		onReported: ignore, onFailed: ignore, onEnded: ignore, onGarbled: ignore, onExit: ignore,
		onTimer: ignore, onFlushed: ignore,
	},
}

func never(*Session, event)  {}
func ignore(*Session, event) {}

// takesFrames tells whether the next frame may be handled now.
func (s state) takesFrames() bool { return s == awaiting || s == parked || s == running }

// dropsFrames tells whether what the client still sends is of no interest.
func (s state) dropsFrames() bool { return s >= orphaned }
