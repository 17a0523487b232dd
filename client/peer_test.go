package client

import (
	"bytes"
	"encoding/binary"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/proto"
)

// patience bounds what a test waits for; it passes only where something is broken.
const patience = 20 * time.Second

// peer is a stand-in for the agent: the other side of a channel.
type peer struct {
	t *testing.T
	channel
}

// onEachTransport runs f with a session and its peer over pipes and over a socket.
func onEachTransport(t *testing.T, f func(t *testing.T, s *Session, p *peer)) {
	for name, socketpair := range map[string]bool{"pipes": false, "socketpair": true} {
		t.Run(name, func(t *testing.T) {
			s, p := connect(t, socketpair, nil)
			f(t, s, p)
		})
	}
}

func connect(t *testing.T, socketpair bool, trace func(Direction, string)) (*Session, *peer) {
	t.Helper()
	ours, theirs, err := newChannel(socketpair)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(ours, trace)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		theirs.close()
	})
	return s, &peer{t, theirs}
}

// tell sends events to the session.
func (p *peer) tell(events ...proto.Event) {
	p.t.Helper()
	var b []byte
	for _, e := range events {
		b = proto.AppendEvent(b, e)
	}
	p.write(b)
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.events.Write(b); err != nil {
		p.t.Error(err)
	}
}

// leave closes the peer's ends.
func (p *peer) leave() { p.close() }

// hear reads the payload of one frame; io.EOF when the session has hung up.
func (p *peer) hear() ([]byte, error) {
	var size [etf.FrameHeader]byte
	if _, err := io.ReadFull(p.requests, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(p.requests, b)
	return b, err
}

func (p *peer) hearCommand() proto.Command {
	p.t.Helper()
	b, err := p.hear()
	if err != nil {
		p.t.Fatal(err)
	}
	c, err := proto.DecodeCommand(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// expectHangup reads on until the session has hung up.
func (p *peer) expectHangup() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.requests); err != nil {
		p.t.Errorf("instead of a hang-up: %v", err)
	}
}

// expect reads one event from the session.
func expect(t *testing.T, s *Session, want proto.Event) {
	t.Helper()
	got, err := s.Next(t.Context())
	if err != nil {
		t.Fatalf("instead of %v: %v", want, err)
	}
	if !same(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// same compares two events; Data by its bytes.
func same(a, b proto.Event) bool {
	if !bytes.Equal(a.Data, b.Data) {
		return false
	}
	a.Data, b.Data = nil, nil
	return reflect.DeepEqual(a, b)
}
