package proto

import (
	"fmt"
	"math"

	"github.com/linxprocess/linx-process/etf"
)

// maxSignal is the highest signal number, SIGRTMAX (signal(7)).
const maxSignal = 64

// maxArgs is how many arguments a command has at most.
const maxArgs = 3

// commandForm is how a command looks: a bare atom without arguments, a tuple
// with them.
type commandForm struct {
	kind  CommandKind
	name  string
	args  int
	shape string // for people

	// decode reads the arguments; false where they are not of that shape.
	decode func([maxArgs]etf.Term) (Command, bool)

	// encode returns the arguments.
	encode func(*Command) []etf.Value
}

var commandForms = [...]commandForm{
	{CapDropBounding, "cap_drop_bounding", 1, "{:cap_drop_bounding, mask}", decodeMask, encodeMask},
	{CapSetThread, "cap_set_thread", 3, "{:cap_set_thread, mask, mask, mask}", decodeMasks, encodeMasks},
	{CapSetAmbient, "cap_set_ambient", 1, "{:cap_set_ambient, mask}", decodeMask, encodeMask},
	{SeccompInstall, "seccomp_install", 1, "{:seccomp_install, binary}", decodeData, encodeData},
	{
		PTYWinsize, "pty_winsize", 1, "{:pty_winsize, {rows, cols, xpix, ypix}}, each 0 … 65535",
		decodeWinsize, encodeWinsize,
	},
	{Proceed, "proceed", 0, ":proceed", decodeNothing, encodeNothing},
	{Abort, "abort", 0, ":abort", decodeNothing, encodeNothing},
	{Signal, "signal", 1, "{:signal, 1 … 64}", decodeSignal, encodeSignal},
	{PTYIn, "pty_in", 1, "{:pty_in, binary}", decodeData, encodeData},
}

// DecodeCommand decodes the payload of a later frame. Data shares its memory, and
// nothing is allocated, but for a list of integers in the place of a binary, and
// for an error. An error wraps ErrMalformed.
func DecodeCommand(frame []byte) (Command, error) {
	t, err := etf.Guard(frame)
	if err != nil {
		return Command{}, notATerm(err)
	}
	name := t
	var args [maxArgs]etf.Term
	n := 0
	if tuple, ok := t.Tuple(); ok {
		if tuple.Len() < 2 || tuple.Len() > 1+maxArgs {
			return Command{}, malformed("no command is a tuple of %d elements", tuple.Len())
		}
		name = tuple.Next()
		for ; tuple.Len() > 0; n++ {
			args[n] = tuple.Next()
		}
	}
	for i := range commandForms {
		f := &commandForms[i]
		if !name.Is(f.name) {
			continue
		}
		if n != f.args {
			return Command{}, malformed("not %s", f.shape)
		}
		c, ok := f.decode(args)
		if !ok {
			return Command{}, malformed("not %s", f.shape)
		}
		c.Kind = f.kind
		return c, nil
	}
	return Command{}, malformed("unknown command")
}

// EncodeCommand returns the payload of a later frame, without the length before
// it. An error wraps ErrMalformed for what DecodeCommand would refuse,
// etf.ErrTooBig for more than MaxCommand.
func EncodeCommand(c Command) ([]byte, error) {
	f := c.form()
	switch {
	case f == nil:
		return nil, malformed("unknown command")
	case c.Kind == Signal && !validSignal(c.Signal):
		return nil, malformed("not %s", f.shape)
	}
	frame, err := etf.Encode(f.value(&c))
	if err == nil && len(frame) > MaxCommand {
		err = fmt.Errorf("command of %d bytes: %w", len(frame), etf.ErrTooBig)
	}
	if err != nil {
		return nil, err
	}
	return frame, nil
}

// String is the command in the syntax of Elixir, on one line, cut where it is
// long.
func (c Command) String() string {
	f := c.form()
	if f == nil {
		return fmt.Sprintf("Command(%d)", c.Kind)
	}
	return etf.Inspect(f.value(&c))
}

func (c *Command) form() *commandForm {
	for i := range commandForms {
		if commandForms[i].kind == c.Kind {
			return &commandForms[i]
		}
	}
	return nil
}

func (f *commandForm) value(c *Command) etf.Value {
	if f.args == 0 {
		return etf.Atom(f.name)
	}
	return append(etf.Tuple{etf.Atom(f.name)}, f.encode(c)...)
}

func validSignal(n int) bool { return 1 <= n && n <= maxSignal }

func decodeNothing([maxArgs]etf.Term) (Command, bool) { return Command{}, true }

func encodeNothing(*Command) []etf.Value { return nil }

func decodeMask(args [maxArgs]etf.Term) (c Command, ok bool) {
	c.Masks[0], ok = args[0].Uint64()
	return c, ok
}

func decodeMasks(args [maxArgs]etf.Term) (c Command, ok bool) {
	for i, a := range args {
		if c.Masks[i], ok = a.Uint64(); !ok {
			return c, false
		}
	}
	return c, true
}

func encodeMask(c *Command) []etf.Value { return []etf.Value{etf.Mask(c.Masks[0])} }

func encodeMasks(c *Command) []etf.Value {
	return []etf.Value{etf.Mask(c.Masks[0]), etf.Mask(c.Masks[1]), etf.Mask(c.Masks[2])}
}

func decodeData(args [maxArgs]etf.Term) (c Command, ok bool) {
	c.Data, ok = args[0].Bytes()
	return c, ok
}

func encodeData(c *Command) []etf.Value { return []etf.Value{etf.Binary(c.Data)} }

func decodeSignal(args [maxArgs]etf.Term) (Command, bool) {
	n, ok := args[0].Uint64()
	if !ok || n > maxSignal || !validSignal(int(n)) {
		return Command{}, false
	}
	return Command{Signal: int(n)}, true
}

func encodeSignal(c *Command) []etf.Value { return []etf.Value{etf.Int(c.Signal)} }

func decodeWinsize(args [maxArgs]etf.Term) (Command, bool) {
	tuple, ok := args[0].Tuple()
	if !ok || tuple.Len() != 4 {
		return Command{}, false
	}
	var sizes [4]uint16
	for i := range sizes {
		n, ok := tuple.Next().Uint64()
		if !ok || n > math.MaxUint16 {
			return Command{}, false
		}
		sizes[i] = uint16(n)
	}
	return Command{Winsize: Winsize{Rows: sizes[0], Cols: sizes[1], XPix: sizes[2], YPix: sizes[3]}}, true
}

func encodeWinsize(c *Command) []etf.Value {
	w := c.Winsize
	return []etf.Value{etf.Tuple{etf.Int(w.Rows), etf.Int(w.Cols), etf.Int(w.XPix), etf.Int(w.YPix)}}
}
