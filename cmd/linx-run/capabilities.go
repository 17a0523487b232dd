package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/linxprocess/linx-process/caps"
	"github.com/linxprocess/linx-process/proto"
)

// capSets are the capability sets of a process, as proc_pid_status(5) has them.
type capSets struct{ inheritable, permitted, effective, bounding uint64 }

// capSetsOf reads the sets of a process.
func capSetsOf(pid int) (capSets, error) {
	status, err := statusOf(pid)
	if err != nil {
		return capSets{}, err
	}
	return capSets{
		inheritable: status["CapInh"], permitted: status["CapPrm"],
		effective: status["CapEff"], bounding: status["CapBnd"],
	}, nil
}

// statusOf reads those fields of /proc/<pid>/status that are one hexadecimal mask.
func statusOf(pid int) (map[string]uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	masks := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64); err == nil {
			masks[name] = mask
		}
	}
	return masks, nil
}

// expectedCapSets are the sets that a child will have at the checkpoint. In a user
// namespace that it creates or joins it has all (user_namespaces(7)).
func (p *plan) expectedCapSets() (capSets, error) {
	own := p.request.Kind == proto.Enter && !p.joins(proto.User) ||
		p.request.Kind == proto.Spawn && !slices.Contains(p.request.Namespaces, proto.User)
	if own {
		return capSetsOf(os.Getpid())
	}
	all := caps.All()
	return capSets{permitted: all, effective: all, bounding: all}, nil
}

// commands are those for the checkpoint: the child has the sets, and shall lose
// and get what the options say. The bounding set goes first, as long as there is
// CAP_SETPCAP; a capability must be inheritable to become ambient; filters go last.
func (p *plan) commands(have capSets) []proto.Command {
	var commands []proto.Command
	dropped := p.dropped()
	if dropped&have.bounding != 0 {
		commands = append(commands, proto.Command{
			Kind:  proto.CapDropBounding,
			Masks: [3]uint64{dropped & have.bounding},
		})
	}
	ambient := uint64(0)
	if p.ambientCaps != nil {
		ambient = *p.ambientCaps
	}
	if dropped != 0 || ambient != 0 {
		commands = append(commands, proto.Command{Kind: proto.CapSetThread, Masks: [3]uint64{
			have.effective &^ dropped,
			have.permitted &^ dropped,
			have.inheritable&^dropped | ambient,
		}})
	}
	if ambient != 0 {
		commands = append(commands, proto.Command{Kind: proto.CapSetAmbient, Masks: [3]uint64{ambient}})
	}
	for _, program := range p.programs {
		commands = append(commands, proto.Command{Kind: proto.SeccompInstall, Data: program})
	}
	return commands
}
