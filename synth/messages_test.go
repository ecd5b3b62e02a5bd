package synth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// formats lists the formats of the calls of a method, by their position.
func formats(t *testing.T, methods ...string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name, from := "", 0
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = f.Sel.Name
			case *ast.Ident:
				name = f.Name
			}
			for _, m := range methods {
				if name != m {
					continue
				}
				for _, arg := range call.Args[from:] {
					if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, " ") {
						s, err := strconv.Unquote(lit.Value)
						if err != nil {
							t.Fatal(err)
						}
						out[set.Position(call.Pos()).String()] = s
						break
					}
				}
			}
			return true
		})
	}
	return out
}

// pattern matches what a format writes.
func pattern(format string) *regexp.Regexp {
	verb := regexp.MustCompile(`%[.0-9]*[a-z]`)
	var b strings.Builder
	for {
		at := verb.FindStringIndex(format)
		percent := strings.Index(format, "%%")
		switch {
		case percent >= 0 && (at == nil || percent <= at[0]):
			b.WriteString(regexp.QuoteMeta(format[:percent+1]))
			format = format[percent+2:]
		case at == nil:
			b.WriteString(regexp.QuoteMeta(format))
			return regexp.MustCompile(`(?m)` + b.String())
		default:
			b.WriteString(regexp.QuoteMeta(format[:at[0]]) + `.+`)
			format = format[at[1]:]
		}
	}
}

// TestEveryFaultHasAFile finds each message of the decoder in the text beside
// one of the files in testdata/bad.
func TestEveryFaultHasAFile(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(files) < 75 {
		t.Fatalf("%d files, want at least 75 (%v)", len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	elsewhere := map[string]bool{
		// Of options and of writing, not of a file.
		"override %q: write KEY=VALUE, such as links.att.up.rate.mean=6Mbit":                              true,
		"synthesize %s: more than %d steps: write the timeline to a file instead of holding it in memory": true,
	}
	found := formats(t, "Errorf", "fault")
	if len(found) < 90 {
		t.Fatalf("%d messages in the sources, want at least 90", len(found))
	}
	for at, format := range found {
		if !elsewhere[format] && !regexp.MustCompile(`:\d+:\d+: `+pattern(format).String()).MatchString(all.String()) {
			t.Errorf("%s: no file in testdata/bad shows %q", at, format)
		}
	}
}

// TestEverything: the scenario that pins what all models give has them all.
func TestEverything(t *testing.T) {
	data, err := os.ReadFile("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range append(quantities(), struct {
		q    quantity
		name string
	}{factor, "factor"}) {
		for _, k := range q.q.kinds() {
			if !strings.Contains(string(data), "model: "+k.name+",") {
				t.Errorf("no %s in testdata/everything.yaml", k.name)
			}
		}
	}
	for _, word := range []string{"cells", "correlation", "shared_outages", "events", "regimes", "handovers", "outages", "slot", "in_order"} {
		if !strings.Contains(string(data), word+":") {
			t.Errorf("no %s in testdata/everything.yaml", word)
		}
	}
}
