// bench measures the agent side by side with what it cannot be faster than, in
// one run, and prints ratios. It is told nothing and asks nothing; see `make
// bench`.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	empty, err := buildEmpty(dir)
	if err != nil {
		return err
	}
	agent, err := filepath.Abs("bin/linx-process")
	if err != nil {
		return err
	}
	for _, measure := range []func() error{
		func() error { return sessions(agent, empty) },
		func() error { return parked(agent) },
		func() error { return terminal(agent) },
	} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// buildEmpty builds a Go program that does nothing, as static and as stripped as
// the agent.
func buildEmpty(dir string) (string, error) {
	source := filepath.Join(dir, "empty.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "empty")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return binary, nil
}

// sample is the durations of one kind of run.
type sample []time.Duration

// take measures one run.
func (s *sample) take(f func() error) error {
	begin := time.Now()
	err := f()
	*s = append(*s, time.Since(begin))
	return err
}

func (s sample) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[int(q*float64(len(sorted)-1))]
}

func (s sample) median() time.Duration { return s.quantile(0.5) }

func (s sample) String() string {
	return fmt.Sprintf("p50 %v, p99 %v", s.median().Round(time.Microsecond), s.quantile(0.99).Round(time.Microsecond))
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
