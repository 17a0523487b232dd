package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
)

const (
	rounds  = 500
	program = "/bin/true"
)

// sessions compares a whole session, and one on an agent that was there before,
// with starting the programs alone.
func sessions(agent, empty string) error {
	var starts, programs, whole, running sample
	for range rounds {
		for _, step := range []func() error{
			func() error { return starts.take(exec.Command(empty).Run) },
			func() error { return programs.take(exec.Command(program).Run) },
			func() error { return whole.take(func() error { return session(agent) }) },
			func() error { return ready(agent, &running) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("empty static Go program       %v\n", starts)
	fmt.Printf("fork and exec of %s    %v\n", program, programs)
	fmt.Printf("whole session                 %v\n", whole)
	fmt.Printf("  to the sum of the two       %.2f\n", ratio(whole.median(), starts.median()+programs.median()))
	fmt.Printf("request to :running           %v\n", running)
	fmt.Printf("  to fork and exec            %.2f\n", ratio(running.median(), programs.median()))
	return nil
}

func request() proto.Request {
	return proto.Request{Argv: []string{program}, Orphan: proto.DefaultOrphan}
}

// session starts an agent and runs the program in it, up to the agent's exit.
func session(agent string) error {
	ctx := context.Background()
	s, err := client.Start(ctx, client.Options{Path: agent})
	if err != nil {
		return err
	}
	if err := s.Request(request()); err != nil {
		return err
	}
	if err := s.Proceed(); err != nil {
		return err
	}
	if _, err := s.Wait(ctx); err != nil {
		return err
	}
	return s.Close()
}

// ready measures from the request to :running on an agent that idles.
func ready(agent string, to *sample) error {
	ctx := context.Background()
	s, err := client.Start(ctx, client.Options{Path: agent})
	if err != nil {
		return err
	}
	defer s.Close()
	// Nothing tells when the agent has come to wait for its request.
	time.Sleep(4 * time.Millisecond)
	err = to.take(func() error {
		if err := s.Request(request()); err != nil {
			return err
		}
		if err := s.Proceed(); err != nil {
			return err
		}
		return s.AwaitRunning(ctx)
	})
	if err != nil {
		return err
	}
	_, err = s.Wait(ctx)
	return err
}
