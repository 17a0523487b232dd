package agent

import (
	"github.com/linxprocess/linx-process/proto"
)

// bridge carries frames from the port into the session, and moves what is
// bulk.
type bridge struct {
	port    *port
	session *Session
	work    *workload

	hangupTold, suspicionTold told
}

// told remembers in which state the session has heard of something that does not
// go away, plus one.
type told state

func (t *told) in(s state) bool {
	if *t == told(s)+1 {
		return true
	}
	*t = told(s) + 1
	return false
}

// framesAtOnce bounds how many frames are handled before other events are.
const framesAtOnce = 64

// pump does what can be done without waiting; busy where it stopped for
// fairness.
func (b *bridge) pump() (busy bool) {
	for before := numStates; before != b.session.state; {
		before = b.session.state
		busy = b.takeFrames()
		busy = b.work.relay() || busy
		b.port.flush()
		if b.port.queue.Len() == 0 {
			b.session.handle(event{kind: onFlushed})
		}
	}
	return busy
}

// takeFrames handles the frames that are there while the session takes them, and
// the hang-up behind the last one.
func (b *bridge) takeFrames() (busy bool) {
	s := b.session
	for range framesAtOnce {
		if s.state.dropsFrames() {
			busy := b.port.discard()
			b.tellHangup()
			return busy
		}
		if !s.state.takesFrames() {
			if b.port.suspect && !b.suspicionTold.in(s.state) {
				s.handle(event{kind: onPeerGone})
			}
			return false
		}
		frame, err := b.port.next()
		switch {
		case err != nil:
			s.handle(event{kind: onTooBig, err: err})
		case frame != nil:
			s.handle(b.decode(frame))
		default:
			b.tellHangup()
			return false
		}
	}
	return true
}

func (b *bridge) tellHangup() {
	if b.port.hungUp() && !b.hangupTold.in(b.session.state) {
		b.session.handle(event{kind: onHangup})
	}
}

// decode makes a frame an event.
func (b *bridge) decode(frame []byte) event {
	if b.session.state == awaiting {
		b.port.framer.Limit = proto.MaxCommand
		request, err := proto.DecodeRequest(frame)
		if err != nil {
			return event{kind: onMalformed, err: err}
		}
		return event{kind: onRequest, request: &request}
	}
	command, err := proto.DecodeCommand(frame)
	if err != nil {
		return event{kind: onMalformed, err: err}
	}
	return event{kind: kinds[command.Kind], command: command}
}

// kinds are the events that commands are.
var kinds = [...]eventKind{
	proto.CapDropBounding: onCapability,
	proto.CapSetThread:    onCapability,
	proto.CapSetAmbient:   onCapability,
	proto.SeccompInstall:  onFilter,
	proto.PTYWinsize:      onWinsize,
	proto.Proceed:         onProceed,
	proto.Abort:           onAbort,
	proto.Signal:          onSignal,
	proto.PTYIn:           onInput,
}
