package netsetup

import (
	"errors"
	"testing"
)

// What helps depends on the machine.
func TestMend(t *testing.T) {
	with := func(os string, modules ...string) *machineFacts {
		return &machineFacts{release: "6.8.0-31-generic", arch: "x86_64", os: os, modules: len(modules) > 0, present: func(m string) bool {
			for _, x := range modules {
				if x == m {
					return true
				}
			}
			return false
		}}
	}
	const netem = "CONFIG_NET_SCH_NETEM, module sch_netem"
	for _, c := range []struct {
		name    string
		machine *machineFacts
		need    string
		want    string
	}{
		{"there to load", with("debian", "sch_netem"), netem, "modprobe -a sch_netem"},
		{"several to load", with("", "sch_ingress", "cls_u32", "act_mirred"), "CONFIG_X, modules sch_ingress, cls_u32, act_mirred", "modprobe -a sch_ingress cls_u32 act_mirred"},
		{"one of several is missing", with("ubuntu", "cls_u32"), "CONFIG_X, modules cls_u32, act_mirred", "apt-get install linux-modules-extra-6.8.0-31-generic && modprobe -a cls_u32 act_mirred"},
		{"ubuntu", with("ubuntu", "sch_tbf"), netem, "apt-get install linux-modules-extra-6.8.0-31-generic && modprobe -a sch_netem"},
		{"debian", with("debian", "sch_tbf"), netem, "apt-get install linux-image-amd64, and boot that kernel; or the lab: lab run -- COMMAND"},
		{"fedora", with("fedora", "sch_tbf"), netem, "dnf install kernel-modules-extra-6.8.0-31-generic && modprobe -a sch_netem"},
		{"another", with("arch", "sch_tbf"), netem, "install the package of kernel 6.8.0-31-generic that has sch_netem; or the lab: lab run -- COMMAND"},
		{"no modules at all", with("debian"), netem, "a kernel with CONFIG_NET_SCH_NETEM, module sch_netem; or the lab: lab run -- COMMAND"},
		{"built in only", with("debian", "sch_tbf"), "CONFIG_BPF_SYSCALL", "a kernel with CONFIG_BPF_SYSCALL; or the lab: lab run -- COMMAND"},
		{"version", with("debian", "sch_netem"), "Linux 6.6", "Linux 6.6 or newer; or the lab: lab run -- COMMAND"},
		{"behaviour", with("debian"), "a kernel that lets a netem duplicate above another", "a kernel that lets a netem duplicate above another; or the lab: lab run -- COMMAND"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.machine.mend(c.need); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{"sch_netem.ko": "sch_netem", "sch_tbf.ko.xz": "sch_tbf", "nf-flow.ko.zst": "nf_flow"} {
		if got := moduleName(file); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}

// What links need is vital; what hangs on netem is mended by netem.
func TestJudge(t *testing.T) {
	m := &machineFacts{present: func(string) bool { return false }}
	found := m.judge([]Feature{
		{Name: "ifb", What: "the bottlenecks", Need: "CONFIG_IFB, module ifb"},
		{Name: "netem", What: "delay", Need: "CONFIG_NET_SCH_NETEM, module sch_netem", Err: "unknown"},
		{Name: featureSeed, Need: "Linux 6.6", Err: "Qdisc not found"},
	})
	e := &Examination{Findings: found}
	if err := e.Err(); err != nil {
		t.Errorf("links can be built, but: %v", err)
	}
	if !found[0].Vital || found[0].Mend != "" || found[1].Vital || found[1].Cost == "" {
		t.Errorf("%+v", found)
	}
	if got := found[2]; got.Err != "there is no netem" || got.Mend != found[1].Mend {
		t.Errorf("%+v", got)
	}
	e.Findings[0].Err = "gone"
	err := e.Err()
	wantError(t, err, "not supported by this kernel: ifb for the bottlenecks (CONFIG_IFB, module ifb: gone)")
	if !errors.Is(err, ErrNotSupported) {
		t.Error("is not ErrNotSupported")
	}
	e.Findings[0].Err = ""
	e.Findings = append(e.Findings, Finding{Feature: Feature{Name: "privileges", What: "linkup up", Err: "not permitted"}, Vital: true, Mend: "sudo"})
	wantError(t, e.Err(), "links cannot be built: privileges for linkup up: not permitted: sudo")
}
