package main

import (
	"fmt"
	"os"
)

// version is stamped by the Makefile.
var version = "unknown"

// run does what the arguments say and returns the exit status. What went wrong is
// said on stderr, in one line.
func run(args []string) int {
	code, err := do(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "linx-run:", err)
	}
	return code
}

func do(args []string) (int, error) {
	o, err := parse(args)
	if err != nil {
		return exitFailed, err
	}
	switch {
	case o.help:
		fmt.Print(help)
		return 0, nil
	case o.version:
		fmt.Println("linx-run", version)
		return 0, nil
	}
	p, err := o.plan()
	if err != nil {
		return codeOf(err), err
	}
	if o.explain {
		return explain(p)
	}
	return execute(p)
}
