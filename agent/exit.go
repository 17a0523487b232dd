package agent

import (
	"strings"

	"github.com/linxprocess/linx-process/child"
	"github.com/linxprocess/linx-process/proto"
)

// exitCode is how the agent process ends.
type exitCode int

const (
	exitReported  exitCode = 0 // the workload's end, a failure before it executed, or an abort was reported
	exitChannel   exitCode = 1 // control channel lost or unusable; a checkpoint command failed
	exitMalformed exitCode = 2 // malformed or oversized request
	exitClone     exitCode = 3 // clone, or joining namespaces, failed
	exitSetup     exitCode = 4 // the agent's own set-up failed
)

// codeOf is the exit code for a failure up to the checkpoint.
func codeOf(stage proto.Stage) exitCode {
	switch {
	case stage == proto.StageClone, stage == proto.StageFork,
		strings.HasPrefix(string(stage), "open_ns_"),
		strings.HasPrefix(string(stage), "setns_"):
		return exitClone
	default:
		return exitSetup
	}
}

// ended is the frame for the end of the workload.
func ended(s child.Status) proto.Event {
	if s.Signaled {
		return proto.Event{Kind: proto.Signaled, N: s.Number}
	}
	return proto.Event{Kind: proto.Exited, N: s.Number}
}
