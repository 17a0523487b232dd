package proto

import (
	"fmt"
	"math"
	"strings"

	"github.com/linxprocess/linx-process/etf"
)

var kindNames = [...]string{Spawn: "spawn", Enter: "enter"}

// requestKey is a key of the request's map.
type requestKey struct {
	name      string
	enterOnly bool   // a spawn does not know the key
	shape     string // what the value has to be

	// decode takes the value over; false where it is not of that shape.
	decode func(*Request, etf.Term) bool

	// encode returns the value, nil for the default.
	encode func(*Request) etf.Value
}

var requestKeys = [...]requestKey{
	{
		name: "argv", shape: "a list of strings",
		decode: func(r *Request, v etf.Term) (ok bool) { r.Argv, ok = v.Texts(); return ok },
		encode: func(r *Request) etf.Value { return stringsValue(r.Argv) },
	},
	{
		name: "env", shape: "a list of strings",
		decode: func(r *Request, v etf.Term) (ok bool) { r.Env, ok = v.Texts(); return ok },
		encode: func(r *Request) etf.Value { return stringsValue(r.Env) },
	},
	{
		name: "namespaces", shape: "a list of :user, :mount, :uts, :ipc, :cgroup, :net, :time, :pid",
		decode: func(r *Request, v etf.Term) (ok bool) { r.Namespaces, ok = decodeNamespaces(v); return ok },
		encode: encodeNamespaces,
	},
	{
		name: "target", enterOnly: true, shape: "a pid greater than 0",
		decode: func(r *Request, v etf.Term) bool {
			n, ok := v.Int()
			r.Target = int(n)
			return ok && 0 < n && n <= math.MaxInt32
		},
		encode: func(r *Request) etf.Value { return etf.Int(r.Target) },
	},
	{
		name: "stdio", shape: ":inherit, :devnull, :pty or [stdin: d, stdout: d, stderr: d]",
		decode: func(r *Request, v etf.Term) (ok bool) { r.Stdio, ok = decodeStdio(v); return ok },
		encode: encodeStdio,
	},
	{
		name: "cwd", shape: "a string",
		decode: func(r *Request, v etf.Term) bool {
			s, ok := v.Text()
			r.Cwd = &s
			return ok
		},
		encode: func(r *Request) etf.Value {
			if r.Cwd == nil {
				return nil
			}
			return etf.Binary(*r.Cwd)
		},
	},
	{
		name: "no_new_privs", shape: "a boolean",
		decode: func(r *Request, v etf.Term) bool {
			name, ok := v.Atom()
			r.NoNewPrivs = name == "true"
			return ok && (name == "true" || name == "false")
		},
		encode: func(r *Request) etf.Value {
			if !r.NoNewPrivs {
				return nil
			}
			return etf.Bool(true)
		},
	},
	{
		name: "orphan_policy", shape: ":linger or {:kill, 0 … 2147483647}",
		decode: func(r *Request, v etf.Term) (ok bool) { r.Orphan, ok = decodeOrphan(v); return ok },
		encode: encodeOrphan,
	},
}

// DecodeRequest decodes the payload of a first frame. The request shares no
// memory with it. An error wraps ErrMalformed.
//
// A key that the request's kind does not know is skipped whatever its value is;
// so is one that is not an atom. A key that it knows comes once.
func DecodeRequest(frame []byte) (Request, error) {
	t, err := etf.Guard(frame)
	if err != nil {
		return Request{}, notATerm(err)
	}
	r := Request{Orphan: DefaultOrphan}
	tuple, ok := t.Tuple()
	if !ok || tuple.Len() != 2 {
		return Request{}, malformed("a request is {:spawn, map} or {:enter, map}")
	}
	switch tag := tuple.Next(); {
	case tag.Is(kindNames[Spawn]):
		r.Kind = Spawn
	case tag.Is(kindNames[Enter]):
		r.Kind = Enter
	default:
		return Request{}, malformed("a request is {:spawn, map} or {:enter, map}")
	}
	entries, ok := tuple.Next().Map()
	if !ok {
		return Request{}, malformed("the options are no map")
	}
	var seen [len(requestKeys)]bool
	for entries.Len() > 0 {
		key, value := entries.Next(), entries.Next()
		i := r.Kind.keyIndex(key)
		if i < 0 {
			continue
		}
		k := &requestKeys[i]
		if seen[i] {
			return Request{}, malformed("%s comes twice", k.name)
		}
		seen[i] = true
		if !k.decode(&r, value) {
			return Request{}, malformed("%s is not %s", k.name, k.shape)
		}
	}
	if err := r.check(); err != nil {
		return Request{}, err
	}
	return r, nil
}

// keyIndex finds a key in requestKeys; −1 where the kind does not know it.
func (k Kind) keyIndex(key etf.Term) int {
	for i := range requestKeys {
		if key.Is(requestKeys[i].name) && (k == Enter || !requestKeys[i].enterOnly) {
			return i
		}
	}
	return -1
}

// EncodeRequest returns the payload of a first frame, without the length before
// it. Values that are the default are left out. An error wraps ErrMalformed for
// what DecodeRequest would refuse, etf.ErrTooBig for more than MaxRequest.
func EncodeRequest(r Request) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	frame, err := etf.Encode(r.value())
	if err == nil && len(frame) > MaxRequest {
		err = fmt.Errorf("request of %d bytes: %w", len(frame), etf.ErrTooBig)
	}
	if err != nil {
		return nil, err
	}
	return frame, nil
}

// String is the request in the syntax of Elixir, on one line, cut where it is
// long.
func (r Request) String() string { return etf.Inspect(r.value()) }

func (r *Request) value() etf.Value {
	kind := etf.Atom("unknown")
	if int(r.Kind) < len(kindNames) {
		kind = etf.Atom(kindNames[r.Kind])
	}
	entries := make(etf.Map, 0, len(requestKeys))
	for i := range requestKeys {
		k := &requestKeys[i]
		if k.enterOnly && r.Kind != Enter {
			continue
		}
		if v := k.encode(r); v != nil {
			entries = append(entries, etf.Entry{Key: etf.Atom(k.name), Value: v})
		}
	}
	return etf.Tuple{kind, entries}
}

// check tells whether the values are what their keys allow.
func (r *Request) check() error {
	if int(r.Kind) >= len(kindNames) {
		return malformed("unknown kind of request")
	}
	if len(r.Argv) == 0 {
		return malformed("argv is missing or empty")
	}
	for i, s := range r.Argv {
		if hasNUL(s) {
			return malformed("argv: string %d has a NUL byte", i)
		}
	}
	for i, s := range r.Env {
		if hasNUL(s) {
			return malformed("env: string %d has a NUL byte", i)
		}
		// A variable without a name is no variable (setenv(3)).
		if strings.IndexByte(s, '=') < 1 {
			return malformed("env: string %d is not KEY=value", i)
		}
	}
	for _, n := range r.Namespaces {
		if int(n) >= NumNamespaces {
			return malformed("namespaces: unknown namespace")
		}
	}
	if r.Kind == Enter && (r.Target <= 0 || int64(r.Target) > math.MaxInt32) {
		return malformed("target is missing or no pid")
	}
	if err := r.Stdio.check(); err != nil {
		return err
	}
	if r.Cwd != nil && hasNUL(*r.Cwd) {
		return malformed("cwd has a NUL byte")
	}
	if !r.Orphan.Linger && r.Orphan.GraceMS > math.MaxInt32 {
		return malformed("orphan_policy: more than 2147483647 ms")
	}
	return nil
}

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// stringsValue keeps nil and empty apart.
func stringsValue(ss []string) etf.Value {
	if ss == nil {
		return nil
	}
	list := make(etf.List, len(ss))
	for i, s := range ss {
		list[i] = etf.Binary(s)
	}
	return list
}

// decodeNamespaces leaves out what was named before.
func decodeNamespaces(v etf.Term) ([]Namespace, bool) {
	list, ok := v.List()
	if !ok {
		return nil, false
	}
	var seen [NumNamespaces]bool
	namespaces := make([]Namespace, 0, min(list.Len(), NumNamespaces))
	for list.Len() > 0 {
		name, ok := list.Next().Atom()
		if !ok {
			return nil, false
		}
		n, ok := namespaceOf(name)
		if !ok {
			return nil, false
		}
		if !seen[n] {
			seen[n] = true
			namespaces = append(namespaces, n)
		}
	}
	return namespaces, true
}

func encodeNamespaces(r *Request) etf.Value {
	if r.Namespaces == nil {
		return nil
	}
	list := make(etf.List, len(r.Namespaces))
	for i, n := range r.Namespaces {
		list[i] = etf.Atom(n.String())
	}
	return list
}

func decodeOrphan(v etf.Term) (OrphanPolicy, bool) {
	if name, ok := v.Atom(); ok {
		return OrphanPolicy{Linger: true}, name == "linger"
	}
	tuple, ok := v.Tuple()
	if !ok || tuple.Len() != 2 || !tuple.Next().Is("kill") {
		return OrphanPolicy{}, false
	}
	ms, ok := tuple.Next().Int()
	return OrphanPolicy{GraceMS: uint32(ms)}, ok && 0 <= ms && ms <= math.MaxInt32
}

func encodeOrphan(r *Request) etf.Value {
	switch {
	case r.Orphan.Linger:
		return etf.Atom("linger")
	case r.Orphan == DefaultOrphan:
		return nil
	}
	return etf.Tuple{etf.Atom("kill"), etf.Int(r.Orphan.GraceMS)}
}
