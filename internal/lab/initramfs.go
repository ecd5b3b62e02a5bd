package lab

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// image is what an emulated computer gets as its file system. Files lie where
// they lie on the host.
type image struct {
	nodes map[string]node   // by absolute name
	links map[string]string // of directories in /, and where they lead, absolute
}

// node is one file of an image.
type node struct {
	mode fs.FileMode
	host string // file with the content; empty: data
	data []byte // content of a file, target of a symbolic link
}

// newImage makes an image that has the host's links to directories in /, such as
// /bin to /usr/bin.
func newImage() *image {
	m := &image{nodes: make(map[string]node), links: make(map[string]string)}
	for _, name := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		target, err := os.Readlink(name)
		if err != nil {
			continue
		}
		m.nodes[name] = node{mode: fs.ModeSymlink, data: []byte(target)}
		m.links[name] = path.Join("/", target)
		m.directory(m.links[name])
	}
	return m
}

// real is a name without the links in /.
func (m *image) real(name string) string {
	first, rest, below := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if to, ok := m.links["/"+first]; ok && below {
		return path.Join(to, rest)
	}
	return name
}

// has reports whether a file is in the image.
func (m *image) has(name string) bool {
	_, ok := m.nodes[m.real(name)]
	return ok
}

// remove takes a file out.
func (m *image) remove(name string) { delete(m.nodes, m.real(name)) }

// directory adds a directory and those above it.
func (m *image) directory(name string) {
	for name = m.real(name); name != "/" && name != "."; name = path.Dir(name) {
		if _, ok := m.nodes[name]; !ok {
			m.nodes[name] = node{mode: fs.ModeDir | 0o755}
		}
	}
}

func (m *image) put(name string, n node) {
	name = m.real(name)
	m.directory(path.Dir(name))
	m.nodes[name] = n
}

// data adds a file that the host does not have.
func (m *image) data(name string, perm fs.FileMode, data []byte) {
	m.put(name, node{mode: perm, data: data})
}

// copyAs adds a file of the host under a name; a symbolic link as what it
// points to.
func (m *image) copyAs(name, host string) error {
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", host)
	}
	m.put(name, node{mode: info.Mode().Perm(), host: host})
	return nil
}

// tree adds what lies at and below a name of the host, symbolic links as they
// are. Sockets and devices are left out.
func (m *image) tree(name string) error {
	return filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch d.Type() {
		case fs.ModeDir:
			m.directory(file)
		case fs.ModeSymlink:
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			m.put(file, node{mode: fs.ModeSymlink, data: []byte(target)})
		case 0:
			return m.copyAs(file, file)
		}
		return nil
	})
}

// program adds an executable with the libraries that it is linked to, or the
// interpreter that its first line names.
func (m *image) program(file string) error {
	if err := m.copyAs(file, file); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 256)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if line, ok := bytes.CutPrefix(head[:n], []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		if words := strings.Fields(string(line)); len(words) > 0 {
			return m.program(words[0])
		}
	}
	return m.libraries(file)
}

// libraries adds the dynamic loader and the libraries of an ELF file (ld.so(8)).
func (m *image) libraries(file string) error {
	f, err := elf.Open(file)
	if _, no := errors.AsType[*elf.FormatError](err); no {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(p.Open())
		if err != nil {
			return err
		}
		name := strings.TrimRight(string(loader), "\x00")
		if err := m.copyAs(name, name); err != nil {
			return err
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, _ := f.DynString(tag)
		for _, p := range paths {
			for d := range strings.SplitSeq(p, ":") {
				dirs = append(dirs, strings.ReplaceAll(d, "$ORIGIN", filepath.Dir(file)))
			}
		}
	}
	// Where the loader looks without a cache, on Debian.
	dirs = append(dirs, "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")
	for _, lib := range needed {
		i := slices.IndexFunc(dirs, func(d string) bool {
			_, err := os.Stat(filepath.Join(d, lib))
			return err == nil
		})
		if i < 0 {
			return fmt.Errorf("%s: library %s is in none of %s", file, lib, strings.Join(dirs, ", "))
		}
		name := filepath.Join(dirs[i], lib)
		if m.has(name) {
			continue
		}
		if err := m.copyAs(name, name); err != nil {
			return err
		}
		if err := m.libraries(name); err != nil {
			return err
		}
	}
	return nil
}

// write writes the image as a cpio archive.
func (m *image) write(w io.Writer) error {
	c := &cpioWriter{w: w}
	names := make([]string, 0, len(m.nodes))
	for name := range m.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		n := m.nodes[name]
		at := strings.TrimPrefix(name, "/")
		switch {
		case n.mode.IsDir():
			perm := n.mode.Perm()
			if name == "/tmp" {
				perm = 0o1777
			}
			c.directory(at, perm)
		case n.mode&fs.ModeSymlink != 0:
			c.link(at, string(n.data))
		case n.host == "":
			c.file(at, n.mode.Perm(), int64(len(n.data)), bytes.NewReader(n.data))
		default:
			if err := packFile(c, at, n); err != nil {
				return err
			}
		}
	}
	return c.Close()
}

func packFile(c *cpioWriter, name string, n node) error {
	f, err := os.Open(n.host)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c.file(name, n.mode.Perm(), info.Size(), f)
	return c.err
}
