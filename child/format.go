package child

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// String prints the program, one line per system call: where its result goes,
// the call, its stage, and what an error leads to where that is not failure.
func (p Program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n", p.Name)
	for _, o := range p.Ops {
		fmt.Fprintf(&b, "  %s\n", o)
	}
	return b.String()
}

func (o Op) String() string {
	var b strings.Builder
	if o.Out != NoWord {
		fmt.Fprintf(&b, "$%d = ", o.Out)
	}
	b.WriteString(o.Call.Name)
	b.WriteByte('(')
	for i, g := range o.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(g.String())
	}
	b.WriteByte(')')
	if o.Stage != "" {
		fmt.Fprintf(&b, "  [%s]", o.Stage)
	}
	switch {
	case o.OnError == GoOn:
		b.WriteString("  on error: go on")
	case o.OnError > GoOn:
		fmt.Fprintf(&b, "  on error: skip %d", o.OnError-GoOn)
	}
	return b.String()
}

func (g Arg) String() string {
	switch {
	case g.text != "":
		return g.text
	case g.kind == kindSignal && unix.SignalName(unix.Signal(g.value)) != "":
		return unix.SignalName(unix.Signal(g.value))
	case g.kind == kindString:
		return strconv.Quote(string(g.to.data))
	case g.kind == kindVector:
		quoted := make([]string, len(g.to.strings))
		for i, s := range g.to.strings {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case g.kind == kindBytes:
		return fmt.Sprintf("{%d bytes}", len(g.to.data))
	case g.kind == kindValue:
		return fmt.Sprintf("$%d", g.value)
	case g.kind == kindAddress:
		return fmt.Sprintf("&$%d", g.value)
	default:
		return strconv.FormatInt(int64(g.value), 10)
	}
}
