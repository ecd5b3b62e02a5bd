# Linktape. On a Debian machine with git and make:
#
#   make         builds the commands into bin/
#   make demo    runs the main job: a tape, three links, a replay, a plot (root)
#   make test    runs every test that this machine can run, and says which it cannot
#   make kernels runs the links' tests on every kernel, the lab's first
#   make lab     runs what is measured in virtual time, and the lab's own tests
#   make soak    runs all of that many times over, and stops where it differs
#   make sweep   kills the builder of links at every point, three times over (root)
#   make lint    checks the sources
#   make accuracy measures what links deliver of field traces, for docs/accuracy.md
#   make bench   runs the benchmarks (root for those on real links)
#   make fuzz    runs every fuzz target for FUZZTIME
#   make golden  rewrites the golden files from what the code does now
#   make bpf     compiles the program of exact links into the object that is embedded

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

FUZZTIME ?= 60s
TOOL := go tool -modfile=tools/go.mod
ROOT := $(filter 0,$(shell id -u))

# What the machine promises to privileged tests; see internal/privtest.
PROMISE = $(if $(ROOT),root$(shell bin/linkup check | awk '$$NF == "works" {printf ",%s", $$1}'))

.PHONY: build demo test lint unit kernel kernels lab soak sweep portable field accuracy bench fuzz golden bpf clean

build:
	@tools/need go
	go build -trimpath -o bin/ ./cmd/... ./internal/demo ./internal/accuracy

demo: build
	@$(if $(ROOT),,echo "make demo builds links, which needs root: run sudo make demo" >&2; exit 1)
	bin/demo --bin bin --within 0.05

test: build lint unit kernels lab portable field

lint:
	@tools/need go
	@echo "== format, go vet, staticcheck"
	@bad=$$(gofmt -l cmd edt internal netsetup record replay synth trace traces trial); if [ -n "$$bad" ]; then echo "not formatted: $$bad"; exit 1; fi
	go vet ./...
	$(TOOL) staticcheck ./...

unit: build
	@tools/need go ip tc ping tcpdump clang-14 llvm-strip-14
	@echo "== tests on $$(uname -sr); promised to privileged tests: $(if $(PROMISE),$(PROMISE),nothing (not root))"
	LINKTAPE_REQUIRE="$(PROMISE),clang" $(TOOL) gotestsum --format pkgname --format-hide-empty-pkg -- -count=1 ./...

# The lab's kernel, in which netem is. It is built once a machine (some minutes)
# and kept in the user's cache directory.
kernel: build
	@tools/need go ip tc ping
	@bin/lab kernel path >/dev/null 2>&1 || tools/need gcc libc.a make flex bison bc patch xz linux-source-6.12
	@echo "== the lab's kernel"
	bin/lab kernel build

# The links' tests on every kernel: the lab's, in virtual time; Debian's packaged
# 6.1 as User-Mode-Linux, in real time; and, of the encoders and what is read back,
# its 6.12 in an emulated computer with two processors. A kernel that runs nothing
# is a failure.
LINKS := ./edt/bpf ./netsetup ./cmd/linkup ./cmd/replay
READBACK := Golden|Decode|TestReadBack|RoundTrip|TestLoad
kernels: kernel
	@tools/need linux.uml qemu-system-x86_64 xz
	@bin/lab kernel path qemu-6.12 >/dev/null 2>&1 || bin/lab kernel fetch qemu-6.12
	@echo "== the links' tests on every kernel"
	timeout --foreground -k 30 40m bin/lab matrix --kernels lab,uml-6.1 --short --skips $(LINKS)
	timeout --foreground -k 30 25m bin/lab matrix --kernels qemu-6.12 --short --run '$(READBACK)' ./edt/bpf ./netsetup

# What experiments need, and what they are promised.
EXPERIMENTS := tcpdump ristsender ristreceiver gst-launch-1.0 gst/udpsrc gst/rtpmp2tpay gst/ristsrc gst/ristsink
INLAB := LINKTAPE_REQUIRE=lab-kernel,tcpdump,librist,gstreamer

lab: kernel
	@tools/need $(EXPERIMENTS)
	@echo "== the demo in the lab, with delay, jitter and loss"
	bin/lab run -- bin/demo --bin bin --out out/lab
	@echo "== ten seconds of a tape through each kind of bottleneck, within the bars of docs/accuracy.md"
	bin/lab test ./internal/accuracy
	@echo "== the lab itself; three runs of each experiment leave the same bytes"
	$(INLAB) $(TOOL) gotestsum --format pkgname -- -count=1 -p 1 -timeout 20m ./cmd/lab ./internal/lab
	@echo "== trials in the lab, and the commands of their documents"
	$(INLAB) $(TOOL) gotestsum --format pkgname -- -count=1 -timeout 20m ./cmd/trial
	$(INLAB) $(TOOL) gotestsum --format pkgname -- -count=1 -timeout 20m -run 'TestDocuments' ./internal/house

# RUNS of each experiment, which must leave the same bytes, and SUITES runs in
# the lab of every test that needs root. Not part of make test: an hour or two.
RUNS ?= 10
SUITES ?= 20
soak: kernel
	@tools/need $(EXPERIMENTS)
	tools/soak $(RUNS) $(SUITES)

# A run's builder is killed before every system call that changes anything, in
# three whole sweeps on this kernel and three in the lab: about an hour.
sweep: build kernel
	@$(if $(ROOT),,echo "make sweep builds links, which needs root: run sudo make sweep" >&2; exit 1)
	LINKTAPE_SWEEPS=3 LINKTAPE_REQUIRE="$(PROMISE)" go test -count=1 -v -timeout 2h -run TestKillSweep ./netsetup
	LINKTAPE_SWEEPS=3 bin/lab test -v -timeout 2h -run TestKillSweep ./netsetup

# The same bytes on every architecture, and everything but the last step onto
# the kernel on every system. What is statistics says nothing more where the bits
# are the same.
BITS := ^Test(Golden|ElementaryFunctions|NormalQuantile|CosTurn|Stream)
portable:
	@tools/need go qemu-aarch64-static
	@echo "== synthesis with GOAMD64=v3"
	GOAMD64=v3 go test -count=1 ./synth ./trace/convert
	GOAMD64=v3 go test -count=1 -run TestGolden ./traces
	@echo "== synthesis on arm64, under qemu-user"
	CGO_ENABLED=0 GOARCH=arm64 go test -c -o bin/synth-arm64.test ./synth
	cd synth && qemu-aarch64-static ../bin/synth-arm64.test -test.v -test.run '$(BITS)'
	CGO_ENABLED=0 GOARCH=arm64 go test -c -o bin/traces-arm64.test ./traces
	cd traces && qemu-aarch64-static ../bin/traces-arm64.test -test.run TestGolden
	@echo "== builds for other systems"
	GOOS=darwin go vet ./trace/... ./edt ./synth ./traces ./netsetup ./replay ./trial/... ./cmd/tracegen ./cmd/linkup ./cmd/replay
	GOOS=windows go vet ./trace/... ./edt ./synth ./traces ./cmd/tracegen

# Field traces as one tape, replayed under saturation, where they are present. In
# virtual time what arrives is within 1 % of the tape; in real time it is as exact
# as the machine is punctual, and a bound of 5 % tells faults from a busy machine.
FIELD := ../shared/fieldtraces/mahimahi
field: kernel
	@$(if $(ROOT),,echo "== field traces: not replayed, links need root"; exit 0;) \
	if [ ! -d $(FIELD) ]; then echo "== field traces: none in $(FIELD), not replayed"; exit 0; fi; \
	echo "== three field traces as one tape, 20 s of it under saturation"; \
	mkdir -p out/field; \
	bin/tracegen import --fit shortest -o out/field/field.tape att.up=$(FIELD)/ATT-LTE-driving-2016.up vzw.up=$(FIELD)/Verizon-LTE-short.up tmo.up=$(FIELD)/TMobile-LTE-short.up; \
	bin/demo --bin bin --name field --within 0.05 --out out/field --tape out/field/field.tape; \
	echo "== the same in the lab"; \
	bin/lab run -- bin/demo --bin bin --name field --out out/field --tape out/field/field.tape; \
	echo "== the exact backend against its model, on the field traces"; \
	LINKTAPE_FIELD=$(abspath $(FIELD)) bin/lab test -run TestExactField ./cmd/replay

# Writes the tables and the picture of docs/accuracy.md: what each bottleneck
# delivers of the field traces, whole, in virtual time. Some ten minutes.
accuracy: kernel
	bin/accuracy --traces $(FIELD)

bench: kernel
	@tools/need go tc cyclictest $(EXPERIMENTS)
	LINKTAPE_REQUIRE="$(PROMISE),cyclictest" go test -run '^$$' -bench . ./trace ./trace/convert ./synth ./netsetup ./replay ./cmd/tracegen ./cmd/replay
	$(INLAB) go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./cmd/lab
	@echo "== a packet over the exact backend beside HTB, on a distribution's kernel"
	@bin/lab kernel path qemu-6.12 >/dev/null 2>&1 || bin/lab kernel fetch qemu-6.12
	bin/lab test --kernel qemu-6.12 -run '^$$' -bench Packet -benchtime 30000x ./cmd/replay

fuzz:
	@tools/need go
	tools/fuzz $(FUZZTIME)

golden:
	for p in $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u); do go test $$p -update; done

# The same bytes from the same source on every machine; a test of edt/bpf compares.
bpf:
	@tools/need clang-14 llvm-strip-14
	tools/bpf.sh

clean:
	rm -rf bin out
