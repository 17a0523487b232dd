package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/linxprocess/linx-process/etf"
	"github.com/linxprocess/linx-process/proto"
)

// explain has the agent print the system calls that the child would make. It gets
// the request and the commands of the checkpoint on descriptor 3 and starts
// nothing.
func explain(p *plan) (int, error) {
	frames, err := p.frames()
	if err != nil {
		return exitFailed, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return exitFailed, err
	}
	defer w.Close()
	cmd := exec.Command(p.agentPath, "--explain")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{r}
	err = cmd.Start()
	r.Close()
	if err != nil {
		return exitFailed, fmt.Errorf("start the agent: %w", err)
	}
	// An agent that has seen enough says so itself.
	_, _ = w.Write(frames)
	w.Close()
	if err := cmd.Wait(); err != nil {
		return exitFailed, fmt.Errorf("the agent: %w", err)
	}
	return 0, nil
}

// frames are the request and the commands of the checkpoint.
func (p *plan) frames() ([]byte, error) {
	payload, err := proto.EncodeRequest(p.request)
	if err != nil {
		return nil, err
	}
	frames := etf.AppendFrame(nil, payload)
	have, err := p.expectedCapSets()
	if err != nil {
		return nil, err
	}
	for _, c := range append(p.commands(have), proto.Command{Kind: proto.Proceed}) {
		if payload, err = proto.EncodeCommand(c); err != nil {
			return nil, err
		}
		frames = etf.AppendFrame(frames, payload)
	}
	return frames, nil
}
