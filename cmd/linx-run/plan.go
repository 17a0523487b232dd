package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/term"
)

// maxFilter is the size in bytes of the longest classic BPF program that the kernel
// takes (BPF_MAXINSNS).
const maxFilter = 4096 * 8

// plan is all that is known before the agent is started.
type plan struct {
	*options
	agentPath string
	request   proto.Request
	programs  [][]byte // of the filters
}

// plan resolves and reads what the options name.
func (o *options) plan() (*plan, error) {
	p := &plan{options: o}
	var err error
	if p.agentPath, err = o.findAgent(); err != nil {
		return nil, err
	}
	for _, name := range o.filters {
		program, err := readFilter(name)
		if err != nil {
			return nil, err
		}
		p.programs = append(p.programs, program)
	}
	p.request = o.request(os.Environ(), term.IsTerminal(0) && term.IsTerminal(1))
	p.request.Argv = slices.Clone(o.argv)
	p.request.Argv[0], err = o.resolve(p.request.Env)
	return p, err
}

// request is all of the request but argv. interactive tells that the command gets a
// terminal of its own where the options do not say.
func (o *options) request(environment []string, interactive bool) proto.Request {
	r := proto.Request{
		Namespaces: o.namespaces,
		Cwd:        o.cwd,
		NoNewPrivs: o.noNewPrivs,
		Orphan:     o.orphan,
		Stdio:      proto.Stdio{PTY: o.pty || interactive && !o.noPTY},
		Env:        o.environment(environment),
	}
	if o.enter != 0 {
		r.Kind, r.Target = proto.Enter, o.enter
		return r // with --all as without --ns: every one that differs
	}
	if o.all {
		r.Namespaces = allNamespaces()
	}
	if o.mapRoot && !slices.Contains(r.Namespaces, proto.User) {
		r.Namespaces = append([]proto.Namespace{proto.User}, r.Namespaces...)
	}
	return r
}

// environment is what the options make of the one that linx-run has; nil where
// they leave it alone.
func (o *options) environment(own []string) []string {
	switch {
	case o.clearEnv:
		own = nil
	case len(o.env) == 0:
		return nil
	}
	env := []string{}
	// The last one of a name counts, in its place.
	for _, v := range slices.Concat(own, o.env) {
		name, _, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			continue // no variable, and not the command's business
		}
		same := func(w string) bool { return strings.HasPrefix(w, name+"=") }
		if i := slices.IndexFunc(env, same); i >= 0 {
			env[i] = v
		} else {
			env = append(env, v)
		}
	}
	return env
}

// findAgent is the binary of the agent: the one that was named, the one beside
// linx-run, or, as a bare name, the one on PATH.
func (o *options) findAgent() (string, error) {
	const name = "linx-process"
	if o.agent != "" {
		return o.agent, nil
	}
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			beside := filepath.Join(filepath.Dir(self), name)
			if _, err := os.Stat(beside); err == nil {
				return beside, nil
			}
		}
	}
	if path := searchPath(ownRoot, os.Getenv("PATH"), name); path.name != "" {
		return path.name, nil
	}
	return "", errors.New("cannot find linx-process beside linx-run or on PATH; name it with --agent")
}

func readFilter(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--seccomp-bpf: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFilter+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("--seccomp-bpf: %w", err)
	case len(b) == 0 || len(b) > maxFilter || len(b)%8 != 0:
		return nil, fmt.Errorf("--seccomp-bpf: %s is no classic BPF program: 1 to 4096 instructions of 8 bytes", name)
	}
	return b, nil
}
