package proto

import "github.com/linxprocess/linx-process/etf"

// streamNames are the keys of the keyword list, by descriptor number.
var streamNames = [3]string{"stdin", "stdout", "stderr"}

// directiveNames are the directives without an argument.
var directiveNames = [...]string{Inherit: "inherit", Devnull: "devnull"}

const (
	ptyName         = "pty"
	connectUnixName = "connect_unix"
)

// decodeStdio reads one atom for all three descriptors, or a keyword list in
// which what is missing is inherited.
func decodeStdio(v etf.Term) (Stdio, bool) {
	if name, ok := v.Atom(); ok {
		if name == ptyName {
			return Stdio{PTY: true}, true
		}
		d, ok := directiveOf(name)
		return Stdio{FDs: [3]Directive{d, d, d}}, ok
	}
	list, ok := v.List()
	if !ok {
		return Stdio{}, false
	}
	var s Stdio
	var seen [len(streamNames)]bool
	for list.Len() > 0 {
		pair, ok := list.Next().Tuple()
		if !ok || pair.Len() != 2 {
			return Stdio{}, false
		}
		fd := streamIndex(pair.Next())
		if fd < 0 || seen[fd] {
			return Stdio{}, false
		}
		seen[fd] = true
		if s.FDs[fd], ok = decodeDirective(pair.Next()); !ok {
			return Stdio{}, false
		}
	}
	return s, true
}

func decodeDirective(v etf.Term) (Directive, bool) {
	if name, ok := v.Atom(); ok {
		return directiveOf(name)
	}
	tuple, ok := v.Tuple()
	if !ok || tuple.Len() != 2 || !tuple.Next().Is(connectUnixName) {
		return Directive{}, false
	}
	path, ok := tuple.Next().Text()
	return Directive{Kind: ConnectUnix, Path: path}, ok
}

func directiveOf(name string) (Directive, bool) {
	for kind, n := range directiveNames {
		if n == name {
			return Directive{Kind: DirectiveKind(kind)}, true
		}
	}
	return Directive{}, false
}

func streamIndex(key etf.Term) int {
	for fd, name := range streamNames {
		if key.Is(name) {
			return fd
		}
	}
	return -1
}

func encodeStdio(r *Request) etf.Value {
	if r.Stdio.PTY {
		return etf.Atom(ptyName)
	}
	fds := r.Stdio.FDs
	if fds == [3]Directive{} {
		return nil
	}
	if fds[0] == fds[1] && fds[1] == fds[2] && fds[0].Kind != ConnectUnix {
		return fds[0].value()
	}
	var list etf.List
	for fd, d := range fds {
		if d.Kind != Inherit {
			list = append(list, etf.Tuple{etf.Atom(streamNames[fd]), d.value()})
		}
	}
	return list
}

func (d Directive) value() etf.Value {
	switch {
	case d.Kind == ConnectUnix:
		return etf.Tuple{etf.Atom(connectUnixName), etf.Binary(d.Path)}
	case int(d.Kind) < len(directiveNames):
		return etf.Atom(directiveNames[d.Kind])
	}
	return etf.Atom("unknown")
}

func (s Stdio) check() error {
	if s.PTY {
		return nil
	}
	for fd, d := range s.FDs {
		switch {
		case d.Kind > ConnectUnix:
			return malformed("stdio: %s: unknown directive", streamNames[fd])
		case d.Kind != ConnectUnix:
		case d.Path == "":
			return malformed("stdio: %s: empty path", streamNames[fd])
		case hasNUL(d.Path):
			return malformed("stdio: %s: the path has a NUL byte", streamNames[fd])
		}
	}
	return nil
}
