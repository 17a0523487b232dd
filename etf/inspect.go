package etf

import (
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Where Inspect cuts: bytes of a binary, elements of a list.
const (
	inspectBytes    = 256
	inspectElements = 50
)

// Inspect returns v on one line in the syntax of Elixir, as inspect/1 does. What
// is long is cut: a binary of more than 256 bytes is <<200000 bytes>>, and a list
// of more than 50 elements ends in an ellipsis.
func Inspect(v Value) string { return string(v.inspect(nil)) }

func (a Atom) inspect(dst []byte) []byte {
	switch a {
	case "true", "false", "nil":
		return append(dst, a...)
	}
	dst = append(dst, ':')
	if a.plain() {
		return append(dst, a...)
	}
	return appendQuoted(dst, string(a))
}

// plain tells whether Elixir writes the atom without quotes.
func (a Atom) plain() bool {
	for i, c := range []byte(a) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		inside := '0' <= c && c <= '9' || c == '@'
		last := i == len(a)-1 && (c == '?' || c == '!')
		if !letter && (i == 0 || !inside && !last) {
			return false
		}
	}
	return a != ""
}

func (b Binary) inspect(dst []byte) []byte {
	if len(b) > inspectBytes {
		return fmt.Appendf(dst, "<<%d bytes>>", len(b))
	}
	if printable(b) {
		return appendQuoted(dst, string(b))
	}
	dst = append(dst, "<<"...)
	for i, c := range b {
		dst = separate(dst, i)
		dst = strconv.AppendUint(dst, uint64(c), 10)
	}
	return append(dst, ">>"...)
}

func (n Int) inspect(dst []byte) []byte { return strconv.AppendInt(dst, int64(n), 10) }

func (m Mask) inspect(dst []byte) []byte { return fmt.Appendf(dst, "0x%X", uint64(m)) }

func (t Tuple) inspect(dst []byte) []byte {
	dst = append(dst, '{')
	for i, v := range t {
		dst = separate(dst, i)
		dst = v.inspect(dst)
	}
	return append(dst, '}')
}

func (l List) inspect(dst []byte) []byte {
	keywords := l.keywords()
	dst = append(dst, '[')
	for i, v := range l {
		dst = separate(dst, i)
		if i == inspectElements {
			dst = append(dst, "..."...)
			break
		}
		if keywords {
			pair := v.(Tuple)
			dst = appendKey(dst, pair[0].(Atom))
			v = pair[1]
		}
		dst = v.inspect(dst)
	}
	return append(dst, ']')
}

// keywords tells whether every element is {atom, value}, for which Elixir has a
// syntax of its own.
func (l List) keywords() bool {
	for _, v := range l {
		pair, ok := v.(Tuple)
		if !ok || len(pair) != 2 {
			return false
		}
		if _, ok = pair[0].(Atom); !ok {
			return false
		}
	}
	return true
}

func (m Map) inspect(dst []byte) []byte {
	dst = append(dst, "%{"...)
	for i, e := range m {
		dst = separate(dst, i)
		dst = appendKey(dst, e.Key)
		dst = e.Value.inspect(dst)
	}
	return append(dst, '}')
}

func appendKey(dst []byte, key Atom) []byte {
	if key.plain() {
		dst = append(dst, key...)
	} else {
		dst = appendQuoted(dst, string(key))
	}
	return append(dst, ": "...)
}

func separate(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ", "...)
	}
	return dst
}

// escapes are the characters that Elixir writes with a backslash in a string.
var escapes = [...]struct {
	char   rune
	escape string
}{
	{'"', `\"`},
	{'\\', `\\`},
	{'\a', `\a`},
	{'\b', `\b`},
	{'\t', `\t`},
	{'\n', `\n`},
	{'\v', `\v`},
	{'\f', `\f`},
	{'\r', `\r`},
	{0x1b, `\e`},
	{0x7f, `\d`},
}

func escapeOf(c rune) string {
	for _, e := range escapes {
		if e.char == c {
			return e.escape
		}
	}
	return ""
}

// printable tells whether a binary is written as a string.
func printable(b []byte) bool {
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		if c == utf8.RuneError && n == 1 || !unicode.IsPrint(c) && escapeOf(c) == "" {
			return false
		}
		b = b[n:]
	}
	return true
}

// appendQuoted writes s as a string; what it has no character or escape for
// becomes \xNN, byte by byte.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		escape := escapeOf(c)
		switch {
		case escape != "":
			dst = append(dst, escape...)
		case len(s) > 1 && s[:2] == "#{": // interpolation
			dst = append(dst, `\#`...)
		case c == utf8.RuneError && n == 1 || !unicode.IsPrint(c):
			for _, b := range []byte(s[:n]) {
				dst = fmt.Appendf(dst, `\x%02X`, b)
			}
		default:
			dst = append(dst, s[:n]...)
		}
		s = s[n:]
	}
	return append(dst, '"')
}
