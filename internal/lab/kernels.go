package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Machine is what runs a lab's kernel.
type Machine string

// Machines.
const (
	UML  Machine = "uml"  // a process of the host
	QEMU Machine = "qemu" // an emulated computer with two CPUs
)

// Names of the kernels that labs can run.
const (
	KernelBuilt   = "lab"       // the one that BuildKernel builds
	KernelUML61   = "uml-6.1"   // Debian's User-Mode-Linux
	KernelQEMU612 = "qemu-6.12" // Debian's cloud kernel
)

// Kernel is a kernel that a lab can run.
type Kernel struct {
	Name    string
	File    string
	Machine Machine
	Modules string // directory of its modules; empty: everything is built in
}

// Virtual reports whether the kernel knows virtual time.
func (k Kernel) Virtual() bool { return k.Name == KernelBuilt || k.Name == "" }

// Use makes a run with this kernel.
func (k Kernel) Use(o *Options) error {
	o.Kernel, o.Machine, o.Modules = k.File, k.Machine, nil
	if k.Modules == "" {
		return nil
	}
	tree, err := openModules(k.Modules)
	if err == nil {
		o.Modules, err = tree.order(moduleNames())
	}
	if err != nil {
		return fmt.Errorf("find the modules of kernel %s: %w", k.Name, err)
	}
	return nil
}

// packagedKernel is a kernel that Debian has packaged. Its files lie below the
// directory that FetchKernel fills, or where the package manager puts them.
type packagedKernel struct {
	name    string
	machine Machine
	pkg     string
	depends *regexp.Regexp // the package that pkg stands for; nil: itself
	image   string         // pattern, below either directory
	modules string         // pattern
	tools   [][2]string    // programs that a run needs, each with its package

	// installing the package changes nothing but files: it may be recommended.
	plain bool
}

func packagedKernels() []packagedKernel {
	xz := [2]string{"xz", "xz-utils"}
	return []packagedKernel{{
		name: KernelUML61, machine: UML, pkg: "user-mode-linux", plain: true,
		image: "usr/bin/linux.uml", modules: "usr/lib/uml/modules/6.1.*",
	}, {
		name: KernelQEMU612, machine: QEMU, pkg: "linux-image-6.12-cloud-amd64",
		depends: regexp.MustCompile(`^linux-image-6\.12\.\S+-cloud-amd64$`),
		image:   "boot/vmlinuz-6.12.*-cloud-amd64", modules: "lib/modules/6.12.*-cloud-amd64",
		tools: [][2]string{{"qemu-system-x86_64", "qemu-system-x86"}, xz},
	}}
}

// KernelNames lists the names that [FindKernel] knows.
func KernelNames() []string {
	names := []string{KernelBuilt}
	for _, p := range packagedKernels() {
		names = append(names, p.name)
	}
	return names
}

// FindKernel finds a kernel by its name. The error says which command brings
// what is missing.
func FindKernel(name string) (Kernel, error) {
	if name == KernelBuilt {
		file, err := KernelPath()
		return Kernel{Name: name, File: file, Machine: UML}, err
	}
	p, err := findPackaged(name)
	if err != nil {
		return Kernel{}, err
	}
	dir, err := kernelsDir()
	if err != nil {
		return Kernel{}, err
	}
	return p.find([]string{filepath.Join(dir, p.name), "/"})
}

func findPackaged(name string) (packagedKernel, error) {
	all := packagedKernels()
	i := slices.IndexFunc(all, func(p packagedKernel) bool { return p.name == name })
	if i < 0 {
		return packagedKernel{}, fmt.Errorf("there is no kernel %s: there are %s", name, strings.Join(KernelNames(), ", "))
	}
	return all[i], nil
}

// find looks below each root in turn.
func (p *packagedKernel) find(roots []string) (Kernel, error) {
	var missing []string
	var packages []string
	for _, t := range p.tools {
		if _, err := exec.LookPath(t[0]); err != nil {
			missing, packages = append(missing, t[0]), append(packages, t[1])
		}
	}
	k := Kernel{Name: p.name, Machine: p.machine}
	for _, root := range roots {
		k.File = newest(filepath.Join(root, p.image))
		k.Modules = newest(filepath.Join(root, p.modules))
		if k.File != "" && k.Modules != "" {
			break
		}
		k.File = ""
	}
	var advice []string
	if len(packages) > 0 {
		advice = append(advice, "apt-get install "+strings.Join(packages, " "))
	}
	if k.File == "" {
		missing = append(missing, "package "+p.pkg)
		if p.plain {
			advice = append(advice, "apt-get install "+p.pkg)
		} else {
			// Its installation would make it a kernel that the machine boots.
			advice = append(advice, "lab kernel fetch "+p.name+" (unpacks the package into the cache, installs nothing)")
		}
	}
	if missing != nil {
		return Kernel{}, fmt.Errorf("kernel %s: missing %s: %s", p.name, strings.Join(missing, ", "), strings.Join(advice, "; "))
	}
	return k, nil
}

// newest is the file that matches a pattern and has the highest version in its
// name; empty: there is none.
func newest(pattern string) string {
	files, _ := filepath.Glob(pattern)
	if len(files) == 0 {
		return ""
	}
	return slices.MaxFunc(files, func(a, b string) int { return compareVersions(filepath.Base(a), filepath.Base(b)) })
}

var versionPart = regexp.MustCompile(`[0-9]+|[^0-9]+`)

// compareVersions orders names with numbers in them by the numbers' values.
func compareVersions(a, b string) int {
	return slices.CompareFunc(versionPart.FindAllString(a, -1), versionPart.FindAllString(b, -1), func(x, y string) int {
		i, erri := strconv.ParseUint(x, 10, 64)
		j, errj := strconv.ParseUint(y, 10, 64)
		if erri == nil && errj == nil {
			return cmp.Compare(i, j)
		}
		return cmp.Compare(x, y)
	})
}

// FetchKernel downloads the Debian package of a kernel and unpacks it into the
// cache, as an ordinary user. Nothing is installed: the machine's own kernels
// and its boot loader stay as they are. An older one is replaced. It returns the
// version of the package.
func FetchKernel(ctx context.Context, name string) (version string, err error) {
	p, err := findPackaged(name)
	if err != nil {
		return "", err
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("fetch kernel %s: %w: a Debian system is needed", name, err)
		}
	}
	dir, err := kernelsDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(dir, "fetching-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	if version, err = p.fetch(ctx, scratch); err != nil {
		return "", fmt.Errorf("fetch kernel %s: %w", name, err)
	}
	home := filepath.Join(dir, name)
	if err := os.RemoveAll(home); err != nil {
		return "", err
	}
	return version, os.Rename(filepath.Join(scratch, "tree"), home)
}

func (p *packagedKernel) fetch(ctx context.Context, scratch string) (version string, err error) {
	b := &builder{}
	step := func(name string, args ...string) error {
		return b.step(ctx, scratch, nil, func(int) {}, name, args...)
	}
	pkg, err := p.concrete(ctx)
	if err != nil {
		return "", err
	}
	if err := step("apt-get", "download", pkg); err != nil {
		return "", fmt.Errorf("%w\nif the package is unknown: apt-get update, and the sources of Debian 12 with its security updates", err)
	}
	files, err := filepath.Glob(filepath.Join(scratch, "*.deb"))
	if err != nil || len(files) != 1 {
		return "", errors.Join(fmt.Errorf("apt-get download %s has left %d packages", pkg, len(files)), err)
	}
	if err := step("dpkg-deb", "-x", files[0], "tree"); err != nil {
		return "", err
	}
	// Name_version_architecture.deb.
	_, version, _ = strings.Cut(filepath.Base(files[0]), "_")
	version, _, _ = strings.Cut(version, "_")
	tree := filepath.Join(scratch, "tree")
	for _, pattern := range []string{p.image, p.modules} {
		if newest(filepath.Join(tree, pattern)) == "" {
			return "", fmt.Errorf("%s %s has no %s: this release of Debian packages another kernel", pkg, version, pattern)
		}
	}
	return version, nil
}

// concrete is the package with the files: the newest of a kernel series is
// behind a package that only depends on it.
func (p *packagedKernel) concrete(ctx context.Context) (string, error) {
	if p.depends == nil {
		return p.pkg, nil
	}
	cmd := exec.CommandContext(ctx, "apt-cache", "depends", p.pkg)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w: run apt-get update first", p.pkg, err)
	}
	for _, word := range strings.Fields(string(out)) {
		if p.depends.MatchString(word) {
			return word, nil
		}
	}
	return "", fmt.Errorf("apt-cache depends %s: no package %v: run apt-get update first", p.pkg, p.depends)
}
