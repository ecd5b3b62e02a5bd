package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "linktape"

// A layer is a part of the module and what it may import of ours. Patterns are
// Go's: "synth" is that folder, "synth/..." includes its subfolders.
type layer struct {
	part string
	may  []string
}

// layers is the import direction of DESIGN.md: trace ← synth ← traces;
// trace ← edt ← netsetup; trace, edt, netsetup ← replay; trace, netsetup ← record; all of these ← trial;
// everything ← cmd. The first layer that holds a folder counts.
func layers() []layer {
	return []layer{
		{"trace", nil},
		{"trace/...", []string{"trace/..."}},
		{"synth/...", []string{"synth/...", "trace/...", "internal/..."}},
		{"traces/...", []string{"traces/...", "synth/...", "trace/..."}},
		{"edt/...", []string{"edt/...", "trace/..."}},
		{"netsetup/...", []string{"netsetup/...", "edt/...", "trace/...", "internal/..."}},
		{"replay/...", []string{"replay/...", "netsetup/...", "edt/...", "trace/...", "internal/..."}},
		{"record/...", []string{"record/...", "netsetup/...", "trace/...", "internal/..."}},
		{"trial/...", []string{"trial/...", "replay/...", "record/...", "netsetup/...", "traces/...", "synth/...", "trace/...", "internal/..."}},
		{"cmd/...", []string{"..."}},
		{"internal/...", []string{"internal/...", "trace/..."}},
	}
}

// testsMay is what test files may import in addition to their layer: the
// package under test from outside, test helpers, and tapes.
func testsMay(dir string) []string {
	return []string{dir, "trace/...", "internal/..."}
}

// An owner is the only part that may import some packages of others.
type owner struct {
	prefix string // of import paths
	part   string
	reason string
}

func owners() []owner {
	return []owner{
		{"github.com/vishvananda/netlink", "netsetup/...", "only netsetup talks to netlink"},
		{"github.com/vishvananda/netns", "netsetup/...", "only netsetup enters namespaces"},
		{"github.com/safchain/ethtool", "netsetup/...", "only netsetup sets up interfaces"},
		{"github.com/cilium/ebpf", "edt/bpf", "only edt/bpf loads programs into the kernel"},
		{"github.com/apache/arrow", "trace", "only trace reads and writes tapes, and internal/table logs"},
	}
}

// An exception lets one folder import what the rules forbid.
type exception struct {
	part, may string // patterns; may is a full import path
	reason    string
}

func exceptions() []exception {
	return []exception{
		{"internal/table", "github.com/apache/arrow/...", "writes logs and counters, which are no tapes"},
		{"internal/bare", "github.com/apache/arrow/...", "is what benchmarks compare the writing of tapes with"},
		{"internal/demo", "linktape/...", "is a command that runs the others, kept out of bin's tools for users"},
		{"internal/accuracy", "linktape/...", "is a command that measures the others' work for the documentation"},
	}
}

// match reports whether a folder or import path fits a pattern.
func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == prefix || strings.HasPrefix(name, prefix+"/")
	}
	return name == pattern
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// checkSources returns what is wrong with the Go sources of a module, in the
// order of the file names. Files of every OS and build tag count.
func checkSources(module string, fsys fs.FS) ([]string, error) {
	var faults []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(name) || d.Name() == "testdata" || d.Name() == "vendor" || strings.HasPrefix(d.Name(), "_") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		faults = append(faults, checkSource(module, name, src)...)
		return nil
	})
	return faults, err
}

func checkSource(module, name string, src []byte) []string {
	var faults []string
	fset := token.NewFileSet()
	fault := func(pos token.Pos, format string, args ...any) {
		p := fset.Position(pos)
		faults = append(faults, fmt.Sprintf("%s:%d: %s", name, p.Line, fmt.Sprintf(format, args...)))
	}
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	dir, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	for _, bad := range []string{"util", "utils", "common"} {
		if f.Name.Name == bad || f.Name.Name == bad+"_test" || path.Base(dir) == bad {
			fault(f.Name.Pos(), "a package named %s says nothing: name it after its subject", bad)
		}
	}
	for _, imp := range f.Imports {
		to, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			fault(imp.Pos(), "import %s: %v", imp.Path.Value, err)
			continue
		}
		if reason := forbidden(module, dir, to, test); reason != "" {
			fault(imp.Pos(), "%s may not import %s: %s", dir, to, reason)
		}
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				fault(d.Pos(), "func init: do it where it is needed")
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR && !test {
				checkVars(d, fault)
			}
		}
	}
	return faults
}

// forbidden returns why a folder may not import a path, or "".
func forbidden(module, dir, to string, test bool) string {
	for _, e := range exceptions() {
		if match(e.part, dir) && match(e.may, to) {
			return ""
		}
	}
	for _, o := range owners() {
		if match(o.prefix+"/...", to) && !match(o.part, dir) {
			return o.reason
		}
	}
	var ours string
	switch {
	case to == module:
		ours = "."
	case strings.HasPrefix(to, module+"/"):
		ours = to[len(module)+1:]
	default:
		return ""
	}
	for _, l := range layers() {
		if !match(l.part, dir) {
			continue
		}
		if matchAny(l.may, ours) || test && matchAny(testsMay(dir), ours) {
			return ""
		}
		if l.may == nil {
			return "it imports nothing of ours"
		}
		return "of ours it imports only " + strings.Join(l.may, ", ")
	}
	return "no layer holds this folder; add it to layers() and DESIGN.md"
}

// checkVars finds variables that only make sense when other code sets them:
// package-level ones of a basic type without a value, and values of package
// flag. What go:embed fills in, and a version that the linker sets, is fine.
func checkVars(d *ast.GenDecl, fault func(token.Pos, string, ...any)) {
	for _, spec := range d.Specs {
		s := spec.(*ast.ValueSpec)
		if embedded(d.Doc) || embedded(s.Doc) || s.Names[0].Name == "version" {
			continue
		}
		if t, ok := s.Type.(*ast.Ident); ok && len(s.Values) == 0 && basic(t.Name) {
			fault(s.Pos(), "package variable %s is a setting: pass it as an argument or an option", s.Names[0].Name)
		}
		for _, v := range s.Values {
			call, ok := v.(*ast.CallExpr)
			if !ok {
				continue
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "flag" {
					fault(s.Pos(), "package variable %s is a flag: flags become one options struct in run", s.Names[0].Name)
				}
			}
		}
	}
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

func basic(name string) bool {
	switch name {
	case "bool", "string", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64",
		"float32", "float64", "byte", "rune":
		return true
	}
	return false
}

func TestSources(t *testing.T) {
	root := moduleRoot(t)
	faults, err := checkSources(module, os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// With another module path the rules would match nothing.
func TestModuleName(t *testing.T) {
	data, err := os.ReadFile(path.Join(moduleRoot(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), "module "+module+"\n") {
		t.Errorf("go.mod does not begin with module %s: the layers are not checked", module)
	}
}

func imports(pkg string, paths ...string) string {
	src := "package " + pkg + "\n"
	for _, p := range paths {
		src += fmt.Sprintf("import _ %q\n", p)
	}
	return src
}

func TestChecker(t *testing.T) {
	for _, c := range []struct {
		name, file, src string
		want            string // part of the only fault; "" = none
	}{
		{"trace alone", "trace/a.go", imports("trace", "fmt", "github.com/apache/arrow/go/v17/parquet"), ""},
		{"trace imports ours", "trace/a.go", imports("trace", "linktape/internal/cli"), "trace/a.go:2: trace may not import linktape/internal/cli: it imports nothing of ours"},
		{"trace imports convert", "trace/a.go", imports("trace", "linktape/trace/convert"), "nothing of ours"},
		{"trace test", "trace/a_test.go", imports("trace_test", "linktape/trace", "linktape/internal/privtest", "linktape/trace/convert"), ""},
		{"trace test imports synth", "trace/a_test.go", imports("trace_test", "linktape/synth"), "may not import"},
		{"convert", "trace/convert/a.go", imports("convert", "linktape/trace"), ""},
		{"convert imports synth", "trace/convert/a.go", imports("convert", "linktape/synth"), "only trace/..."},
		{"convert imports internal", "trace/convert/a.go", imports("convert", "linktape/internal/conf"), "only trace/..."},
		{"convert imports arrow", "trace/convert/a.go", imports("convert", "github.com/apache/arrow/go/v17/arrow"), "only trace reads"},
		{"synth", "synth/a.go", imports("synth", "linktape/trace", "linktape/internal/conf"), ""},
		{"synth imports traces", "synth/a.go", imports("synth", "linktape/traces"), "may not import"},
		{"synth imports netsetup", "synth/a.go", imports("synth", "linktape/netsetup"), "may not import"},
		{"edt", "edt/a.go", imports("edt", "linktape/trace"), ""},
		{"edt/bpf", "edt/bpf/a_linux.go", imports("bpf", "linktape/edt", "linktape/trace", "github.com/cilium/ebpf", "github.com/cilium/ebpf/asm"), ""},
		{"edt imports ebpf", "edt/a.go", imports("edt", "github.com/cilium/ebpf"), "only edt/bpf loads"},
		{"netsetup imports ebpf", "netsetup/a_linux.go", imports("netsetup", "linktape/edt/bpf", "github.com/cilium/ebpf/link"), "only edt/bpf loads"},
		{"edt imports netsetup", "edt/bpf/a.go", imports("bpf", "linktape/netsetup"), "may not import"},
		{"traces", "traces/a.go", imports("traces", "linktape/trace", "linktape/synth"), ""},
		{"traces imports internal", "traces/a.go", imports("traces", "linktape/internal/cli"), "may not import"},
		{"traces is not a part of trace", "traces/a.go", imports("traces", "github.com/apache/arrow/go/v17/arrow"), "only trace reads"},
		{"netsetup", "netsetup/a_linux.go", imports("netsetup", "linktape/trace", "github.com/vishvananda/netlink", "github.com/vishvananda/netlink/nl"), ""},
		{"netsetup subfolder", "netsetup/enc/a.go", imports("enc", "linktape/netsetup", "github.com/vishvananda/netns", "github.com/safchain/ethtool"), ""},
		{"netsetup imports replay", "netsetup/a.go", imports("netsetup", "linktape/replay"), "may not import"},
		{"replay", "replay/a.go", imports("replay", "linktape/trace", "linktape/netsetup", "linktape/internal/plot"), ""},
		{"replay imports synth", "replay/a.go", imports("replay", "linktape/synth"), "may not import"},
		{"replay imports netlink", "replay/a.go", imports("replay", "github.com/vishvananda/netlink"), "only netsetup talks to netlink"},
		{"a test imports netns", "replay/a_test.go", imports("replay", "github.com/vishvananda/netns"), "only netsetup enters"},
		{"for another OS", "replay/a_windows.go", "//go:build windows\n\n" + imports("replay", "linktape/synth"), "replay/a_windows.go:4"},
		{"record", "record/pcap/a.go", imports("pcap", "linktape/record", "linktape/trace", "linktape/netsetup", "linktape/internal/table"), ""},
		{"record imports replay", "record/a.go", imports("record", "linktape/replay"), "may not import"},
		{"trial", "trial/metrics/a.go", imports("metrics", "linktape/replay", "linktape/record/capture", "linktape/trace", "linktape/internal/rist"), ""},
		{"trial imports a command", "trial/a.go", imports("trial", "linktape/cmd/replay"), "may not import"},
		{"replay imports trial", "replay/a.go", imports("replay", "linktape/trial/metrics"), "may not import"},
		{"parts of a trial", "trial/media/a.go", imports("media", "linktape/replay", "linktape/trial/stack", "linktape/internal/table"), ""},
		{"replay imports the whole of trial", "replay/a.go", imports("replay", "linktape/trial"), "may not import"},
		{"cmd", "cmd/lab/main.go", imports("main", "linktape/replay", "linktape/traces", "linktape/internal/lab"), ""},
		{"cmd imports arrow", "cmd/lab/main.go", imports("main", "github.com/apache/arrow/go/v17/arrow"), "only trace reads"},
		{"internal", "internal/plot/a.go", imports("plot", "linktape/trace", "linktape/internal/cli", "gonum.org/v1/plot"), ""},
		{"internal imports replay", "internal/plot/a.go", imports("plot", "linktape/replay"), "may not import"},
		{"exception", "internal/table/a.go", imports("table", "github.com/apache/arrow/go/v17/parquet"), ""},
		{"no layer", "extra/a.go", imports("extra", "linktape/trace"), "no layer holds"},
		{"root", "a.go", imports("root", "linktape/trace"), "no layer holds"},
		{"module with the same beginning", "trace/a.go", imports("trace", "linktapes/x"), ""},
		{"package util", "internal/util/a.go", "package util", "a package named util"},
		{"package common in another folder", "internal/x/a.go", "package common", "a package named common"},
		{"init", "synth/a.go", "package synth\nfunc init() {}", "synth/a.go:2: func init"},
		{"method init", "synth/a.go", "package synth\ntype t int\nfunc (t) init() {}", ""},
		{"init in a test", "synth/a_test.go", "package synth\nfunc init() {}", "func init"},
		{"setting", "synth/a.go", "package synth\nvar verbose bool", "package variable verbose is a setting"},
		{"flag", "cmd/lab/a.go", "package main\nimport \"flag\"\nvar v = flag.Bool(\"v\", false, \"\")", "package variable v is a flag"},
		{"flag of a test", "cmd/lab/a_test.go", "package main\nimport \"flag\"\nvar update = flag.Bool(\"update\", false, \"\")", ""},
		{"fixed variables", "synth/a.go", "package synth\nimport \"errors\"\nvar errUnit = errors.New(\"unit\")\nvar table = []int{1}\nvar _ error = t{}\nvar version string", ""},
		{"embedded file", "traces/a.go", "package traces\nimport _ \"embed\"\n//go:embed a.yaml\nvar a string", ""},
		{"local variable", "synth/a.go", "package synth\nfunc f() { var n int; _ = n }", ""},
		{"not Go", "synth/a.go", "package", "expected 'IDENT'"},
		{"testdata", "synth/testdata/a.go", "not Go", ""},
		{"tools of git", ".git/a.go", "not Go", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			faults, err := checkSources("linktape", fstest.MapFS{c.file: {Data: []byte(c.src)}})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(faults) > 0:
				t.Errorf("got %q, want no fault", faults)
			case c.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.want)):
				t.Errorf("got %q, want one fault with %q", faults, c.want)
			}
		})
	}
}
