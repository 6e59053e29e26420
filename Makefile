# Needs Rust (rustup), Go 1.26, and Python 3 with venv. Everything else is built into .tools/ by `make tools`.

CLUSTER := tests/cluster/control-plane
KUBERNETES := 1.37.2
HELM_VERSION := v4.3.1
DENY_VERSION := 0.20.2
REQUIREMENTS := $(wildcard tests/ec2sim/judge/requirements.txt)

# A set of envtest (etcd, kube-apiserver, kubectl) serves as well as our own.
CONTROL_PLANE := $(if $(KUBEBUILDER_ASSETS),,.tools/control-plane/control-plane)
# For tests alone; a set of envtest has none.
MANAGER := $(if $(KUBEBUILDER_ASSETS),,.tools/control-plane/kube-controller-manager)
HELM := .tools/helm-$(HELM_VERSION)
DENY := .tools/cargo-deny-$(DENY_VERSION)
VULNCHECK_VERSION := v1.9.0
PIP_AUDIT_VERSION := 2.10.1
VENV := $(if $(REQUIREMENTS),.tools/venv/ready)

DEBUG := $(or $(CARGO_TARGET_DIR),target)/debug
# As `/usr/bin/time -v make demo ONCE=1` of a fresh clone without caches printed it: user and system time, and memory.
GO_COST := from Go, twelve minutes of computing and up to 3 GB of memory
RUST_COST := from Rust, ten minutes of computing, once; half of them are one crate (aws-sdk-ec2), which takes 7.7 GB of memory

VERSION := k8s.io/component-base/version
LDFLAGS := -s -w -X $(VERSION).gitVersion=v$(KUBERNETES) \
	-X $(VERSION).gitMajor=$(word 1,$(subst ., ,$(KUBERNETES))) -X $(VERSION).gitMinor=$(word 2,$(subst ., ,$(KUBERNETES)))

# Behind cargo, where both build: one crate of its own decides when both are done.
GO_BUILD := CGO_ENABLED=0 nice go build -buildvcs=false -trimpath -ldflags "$(LDFLAGS)" -o "$$OUT/"

NEED_GO := command -v go >/dev/null || { echo "Go 1.26 or later is needed: https://go.dev/dl" >&2; exit 1; }

.PHONY: help binaries players build test model replay mutants fuzz check demo features faults conditions advisories bless tools test-tools clean-tools

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## Builds the workspace
	cargo build --workspace

test: test-tools ## Runs all tests, also those against a real API server; the sum is printed last
	@.ci/count cargo test --workspace --no-fail-fast

mutants: ## Breaks the controller on purpose, one bug at a time, and sees that a test fails; MUTANTS="a b" only these, SLOW=1 the shell too
	@$(if $(SLOW),$(MAKE) --no-print-directory test-tools && )tests/mutants/run $(MUTANTS)

# Virtual time at length; with optimisation, for it is all computing.
IGNORED := -- --ignored --nocapture --exact
WORLD := cargo test --release --quiet -p saved-template-controller --test world $(IGNORED)
SMALL := cargo test --release --quiet -p saved-template-core --test small $(IGNORED)
# A larger cache of the C library's malloc: a quarter less time.
model: export GLIBC_TUNABLES = glibc.malloc.tcache_max=65536:glibc.malloc.tcache_count=1000
model: ## Random double faults and exhaustive small worlds at length: some hours on two cores; a table is printed last
	@$(WORLD) model::every_single_death
	@$(SMALL) worlds::small_worlds_at_length
	@$(WORLD) walk::many_more_walks
	@$(WORLD) enemy::rewind::every_jump_after_every_effect
	@$(WORLD) enemy::hunt::hunts
	@$(WORLD) model::histories
	@$(WORLD) replicas::many_more_histories

replay: ## Runs one history of `make model` again, and the smallest that still fails: make replay SEED=1234; HUNT=1: one with enemies
	@SEED=$(SEED) $(WORLD) random::replay

# On a stable compiler. With libFuzzer: fuzz/README.md.
fuzz: ## Hostile input: a million or ten minutes of each kind; INPUTS=, LIMIT= (seconds) and SEED= say otherwise
	cargo run --manifest-path fuzz/Cargo.toml --bin soak -- $(or $(INPUTS),1000000) $(or $(LIMIT),600) $(or $(SEED),1)

check: $(HELM) $(DENY) ## Format, lints, documentation and what cites it, dependencies, chart
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	.tools/bin/cargo-deny check bans licenses sources
	.tools/bin/helm lint --strict --set clusterName=check,image.repository=check charts/savedtemplate
	.tools/bin/helm template savedtemplate --set clusterName=check,image.repository=check,regions={eu-west-1} \
		charts/savedtemplate >/dev/null
	cargo test --quiet --workspace --test references --test floors
	@for patch in tests/mutants/*.patch tests/mutants/slow/*.patch; do git apply --check $$patch || exit 1; done

# Beside `check`: what is known of a version today would fail what has not changed.
advisories: $(DENY) ## Known holes in what every lock file names (Rust, Go, Python): needs the network
	@$(NEED_GO)
	@failed=; \
	for lock in Cargo.lock fuzz/Cargo.lock; do \
		echo "$$lock"; .tools/bin/cargo-deny --manifest-path $$(dirname $$lock)/Cargo.toml --config deny.toml check advisories \
			|| failed="$$failed $$lock"; \
	done; \
	echo "$(CLUSTER)/go.sum"; \
	(cd $(CLUSTER) && go run golang.org/x/vuln/cmd/govulncheck@$(VULNCHECK_VERSION) ./...) || failed="$$failed $(CLUSTER)/go.sum"; \
	python3 -m venv .tools/audit && .tools/audit/bin/python -m pip install --quiet --disable-pip-version-check \
		pip-audit==$(PIP_AUDIT_VERSION) || failed="$$failed pip-audit"; \
	for list in $(REQUIREMENTS); do \
		echo "$$list"; .tools/audit/bin/pip-audit --strict --requirement $$list || failed="$$failed $$list"; \
	done; \
	[ -z "$$failed" ] || { echo "not without holes, or not asked:$$failed" >&2; exit 1; }

demo: ## Shows a save against a real API server and a simulated EC2; ONCE=1 ends by itself, TOUR=1 goes on after the first save
	@$(MAKE) --no-print-directory -j2 players $(CONTROL_PLANE)
	@exec $(DEBUG)/demo $(if $(ONCE),--once) $(if $(TOUR),--tour)

# What the demo runs, beside the Go build, and nothing else. There are no examples: with them selected, features, and
# with them every dependency, are those of `make test`.
players:
	@[ -x $(DEBUG)/savedtemplate-controller ] || echo "building the controller and the demo: $(RUST_COST)"
	@cargo build --workspace --examples --bin savedtemplate-controller --bin demo

features: test-tools binaries ## Runs the tests of tests/features.yaml: what each feature rests on; the sum is printed last
	@exec $(DEBUG)/features

faults: test-tools binaries ## Runs every scenario S1-S97, with real processes and in virtual time: up to 40 minutes; writes docs/reliability.md
	@exec $(DEBUG)/faults

conditions: test-tools binaries ## Runs the flows, and writes docs/conditions.md from what their objects said
	@exec $(DEBUG)/conditions

binaries:
	cargo build --workspace --bins --examples

# The templates of the chart that the demo needs.
OF_THE_DEMO := serviceaccount clusterrole role admissionpolicy class

bless: $(HELM) ## Rewrites the generated files: the CRDs from the types, what the demo needs from the chart
	BLESS=1 cargo test -p saved-template-api golden
	{ echo '# Rendered from charts/savedtemplate by `make bless`. Do not edit.' && \
		.tools/bin/helm template savedtemplate --namespace savedtemplate-system \
			--set image.repository=none,clusterName=demo $(OF_THE_DEMO:%=--show-only templates/%.yaml) charts/savedtemplate; \
	} >tests/src/demo/chart.yaml

tools: test-tools $(DENY) ## Builds what is needed beside Rust and Go: control plane, helm, cargo-deny, Python packages

test-tools: $(CONTROL_PLANE) $(MANAGER) $(HELM) $(VENV)

clean-tools: ## Removes .tools/; a cache under ~/.cache/savedtemplate makes the next `make tools` quick
	rm -rf .tools

# The version before made a link of kube-controller-manager.
.tools/control-plane/control-plane: $(CLUSTER)/go.mod $(CLUSTER)/go.sum $(CLUSTER)/main.go
	@$(NEED_GO)
	@cat $^ | .ci/tool $@ "kubectl version --client" 'cd $(CLUSTER) && $(GO_BUILD) .' "$(GO_COST)"
	@for name in etcd kube-apiserver kubectl; do ln -sf control-plane $(@D)/$$name; done
	@[ ! -L $(@D)/kube-controller-manager ] || rm $(@D)/kube-controller-manager

.tools/control-plane/kube-controller-manager: $(CLUSTER)/go.mod $(CLUSTER)/go.sum $(CLUSTER)/manager/main.go | $(CONTROL_PLANE)
	@$(NEED_GO)
	@cat $^ | .ci/tool $@ --version 'cd $(CLUSTER) && $(GO_BUILD)$(@F) ./manager'

$(HELM):
	@$(NEED_GO)
	@echo | .ci/tool .tools/bin/helm version \
		'CGO_ENABLED=0 GOBIN="$$OUT" go install -trimpath -ldflags "-s -w" helm.sh/helm/v4/cmd/helm@$(HELM_VERSION)'
	@touch $@

$(DENY):
	@echo | .ci/tool .tools/bin/cargo-deny --version \
		'env -u CARGO_TARGET_DIR cargo install cargo-deny --version $(DENY_VERSION) --locked --root "$$OUT" \
			&& mv "$$OUT"/bin/cargo-deny "$$OUT"/'
	@touch $@

.tools/venv/ready: $(REQUIREMENTS)
	@rm -rf $(@D)
	@python3 -m venv $(@D) || { echo "python3 cannot make a venv: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(REQUIREMENTS)
	@touch $@
