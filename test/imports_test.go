package test

import (
	"bufio"
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/linxprocess/linx-process/"

// imports says which packages of ours each package may import. It goes down this
// list only.
var imports = map[string][]string{
	"cmd/linx-process": {"agent"},
	"cmd/linx-run":     {"client", "caps", "proto", "etf"},
	"client":           {"proto", "etf"},
	"agent/sigfd":      {},
	"agent":            {"agent/sigfd", "relay", "stdio", "ns", "caps", "seccomp", "child", "child/nofile", "proto", "etf"},
	"relay":            {"proto"},
	"stdio":            {"child", "proto"},
	"ns":               {"child", "proto"},
	"caps":             {"child", "proto"},
	"seccomp":          {"child", "proto"},
	"child":            {},
	"child/nofile":     {},
	"proto":            {"etf"},
	"etf":              {},
	"test":             {"client", "proto"},
	"test/bench":       {"client", "proto"},
	"test/leak":        {},
}

// importers are the only packages that may import these.
var importers = map[string][]string{
	"github.com/okeuday/erlang_go/v2/erlang": {"etf"},
	"github.com/creack/pty":                  {"stdio"},
	"github.com/spf13/pflag":                 {"cmd/linx-run"},
	"github.com/moby/sys/capability":         {"caps"},
}

// pkg is what `go list -json` tells of a package, as far as it matters here.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list knows %d packages", len(all))
	}
	return all
}

func TestImports(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := imports[name]
		if !known {
			t.Errorf("%s is not in the table", name)
		}
		for _, path := range p.Imports {
			ours, isOurs := strings.CutPrefix(path, module)
			if isOurs && !contains(allowed, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
			if only, ok := importers[path]; ok && !contains(only, name) {
				t.Errorf("%s imports %s; only %v may", name, path, only)
			}
		}
	}
}

// unsafe only in files that say so by their name, and with a comment that says
// why it is sound; linkname only in package child.
func TestUnsafe(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, file := range p.GoFiles {
			path := filepath.Join(p.Dir, file)
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range f.Imports {
				if imported, _ := strconv.Unquote(spec.Path.Value); imported != "unsafe" {
					continue
				}
				if !strings.HasSuffix(file, "_unsafe.go") {
					t.Errorf("%s/%s imports unsafe", name, file)
				}
				if name == "agent" {
					t.Errorf("package agent has no business with unsafe (%s)", file)
				}
			}
			if strings.Contains(read(t, path), "\n//go:linkname") && name != "child" {
				t.Errorf("%s/%s pulls a name by linkname", name, file)
			}
		}
	}
}

// Files stay short: what does not fit has two subjects.
func TestFilesAreShort(t *testing.T) {
	const most = 500
	for _, p := range list(t) {
		for _, file := range p.GoFiles {
			lines := 0
			for s := bufio.NewScanner(strings.NewReader(read(t, filepath.Join(p.Dir, file)))); s.Scan(); {
				lines++
			}
			if lines > most {
				t.Errorf("%s/%s has %d lines", p.ImportPath, file, lines)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}
