// linx-process runs one workload in a Linux sandbox for the program that started
// it, which talks to it on descriptors 3 and 4. See linx-process(1).
package main

import (
	"fmt"
	"os"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "linx-process:", err)
	}
	os.Exit(code)
}
