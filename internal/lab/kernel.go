package lab

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed lab.config
var kernelConfig []byte

// kernelPatches make User-Mode-Linux faster; each says what it does and why.
// They change arch/um only, never what packets meet.
//
//go:embed patches/*.patch
var kernelPatches embed.FS

// SourcePattern is where Debian's packages put the kernel's source. The series
// is fixed, because the configuration is made for it.
const SourcePattern = "/usr/src/linux-source-6.12.tar.xz"

// sourcePackage is the Debian package that SourcePattern is in.
const sourcePackage = "linux-source-6.12"

// ErrNoKernel is returned where no kernel has been built.
var ErrNoKernel = errors.New("no kernel for labs has been built: build one with lab kernel build")

// BuildOptions describe a build of the kernel. The zero value works.
type BuildOptions struct {
	Source string // tarball; empty: SourcePattern
	Jobs   int    // files compiled at once; 0: one for each CPU
	Force  bool   // build it also when it is there

	// Phase is told what is being done, and returns what is told how far it
	// is. It may be nil.
	Phase func(what string) (progress func(fraction float64))
}

// kernelsDir is where kernels are kept, one directory each.
func kernelsDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the directory of built kernels: %w: set XDG_CACHE_HOME or HOME", err)
	}
	return filepath.Join(dir, "linktape", "kernels"), nil
}

// patchFiles returns the patches in the order in which they are applied.
func patchFiles() [][]byte {
	names, err := fs.Glob(kernelPatches, "patches/*.patch")
	if err != nil {
		panic(err)
	}
	var out [][]byte
	for _, n := range names { // Glob sorts
		data, err := kernelPatches.ReadFile(n)
		if err != nil {
			panic(err)
		}
		out = append(out, data)
	}
	return out
}

// configHash is part of a kernel's name: another configuration or other
// patches, another kernel.
func configHash() string {
	h := sha256.New()
	h.Write(kernelConfig)
	for _, p := range patchFiles() {
		h.Write(p)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:12]
}

// KernelPath returns the file of the kernel that was built last with this
// program's configuration; [ErrNoKernel] if there is none.
func KernelPath() (string, error) {
	dir, err := kernelsDir()
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*-"+configHash(), "linux"))
	if err != nil {
		return "", err
	}
	var newest string
	var at time.Time
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && (newest == "" || info.ModTime().After(at)) {
			newest, at = f, info.ModTime()
		}
	}
	if newest == "" {
		return "", ErrNoKernel
	}
	return newest, nil
}

// BuildKernel builds the kernel, unless it is there already, and returns its
// file. built says whether there was something to do.
//
// Errors: a missing tool or source is named with the command that installs it;
// a failed step with the end of its output.
func BuildKernel(ctx context.Context, o BuildOptions) (file string, built bool, err error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", false, ErrNotSupported
	}
	if o.Jobs <= 0 {
		o.Jobs = runtime.NumCPU()
	}
	if o.Phase == nil {
		o.Phase = func(string) func(float64) { return func(float64) {} }
	}
	if o.Source == "" {
		o.Source = SourcePattern
	}
	if err := checkTools(o.Source); err != nil {
		return "", false, err
	}
	dir, err := kernelsDir()
	if err != nil {
		return "", false, err
	}
	version, err := sourceVersion(o.Source)
	if err != nil {
		return "", false, err
	}
	home := filepath.Join(dir, version+"-"+configHash())
	file = filepath.Join(home, "linux")
	if _, err := os.Stat(file); err == nil && !o.Force {
		return file, false, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", false, err
	}
	sweepBuilds(dir)
	scratch, err := os.MkdirTemp(dir, buildPrefix)
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(scratch)
	b := &builder{BuildOptions: o, dir: scratch}
	if err := b.build(ctx); err != nil {
		return "", false, fmt.Errorf("build the kernel from %s: %w", o.Source, err)
	}
	if err := os.MkdirAll(home, 0o777); err != nil {
		return "", false, err
	}
	if err := os.Rename(filepath.Join(scratch, "linux"), file); err != nil {
		return "", false, err
	}
	return file, true, os.WriteFile(filepath.Join(home, "lab.config"), kernelConfig, 0o666)
}

// buildPrefix begins the names of directories in which a kernel is being built.
const buildPrefix = "building-"

// sweepBuilds removes what builds have left that were killed.
func sweepBuilds(dir string) {
	const longest = 6 * time.Hour // more than any build takes
	dirs, _ := filepath.Glob(filepath.Join(dir, buildPrefix+"*"))
	for _, d := range dirs {
		if info, err := os.Stat(d); err == nil && time.Since(info.ModTime()) > longest {
			os.RemoveAll(d)
		}
	}
}

// checkTools names what is missing, with the command that installs all of it.
func checkTools(source string) error {
	var missing, packages []string
	need := func(what, pkg string) {
		missing = append(missing, what)
		if !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
	}
	if _, err := os.Stat(source); err != nil {
		if source != SourcePattern {
			return err
		}
		need("the kernel's source ("+source+")", sourcePackage)
	}
	for _, t := range [][2]string{
		{"gcc", "gcc"}, {"make", "make"}, {"flex", "flex"}, {"bison", "bison"}, {"bc", "bc"},
		{"tar", "tar"}, {"xz", "xz-utils"}, {"patch", "patch"}, {"strip", "binutils"},
	} {
		if _, err := exec.LookPath(t[0]); err != nil {
			need(t[0], t[1])
		}
	}
	if _, err := exec.LookPath("gcc"); err == nil {
		// gcc answers with a path where it has the library, else with the name.
		out, err := exec.Command("gcc", "-print-file-name=libc.a").Output()
		if err == nil && !strings.Contains(string(out), "/") {
			need("the C library for static programs", "libc6-dev")
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("build the kernel: missing %s: apt-get install %s", strings.Join(missing, ", "), strings.Join(packages, " "))
}

// sourceVersion names the source: the Debian package's version, or for another
// tarball a hash of it.
func sourceVersion(source string) (string, error) {
	if source == SourcePattern {
		if v := packageVersion(filepath.Join("/usr/share/doc", sourcePackage, "changelog.Debian.gz")); v != "" {
			return v, nil
		}
	}
	f, err := os.Open(source)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", source, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:12], nil
}

// packageVersion reads the newest version of a Debian changelog
// (deb-changelog(5)): "linux-6.12 (6.12.117-1) bookworm-security; …". Empty: it
// is not there.
func packageVersion(changelog string) string {
	f, err := os.Open(changelog)
	if err != nil {
		return ""
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return ""
	}
	line, _ := bufio.NewReader(z).ReadString('\n')
	m := regexp.MustCompile(`\(([0-9][\w.+~:-]*)\)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return strings.ReplaceAll(m[1], ":", "_")
}

type builder struct {
	BuildOptions
	dir string
}

// kernelFiles is about how many lines make prints: it only drives the progress.
const kernelFiles = 800

func (b *builder) build(ctx context.Context) error {
	tree := filepath.Join(b.dir, "tree")
	if err := os.Mkdir(tree, 0o777); err != nil {
		return err
	}
	if err := b.unpack(ctx, tree); err != nil {
		return err
	}
	config := filepath.Join(b.dir, "lab.config")
	if err := os.WriteFile(config, kernelConfig, 0o666); err != nil {
		return err
	}
	for _, p := range patchFiles() {
		if err := b.step(ctx, tree, bytes.NewReader(p), func(int) {}, "patch", "--strip=1", "--fuzz=0", "--batch", "--forward"); err != nil {
			return err
		}
	}
	progress := b.Phase("configure")
	make := func(lines int, args ...string) error {
		args = append([]string{"ARCH=um", "KCONFIG_ALLCONFIG=" + config, "-j" + strconv.Itoa(b.Jobs)}, args...)
		return b.step(ctx, tree, nil, func(n int) { progress(float64(n) / float64(lines)) }, "make", args...)
	}
	if err := make(40, "allnoconfig"); err != nil {
		return err
	}
	if err := checkConfig(filepath.Join(tree, ".config")); err != nil {
		return err
	}
	progress = b.Phase("compile")
	if err := make(kernelFiles, "linux"); err != nil {
		return err
	}
	out := filepath.Join(b.dir, "linux")
	return b.step(ctx, tree, nil, func(int) {}, "strip", "-o", out, "linux")
}

// unpack unpacks the tarball, without its first directory and without what the
// build does not need.
func (b *builder) unpack(ctx context.Context, tree string) error {
	f, err := os.Open(b.Source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	progress := b.Phase("unpack")
	cmd := exec.CommandContext(ctx, "tar", "-xJ", "--strip-components=1", "--no-same-owner",
		"--exclude=*/Documentation/*/*", "--exclude=*/tools/testing/*", "--exclude=*/drivers/gpu/drm/amd/include/*")
	cmd.Dir, cmd.Stdin = tree, &meter{r: f, size: info.Size(), progress: progress}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return failedStep(ctx, "tar", err, stderr.Bytes())
	}
	return nil
}

// meter reports how much of a file has been read.
type meter struct {
	r          io.Reader
	done, size int64
	progress   func(float64)
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.done += int64(n)
	m.progress(float64(m.done) / float64(max(m.size, 1)))
	return n, err
}

// step runs one tool; progress gets the number of lines it has printed.
func (b *builder) step(ctx context.Context, dir string, stdin io.Reader, progress func(lines int), name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	// The kernel says who built it when and where: it says the same everywhere.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "KBUILD_BUILD_TIMESTAMP=2026-01-01", "KBUILD_BUILD_USER=linktape",
		"KBUILD_BUILD_HOST=lab", "KBUILD_BUILD_VERSION=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // make ends its children
	cmd.WaitDelay = 5 * time.Second
	out := &lineCounter{progress: progress}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return failedStep(ctx, name, err, out.text)
	}
	return nil
}

// lineCounter keeps the end of an output and counts its lines.
type lineCounter struct {
	progress func(int)
	lines    int
	text     []byte
}

func (c *lineCounter) Write(b []byte) (int, error) {
	c.lines += bytes.Count(b, []byte("\n"))
	c.progress(c.lines)
	const keep = 64 << 10
	c.text = append(c.text, b...)
	if len(c.text) > 2*keep {
		c.text = append(c.text[:0], c.text[len(c.text)-keep:]...)
	}
	return len(b), nil
}

// failedStep is the error of a tool, with the end of what it said.
func failedStep(ctx context.Context, name string, err error, output []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	const last = 25
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	lines = lines[max(0, len(lines)-last):]
	return fmt.Errorf("%s: %w; it ended with:\n%s", name, err, strings.Join(lines, "\n"))
}

// checkConfig verifies that the kernel's configuration has what ours asks for:
// a symbol that a source does not know or cannot have is left out silently.
func checkConfig(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("configure: %w", err)
	}
	if err != nil {
		return err
	}
	have := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		have[strings.TrimSpace(line)] = true
	}
	var missing []string
	for line := range strings.Lines(string(kernelConfig)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "CONFIG_") && !have[line] {
			missing = append(missing, line)
		}
	}
	if missing != nil {
		return fmt.Errorf("configure: this source does not take %s", strings.Join(missing, ", "))
	}
	return nil
}
