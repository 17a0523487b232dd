// linx-run runs a command in a Linux sandbox, for people. It drives the agent,
// linx-process, exactly as a port of Erlang would: by the control protocol, and by
// what can be done from outside with the pid of a parked child. See linx-run(1).
package main

import "os"

func main() { os.Exit(run(os.Args[1:])) }
