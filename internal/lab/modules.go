package lab

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// moduleNames lists what a lab loads from a kernel with modules: what links are
// made of, what guests and tests use besides. A kernel that has one of them
// built in, or not at all, has no file of it.
func moduleNames() []string {
	return strings.Fields("overlay ipv6 veth ifb dummy tun bridge macvlan vrf 8021q af_packet" +
		" sch_tbf sch_htb sch_netem sch_cake sch_fq sch_fq_codel sch_codel sch_prio sch_plug sch_ingress sch_red sch_sfq" +
		" cls_u32 cls_matchall cls_basic cls_flower cls_fw cls_bpf act_mirred act_gact act_police act_skbedit act_bpf" +
		" tcp_bbr inet_diag tcp_diag udp_diag af_packet_diag unix_diag")
}

// moduleTree finds the modules of a kernel by their names.
type moduleTree map[string]string

// openModules lists the modules below a directory.
func openModules(dir string) (moduleTree, error) {
	tree := make(moduleTree)
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if name, ok := moduleName(file); ok {
				tree[name] = file
			}
		}
		return err
	})
	if err == nil && len(tree) == 0 {
		err = fmt.Errorf("%s: no modules", dir)
	}
	return tree, err
}

// moduleName is the name of the module in a file: the kernel's names have _
// where files may have -.
func moduleName(file string) (name string, ok bool) {
	name, ext, ok := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_"), ok && (ext == "" || ext == ".xz")
}

// order lists the files of modules and of what they depend on, each after what
// it depends on. Names without a file are left out.
func (t moduleTree) order(names []string) ([]string, error) {
	return orderModules(names, t, func(file string) ([]string, error) {
		data, err := readModule(file)
		if err != nil {
			return nil, err
		}
		depends, err := moduleDepends(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return depends, nil
	})
}

// orderModules does it for any source of dependencies.
func orderModules(names []string, files map[string]string, depends func(file string) ([]string, error)) ([]string, error) {
	const (
		open = iota + 1
		done
	)
	state := make(map[string]int)
	var out []string
	var add func(name, by string) error
	add = func(name, by string) error {
		file, ok := files[name]
		switch {
		case state[name] == done:
			return nil
		case state[name] == open:
			return fmt.Errorf("module %s depends on itself by way of %s", name, by)
		case !ok && by != "":
			return fmt.Errorf("module %s depends on %s, which has no file", by, name)
		case !ok:
			return nil
		}
		state[name] = open
		needs, err := depends(file)
		if err != nil {
			return err
		}
		for _, n := range needs {
			if err := add(strings.ReplaceAll(n, "-", "_"), name); err != nil {
				return err
			}
		}
		state[name] = done
		out = append(out, file)
		return nil
	}
	for _, n := range names {
		if err := add(n, ""); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readModule returns a module's ELF file.
func readModule(file string) ([]byte, error) {
	if !strings.HasSuffix(file, ".xz") {
		return os.ReadFile(file)
	}
	cmd := exec.Command("xz", "-dc", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: xz: %w: %s", file, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return data, nil
}

// moduleDepends lists the modules that a module says it needs
// (scripts/mod/modpost.c: add_depends): "depends=a,b" in the section .modinfo,
// whose strings end in NUL.
func moduleDepends(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("not a module: it has no section .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
