package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/caps"
	"github.com/linxprocess/linx-process/proto"
)

func TestEnvironment(t *testing.T) {
	own := []string{"A=1", "B=2", "nonsense", "=x"}
	for _, c := range []struct {
		name string
		o    options
		want []string
	}{
		{"left alone", options{}, nil},
		{"added", options{env: []string{"C=3"}}, []string{"A=1", "B=2", "C=3"}},
		{"replaced", options{env: []string{"A=3", "A=4=5"}}, []string{"A=4=5", "B=2"}},
		{"cleared", options{clearEnv: true}, []string{}},
		{"cleared and set", options{clearEnv: true, env: []string{"B=3"}}, []string{"B=3"}},
	} {
		if got := c.o.environment(own); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		o    options
		want proto.Request
	}{
		{"plain", options{}, proto.Request{}},
		{"all", options{all: true}, proto.Request{Namespaces: allNamespaces()}},
		{
			"map-root brings the user namespace",
			options{mapRoot: true, namespaces: []proto.Namespace{proto.PID}},
			proto.Request{Namespaces: []proto.Namespace{proto.User, proto.PID}},
		},
		{
			"enter joins what differs",
			options{enter: 7, all: true},
			proto.Request{Kind: proto.Enter, Target: 7},
		},
		{
			"enter joins what is named",
			options{enter: 7, namespaces: []proto.Namespace{proto.Net}},
			proto.Request{Kind: proto.Enter, Target: 7, Namespaces: []proto.Namespace{proto.Net}},
		},
		{
			"the rest",
			options{pty: true, cwd: ptr("/"), noNewPrivs: true, orphan: proto.DefaultOrphan, clearEnv: true},
			proto.Request{
				Stdio: proto.Stdio{PTY: true}, Cwd: ptr("/"), NoNewPrivs: true,
				Orphan: proto.DefaultOrphan, Env: []string{},
			},
		},
	} {
		if got := c.o.request(nil, false); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestWhoGetsATerminal(t *testing.T) {
	for _, c := range []struct{ pty, noPTY, interactive, want bool }{
		{false, false, false, false},
		{false, false, true, true},
		{true, false, false, true},
		{false, true, true, false},
	} {
		o := options{pty: c.pty, noPTY: c.noPTY}
		if got := o.request(nil, c.interactive).Stdio.PTY; got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

func TestCheckpointCommands(t *testing.T) {
	const a, b, c = 1 << 1, 1 << 2, 1 << 3
	have := capSets{inheritable: a, permitted: a | b | c, effective: a | b, bounding: a | b | c}
	filters := [][]byte{make([]byte, 8), make([]byte, 16)}
	for _, test := range []struct {
		name string
		p    plan
		want []proto.Command
	}{
		{"nothing", plan{options: &options{}}, nil},
		{"drop", plan{options: &options{dropCaps: ptr(uint64(a))}}, []proto.Command{
			{Kind: proto.CapDropBounding, Masks: [3]uint64{a}},
			{Kind: proto.CapSetThread, Masks: [3]uint64{b, b | c, 0}},
		}},
		{"drop what is gone from the bounding set", plan{options: &options{dropCaps: ptr(uint64(1 << 9))}}, []proto.Command{
			{Kind: proto.CapSetThread, Masks: [3]uint64{a | b, a | b | c, a}},
		}},
		{"keep", plan{options: &options{keepCaps: ptr(uint64(b))}}, []proto.Command{
			{Kind: proto.CapDropBounding, Masks: [3]uint64{a | c}},
			{Kind: proto.CapSetThread, Masks: [3]uint64{b, b, 0}},
		}},
		{"ambient", plan{options: &options{ambientCaps: ptr(uint64(b))}}, []proto.Command{
			{Kind: proto.CapSetThread, Masks: [3]uint64{a | b, a | b | c, a | b}},
			{Kind: proto.CapSetAmbient, Masks: [3]uint64{b}},
		}},
		{"no ambient", plan{options: &options{ambientCaps: ptr(uint64(0))}}, nil},
		{"filters in their order", plan{options: &options{keepCaps: ptr(uint64(0))}, programs: filters}, []proto.Command{
			{Kind: proto.CapDropBounding, Masks: [3]uint64{a | b | c}},
			{Kind: proto.CapSetThread},
			{Kind: proto.SeccompInstall, Data: filters[0]},
			{Kind: proto.SeccompInstall, Data: filters[1]},
		}},
	} {
		if got := test.p.commands(have); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestExpectedCapSets(t *testing.T) {
	own, err := capSetsOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all := capSets{permitted: caps.All(), effective: caps.All(), bounding: caps.All()}
	self := os.Getpid()
	for name, c := range map[string]struct {
		o    options
		want capSets
	}{
		"no user namespace":    {options{}, own},
		"a user namespace":     {options{mapRoot: true}, all},
		"enter, the same":      {options{enter: self}, own},
		"enter, another named": {options{enter: self, namespaces: []proto.Namespace{proto.Net}}, own},
	} {
		p := plan{options: &c.o, request: c.o.request(nil, false)}
		if got, err := p.expectedCapSets(); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestSearchPath(t *testing.T) {
	root := t.TempDir()
	file := func(name string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	file("bin/first", 0o755)
	file("sbin/first", 0o755)
	file("bin/data", 0o644)
	file("sbin/later", 0o755)
	file("bin/later", 0o644)
	file("bin/dir/x", 0o644)
	file("opt/real", 0o755)
	link("/opt/real", "bin/absolute")
	link("../../../../opt/real", "bin/climbing")
	link("nowhere", "bin/dangling")
	const list = "relative:/none:/bin:/sbin"
	for name, want := range map[string]found{
		"first":    {"/bin/first", true},
		"data":     {"/bin/data", false},
		"later":    {"/sbin/later", true},
		"dir":      {},
		"absolute": {"/bin/absolute", true},
		"climbing": {"/bin/climbing", true},
		"dangling": {},
		"missing":  {},
	} {
		if got := searchPath(root, list, name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if got := searchPath(root+"/none", list, "first"); got != (found{}) {
		t.Errorf("without a root: %+v", got)
	}
}

func TestResolveUsesTheCommandsPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/tool", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	o := options{argv: []string{"tool"}}
	if got, err := o.resolve([]string{"PATH=" + dir}); err != nil || got != dir+"/tool" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := o.resolve([]string{"PATH=/none"}); codeOf(err) != exitNotFound {
		t.Errorf("not there: %v", err)
	}
	t.Setenv("PATH", dir)
	if got, err := o.resolve([]string{}); err != nil || got != dir+"/tool" {
		t.Errorf("without one: %q, %v", got, err)
	}
	o.argv[0] = "./tool"
	if got, err := o.resolve(nil); err != nil || got != "./tool" {
		t.Errorf("with a slash: %q, %v", got, err)
	}
}

func TestFilterFiles(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"empty": 0, "odd": 12, "long": maxFilter + 8} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readFilter(file); err == nil || !strings.Contains(err.Error(), "no classic BPF program") {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(dir, "longest")
	if err := os.WriteFile(file, make([]byte, maxFilter), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := readFilter(file); err != nil || len(b) != maxFilter {
		t.Errorf("longest: %d bytes, %v", len(b), err)
	}
	if _, err := readFilter(dir + "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
