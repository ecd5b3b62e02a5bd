package lab

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestModuleOrder(t *testing.T) {
	needs := map[string][]string{
		"ifb": nil, "sch_netem": nil, "llc": nil, "stp": {"llc"}, "bridge": {"stp", "llc"}, "8021q": {"garp", "mrp"},
		"garp": {"stp", "llc"}, "mrp": nil, "loop_a": {"loop-b"}, "loop_b": {"loop_a"}, "orphan": {"gone"},
	}
	files := make(map[string]string)
	for name := range needs {
		files[name] = name + ".ko"
	}
	depends := func(file string) ([]string, error) { return needs[strings.TrimSuffix(file, ".ko")], nil }
	for _, c := range []struct {
		names, want string
		err         string
	}{
		{"", "", ""},
		{"ifb sch_netem", "ifb sch_netem", ""},
		{"bridge", "llc stp bridge", ""},
		{"stp bridge 8021q", "llc stp bridge garp mrp 8021q", ""},
		{"builtin ifb ifb", "ifb", ""},
		{"loop_a", "", "depends on itself"},
		{"orphan", "", "module orphan depends on gone, which has no file"},
	} {
		got, err := orderModules(strings.Fields(c.names), files, depends)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: got error %v, want %q", c.names, err, c.err)
			}
			continue
		}
		if order := strings.ReplaceAll(strings.Join(got, " "), ".ko", ""); err != nil || order != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.names, order, err, c.want)
		}
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{
		"/m/kernel/net/sched/sch_netem.ko": "sch_netem",
		"/m/virtio-net.ko.xz":              "virtio_net",
		"/m/modules.dep":                   "",
		"/m/a.ko.gz":                       "",
	} {
		got, ok := moduleName(file)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %q, %v, want %q", file, got, ok, want)
		}
	}
}

// elfModule is the smallest ELF file with a section .modinfo (elf(5)).
func elfModule(t *testing.T, info string) []byte {
	t.Helper()
	const names = "\x00.modinfo\x00.shstrtab\x00"
	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2, Shoff: uint64(64 + len(info) + len(names)),
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: 64, Size: uint64(len(info))},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(64 + len(info)), Size: uint64(len(names))},
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	b.WriteString(info + names)
	if err := binary.Write(&b, binary.LittleEndian, sections); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestModuleDepends(t *testing.T) {
	for info, want := range map[string][]string{
		"license=GPL\x00depends=stp,llc\x00name=bridge\x00": {"stp", "llc"},
		"depends=\x00name=ifb\x00":                          nil,
		"name=x\x00":                                        nil,
	} {
		got, err := moduleDepends(elfModule(t, info))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q", info, got, err, want)
		}
	}
	if _, err := moduleDepends([]byte("no module")); err == nil {
		t.Error("bytes that are no ELF file: got no error")
	}
}

// A directory as a kernel's package has it.
func TestModuleTree(t *testing.T) {
	dir := t.TempDir()
	for name, info := range map[string]string{
		"kernel/net/llc/llc.ko":       "depends=\x00",
		"kernel/net/802/stp.ko":       "depends=llc\x00",
		"kernel/net/bridge/bridge.ko": "depends=stp,llc\x00",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, elfModule(t, info), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := openModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.order([]string{"bridge", "not_there"})
	want := []string{tree["llc"], tree["stp"], tree["bridge"]}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := openModules(t.TempDir()); err == nil {
		t.Error("an empty directory: got no error")
	}
}
