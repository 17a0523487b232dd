package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/linxprocess/linx-process/client"
)

// parked tells what agents cost that wait at the checkpoint, in KiB.
func parked(agent string) error {
	const many = 100
	ctx := context.Background()
	var pss, rss int
	var all []*client.Session
	defer func() {
		for _, s := range all {
			s.Close()
		}
	}()
	for range many {
		s, err := client.Start(ctx, client.Options{Path: agent})
		if err != nil {
			return err
		}
		all = append(all, s)
		if err := s.Request(request()); err != nil {
			return err
		}
		if _, _, err := s.AwaitReady(ctx); err != nil {
			return err
		}
	}
	for _, s := range all {
		r, p, err := memory(s.AgentPID())
		if err != nil {
			return err
		}
		rss, pss = max(rss, r), pss+p
	}
	fmt.Printf("parked agent                  resident %d KiB; %d at once: %d KiB each, proportional\n", rss, many, pss/many)
	return nil
}

// memory reads Rss and Pss of /proc/<pid>/smaps_rollup, in KiB.
func memory(pid int) (rss, pss int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		// Lines of another form leave both alone.
		_, _ = fmt.Sscanf(line, "Rss: %d kB", &rss)
		_, _ = fmt.Sscanf(line, "Pss: %d kB", &pss)
	}
	return rss, pss, nil
}
