package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/caps"
	"github.com/linxprocess/linx-process/proto"
)

func ptr[T any](v T) *T { return &v }

func TestParse(t *testing.T) {
	command := func(o options) options {
		o.argv = []string{"true"}
		if o.orphan == (proto.OrphanPolicy{}) {
			o.orphan = proto.DefaultOrphan
		}
		return o
	}
	for line, want := range map[string]options{
		"true":                                command(options{}),
		"-- true":                             command(options{}),
		"--ns user,pid,user,time true":        command(options{namespaces: []proto.Namespace{proto.User, proto.PID, proto.Time}}),
		"--ns user --ns=net true":             command(options{namespaces: []proto.Namespace{proto.User, proto.Net}}),
		"--all --map-root true":               command(options{all: true, mapRoot: true}),
		"--enter 17 --all true":               command(options{enter: 17, all: true}),
		"--pty true":                          command(options{pty: true}),
		"--no-pty true":                       command(options{noPTY: true}),
		"--cwd /tmp true":                     command(options{cwd: ptr("/tmp")}),
		"--cwd= true":                         command(options{cwd: ptr("")}),
		"--env A=b --env C= --clear-env true": command(options{env: []string{"A=b", "C="}, clearEnv: true}),
		"--drop-caps chown,cap_setpcap true":  command(options{dropCaps: ptr(uint64(1<<0 | 1<<8))}),
		"--keep-caps all true":                command(options{keepCaps: ptr(caps.All())}),
		"--keep-caps none true":               command(options{keepCaps: ptr(uint64(0))}),
		"--drop-caps chown --ambient-caps 13 true": command(options{
			dropCaps: ptr(uint64(1)), ambientCaps: ptr(uint64(1 << 13)),
		}),
		"--seccomp-bpf a --seccomp-bpf b,c true": command(options{filters: []string{"a", "b,c"}}),
		"--no-new-privs true":                    command(options{noNewPrivs: true}),
		"--orphan linger true":                   command(options{orphan: proto.OrphanPolicy{Linger: true}}),
		"--orphan kill true":                     command(options{}),
		"--orphan kill:2147483647 true":          command(options{orphan: proto.OrphanPolicy{GraceMS: 2147483647}}),
		"--trace --explain --agent /a true":      command(options{trace: true, explain: true, agent: "/a"}),
		"--trace sh --trace -- --help": {
			trace: true, orphan: proto.DefaultOrphan,
			argv: []string{"sh", "--trace", "--", "--help"},
		},
		"--help":    {help: true, orphan: proto.DefaultOrphan},
		"-h":        {help: true, orphan: proto.DefaultOrphan},
		"--version": {version: true, orphan: proto.DefaultOrphan},
	} {
		t.Run(line, func(t *testing.T) {
			got, err := parse(strings.Fields(line))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.argv) == 0 {
				got.argv = nil
			}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("got  %+v\nwant %+v", *got, want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                       "no command to run",
		"--pty --no-pty true":    "exclude each other",
		"--all --ns user true":   "exclude each other",
		"--ns mnt true":          `no such namespace: "mnt"`,
		"--ns= true":             `no such namespace: ""`,
		"--enter 0 true":         "a process id is a number greater than 0",
		"--enter self true":      "a process id is a number greater than 0",
		"--enter 1 --map-root x": "--enter joins one that has its maps",
		"--env A true":           "a variable is KEY=VALUE",
		"--env =b true":          "a variable is KEY=VALUE",
		"--drop-caps chwon true": "chwon",
		"--drop-caps chown --keep-caps chown true":    "exclude each other",
		"--drop-caps chown --ambient-caps chown true": "a capability that is dropped",
		"--keep-caps chown --ambient-caps kill true":  "a capability that is dropped",
		"--orphan die true":                           "a policy is linger, kill or kill:MS",
		"--orphan kill:-1 true":                       "a number of milliseconds",
		"--orphan kill:2147483648 true":               "a number of milliseconds",
		"--orphan kill: true":                         "a number of milliseconds",
		"--orphan linger:5 true":                      "a policy is linger, kill or kill:MS",
		"--nonsense true":                             "unknown flag: --nonsense",
		"--cwd":                                       "flag needs an argument: --cwd",
	} {
		t.Run(line, func(t *testing.T) {
			_, err := parse(strings.Fields(line))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
			if err != nil && (!strings.HasSuffix(err.Error(), "; see linx-run --help") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("not one line that says where to look: %q", err)
			}
		})
	}
	if _, err := parse([]string{""}); err == nil {
		t.Error("an empty command is accepted")
	}
}

func TestHelpFitsAScreenAndNamesEveryFlag(t *testing.T) {
	lines := slices.Collect(strings.Lines(help))
	// The prompt comes below it.
	if len(lines) > 23 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("too wide: %q", line)
		}
	}
	for _, flag := range []string{
		"ns", "all", "map-root", "enter", "pty", "no-pty", "cwd", "env", "clear-env", "drop-caps", "keep-caps",
		"ambient-caps", "seccomp-bpf", "no-new-privs", "orphan", "trace", "explain", "agent", "version", "help",
	} {
		if !strings.Contains(help, "--"+flag) {
			t.Errorf("--%s is missing", flag)
		}
	}
}
