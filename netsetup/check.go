package netsetup

import (
	"fmt"
	"strings"
)

// Finding is one thing that was looked at: a kernel's feature, or what the
// machine allows.
type Finding struct {
	Feature
	Value string `json:"value,omitempty"` // what was found, where that is more than yes or no
	Vital bool   `json:"vital"`           // without it no link can be built
	Cost  string `json:"cost,omitempty"`  // what the user does without
	Mend  string `json:"mend,omitempty"`  // the command that helps, or what else does
}

// Works reports whether there is nothing to mend.
func (f *Finding) Works() bool { return f.Err == "" }

// Examination is what [Examine] found.
type Examination struct {
	Kernel     string    `json:"kernel"` // release and machine, as uname(1) has them
	Processors int       `json:"processors"`
	Findings   []Finding `json:"findings"`
}

// Err names what every link needs and this machine lacks; nil: nothing. It
// wraps [ErrNotSupported] where that is a feature of the kernel.
func (e *Examination) Err() error {
	var features []Feature
	var others []string
	for _, f := range e.Findings {
		switch {
		case f.Works() || !f.Vital:
		case f.Need != "":
			features = append(features, f.Feature)
		default:
			others = append(others, fmt.Sprintf("%s for %s: %s: %s", f.Name, f.What, f.Err, f.Mend))
		}
	}
	if err := missing(features); err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("links cannot be built: %s", strings.Join(others, "; "))
	}
	return nil
}

// noLinks is the cost of what every link needs.
const noLinks = "links cannot be built"

// costOf is what the user does without where a feature is missing.
func costOf(feature string) string {
	return map[string]string{
		"veth":           noLinks,
		"ifb":            noLinks,
		"tbf":            noLinks,
		"redirect":       noLinks,
		"settings":       noLinks,
		"offloads":       noLinks,
		"htb":            "no shaper: htb; tbf takes its place at every rate",
		"netem":          "no delay, jitter, loss, duplication, corruption and reordering: links have rates and queues only",
		"ipv6":           "the links carry IPv4 only",
		"cake":           "no shaper: cake",
		"fq":             "no departure times set by a sender (SO_TXTIME, pacing by fq) inside the links",
		"fq_codel":       "no queue of kind codel: queues drop at their tail",
		"plug":           "no shaper: pulse; tbf takes its place",
		featurePulseKept: "pulses that come close after each other lose some packets' turns; auto does not choose them",
		featureEDT:       "no backend: edt; the links are as exact as qdiscs are (docs/accuracy.md)",
		"prio":           "no shaper: pulse with a queue of CAKE or CoDel",
		"u32":            noLinks,
		"matchall":       "nothing: packets are taken to the bottleneck by u32",
		"flower":         "nothing for links; no filters of your own by flow with flower",
		"bpf":            "no programs of your own on the links",
		"bpf-filter":     "no programs of your own on the links",
		"netem-loss-ge":  "no bursty losses (Gilbert–Elliott)",
		"netem-loss-4":   "no losses by the four-state model",
		"netem-slot":     "no slots (packets that leave in bursts, as in a radio frame)",
		"netem-table":    "no distribution of the jitter: it is uniform",
		featureSeed:      "losses differ from run to run",
		featureSeedKept:  "nothing: each change of ours brings a seed",
		featureDuplicate: "no duplicated packets",
	}[feature]
}

// judge says of each feature whether links need it, and of a missing one what
// that costs and what helps.
func (m *machineFacts) judge(features []Feature) []Finding {
	var netem Feature
	for _, f := range features {
		if f.Name == "netem" {
			netem = f
		}
	}
	var out []Finding
	for _, f := range features {
		x := Finding{Feature: f, Vital: costOf(f.Name) == noLinks}
		if f.Err != "" {
			if strings.HasPrefix(f.Name, "netem-") && netem.Err != "" {
				x.Err, x.Need = "there is no netem", netem.Need
			}
			x.Cost, x.Mend = costOf(f.Name), m.mend(x.Need)
			if f.Name == "settings" {
				x.Mend = "in a container: start it with --privileged, or mount -o remount,rw /proc/sys"
			}
		}
		out = append(out, x)
	}
	return out
}

// machineFacts are what mending depends on.
type machineFacts struct {
	release string                   // of the kernel
	arch    string                   // machine, as uname(1) has it
	os      string                   // ID of os-release(5), such as debian
	modules bool                     // the kernel has modules to load
	present func(module string) bool // one of them is this
}

// moduleName is what a module's file, compressed or not, loads.
func moduleName(file string) string {
	name, _, _ := strings.Cut(file, ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// modulesOf reads a feature's modules from what it needs: "…, module sch_tbf",
// "…, modules cls_u32, act_mirred".
func modulesOf(need string) []string {
	for _, word := range []string{"modules ", "module "} {
		if _, list, ok := strings.Cut(need, word); ok {
			return strings.Split(list, ", ")
		}
	}
	return nil
}

// mend is what helps against a missing feature of the kernel.
func (m *machineFacts) mend(need string) string {
	const lab = "; or the lab: lab run -- COMMAND"
	modules := modulesOf(need)
	present := len(modules) > 0
	for _, x := range modules {
		present = present && m.present(x)
	}
	load := "modprobe -a " + strings.Join(modules, " ")
	switch {
	case present:
		return load
	case strings.HasPrefix(need, "Linux "):
		return need + " or newer" + lab
	case strings.HasPrefix(need, "a kernel "):
		return need + lab
	case len(modules) == 0 || !m.modules:
		return "a kernel with " + need + lab
	}
	switch m.os {
	case "ubuntu":
		return "apt-get install linux-modules-extra-" + m.release + " && " + load
	case "debian": // its cloud kernels leave modules out
		return "apt-get install linux-image-" + debianArch(m.arch) + ", and boot that kernel" + lab
	case "fedora", "rhel", "centos", "rocky", "almalinux":
		return "dnf install kernel-modules-extra-" + m.release + " && " + load
	}
	return "install the package of kernel " + m.release + " that has " + strings.Join(modules, ", ") + lab
}

// debianArch is Debian's name of a machine, as in its kernels' packages.
func debianArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return machine
}
