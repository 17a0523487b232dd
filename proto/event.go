package proto

import (
	"fmt"
	"math"

	"github.com/linxprocess/linx-process/etf"
)

// statuses are the events {:status, name} and {:status, name, number}.
var statuses = [...]struct {
	kind   EventKind
	name   string
	number func(*Event) *int // nil where there is none
}{
	{Spawned, "spawned", (*Event).pid},
	{Ready, "ready", (*Event).pid},
	{Running, "running", nil},
	{Exited, "exited", (*Event).n},
	{Signaled, "signaled", (*Event).n},
	{Aborted, "aborted", (*Event).pid},
}

const (
	statusName       = "status"
	ptyOutName       = "pty_out"
	ptyInDroppedName = "pty_in_dropped"
	errorName        = "error"
)

func (e *Event) pid() *int { return &e.PID }

func (e *Event) n() *int { return &e.N }

// AppendEvent appends a whole frame, length and payload, and allocates no more
// than erlang_go does; for PTYOut that is nothing. An event that is none of the
// protocol appends nothing: an unknown kind, a stage of more than 255 bytes.
func AppendEvent(dst []byte, e Event) []byte {
	if e.Kind != PTYOut {
		return appendTerm(dst, e)
	}
	n := len(dst)
	dst = append(dst, make([]byte, PTYOutOverhead)...)
	PutPTYOutHeader(dst[n:], len(e.Data))
	return append(dst, e.Data...)
}

// appendTerm is AppendEvent by way of erlang_go.
func appendTerm(dst []byte, e Event) []byte {
	v := e.value()
	if v == nil {
		return dst
	}
	payload, err := etf.Encode(v)
	if err != nil {
		return dst
	}
	return etf.AppendFrame(dst, payload)
}

// String is the event in the syntax of Elixir, on one line, cut where it is long.
func (e Event) String() string {
	v := e.value()
	if v == nil {
		return fmt.Sprintf("Event(%d)", e.Kind)
	}
	return etf.Inspect(v)
}

// value is nil for an unknown kind.
func (e *Event) value() etf.Value {
	switch e.Kind {
	case PTYOut:
		return etf.Tuple{etf.Atom(ptyOutName), etf.Binary(e.Data)}
	case PTYInDropped:
		return etf.Tuple{etf.Atom(ptyInDroppedName), etf.Int(e.N)}
	case Failed:
		return etf.Tuple{etf.Atom(errorName), etf.Int(e.Errno), etf.Atom(e.Stage)}
	}
	for i := range statuses {
		s := &statuses[i]
		if s.kind != e.Kind {
			continue
		}
		v := etf.Tuple{etf.Atom(statusName), etf.Atom(s.name)}
		if s.number != nil {
			v = append(v, etf.Int(*s.number(e)))
		}
		return v
	}
	return nil
}

// DecodeEvent decodes the payload of a frame from the agent. Data shares its
// memory. Numbers are 0 … 2³¹−1, and every atom is a stage. An error wraps
// ErrMalformed.
func DecodeEvent(frame []byte) (Event, error) {
	t, err := etf.Guard(frame)
	if err != nil {
		return Event{}, notATerm(err)
	}
	tuple, ok := t.Tuple()
	if !ok || tuple.Len() < 2 || tuple.Len() > 3 {
		return Event{}, malformed("no event is a term of that shape")
	}
	n := tuple.Len()
	tag, first, second := tuple.Next(), tuple.Next(), tuple.Next()
	e := Event{}
	switch {
	case tag.Is(statusName):
		e, ok = decodeStatus(n, first, second)
	case tag.Is(ptyOutName) && n == 2:
		e.Kind = PTYOut
		e.Data, ok = first.Bytes()
	case tag.Is(ptyInDroppedName) && n == 2:
		e.Kind = PTYInDropped
		e.N, ok = decodeNumber(first)
	case tag.Is(errorName) && n == 3:
		e.Kind = Failed
		if e.Errno, ok = decodeNumber(first); ok {
			var stage string
			stage, ok = second.Atom()
			e.Stage = Stage(stage)
		}
	default:
		return Event{}, malformed("unknown event")
	}
	if !ok {
		name, _ := tag.Atom()
		return Event{}, malformed("not an event: %s", etf.Inspect(etf.Atom(name)))
	}
	return e, nil
}

// decodeStatus reads what comes behind :status in a tuple of n elements.
func decodeStatus(n int, name, number etf.Term) (e Event, ok bool) {
	for i := range statuses {
		s := &statuses[i]
		if !name.Is(s.name) {
			continue
		}
		e.Kind = s.kind
		if s.number == nil {
			return e, n == 2
		}
		*s.number(&e), ok = decodeNumber(number)
		return e, ok
	}
	return e, false
}

func decodeNumber(t etf.Term) (int, bool) {
	n, ok := t.Int()
	return int(n), ok && 0 <= n && n <= math.MaxInt32
}
