package etf

import (
	"strings"
	"testing"
)

func TestInspect(t *testing.T) {
	tests := []struct {
		value Value
		want  string
	}{
		{Atom("spawned"), ":spawned"},
		{Atom("a_B9@c?"), ":a_B9@c?"},
		{Atom("ok!"), ":ok!"},
		{Atom("true"), "true"},
		{Atom("false"), "false"},
		{Atom("nil"), "nil"},
		{Atom(""), `:""`},
		{Atom("a b"), `:"a b"`},
		{Atom("9"), `:"9"`},
		{Atom("a?b"), `:"a?b"`},
		{Atom("é\x00\xff"), `:"é\x00\xFF"`},
		{Int(-5), "-5"},
		{Mask(0x1ff), "0x1FF"},
		{Binary(""), `""`},
		{Binary("/bin/true"), `"/bin/true"`},
		{Binary("a\"b\\c\n\t\r\a\b\v\f\x1b\x7f"), `"a\"b\\c\n\t\r\a\b\v\f\e\d"`},
		{Binary("#{x} # {"), `"\#{x} # {"`},
		{Binary("blåbær ж"), `"blåbær ж"`},
		{Binary("\x00"), "<<0>>"},
		{Binary("a\xff"), "<<97, 255>>"},
		{Binary("\u200b"), "<<226, 128, 139>>"},
		{Binary("\ufffd"), "\"\ufffd\""},
		{Binary(strings.Repeat("x", 256)), `"` + strings.Repeat("x", 256) + `"`},
		{Binary(strings.Repeat("x", 257)), "<<257 bytes>>"},
		{Tuple{}, "{}"},
		{Tuple{Atom("status"), Atom("spawned"), Int(4711)}, "{:status, :spawned, 4711}"},
		{List{}, "[]"},
		{List{Atom("user"), Atom("pid")}, "[:user, :pid]"},
		{List{Tuple{Atom("stdin"), Atom("pty")}, Tuple{Atom("a b"), Int(1)}}, `[stdin: :pty, "a b": 1]`},
		{List{Tuple{Atom("a"), Int(1)}, Int(2)}, "[{:a, 1}, 2]"},
		{List{Tuple{Int(1), Int(2)}}, "[{1, 2}]"},
		{List{Tuple{Atom("a"), Int(1), Int(2)}}, "[{:a, 1, 2}]"},
		{List(ints(51)), "[" + strings.Join(strings.Fields("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 "+
			"26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 ..."), ", ") + "]"},
		{Map{}, "%{}"},
		{Map{{"argv", List{Binary("a")}}, {"no no", Bool(true)}}, `%{argv: ["a"], "no no": true}`},
	}
	for _, test := range tests {
		if got := Inspect(test.value); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
