# What people and CI call. Each target gets what it needs by itself (scripts/setup) and may be run again at any time.

# Jobs that `make demo` runs.
JOBS ?= 1
# What `make dist` builds for.
ARCH ?= $(shell uname -m)

# With a value, `make demo KEEP=1` leaves the laptop cloud up and prints its addresses.
KEEP ?=

# What a machine of `make demo` is: systemd (needs root with all its capabilities, which containers often lack) or
# process. Without a value: systemd as root, else process.
MACHINES ?=

built = $${CARGO_TARGET_DIR:-target}/$${CARGO_BUILD_TARGET:-$$(scripts/target)}

.DEFAULT_GOAL := help
.PHONY: help demo test lint image bench dist setup clean

help: ## This list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# The whole workspace, always: built alone, a crate would have other features of its dependencies, and the AWS SDK
# would be compiled again, which takes minutes.
demo: ## Run the main job, end to end, on the laptop cloud (JOBS=20 many at once, KEEP=1 leaves it up, MACHINES=process without systemd)
	@scripts/setup rust moto terraform $(if $(filter process,$(MACHINES)),,machine)
	@scripts/cargo build --workspace --locked
	@$(built)/debug/laptop demo --jobs $(JOBS) $(if $(KEEP),--keep) $(if $(MACHINES),--machines $(MACHINES))

test: ## Run every test
	@scripts/setup rust nextest moto terraform machine packer
	@scripts/test

lint: ## Run every check that is not a test
	@scripts/setup rust terraform lint
	@scripts/lint

image: ## Have Packer make an image, boot it beside a stock one, and tell how long each takes (needs root)
	@scripts/setup rust moto terraform machine packer
	@scripts/cargo build --workspace --locked
	@$(built)/debug/laptop image --machines systemd

bench: ## Measure the shipped programs on the laptop cloud
	@scripts/setup rust moto terraform machine
	@scripts/dist $(shell uname -m)
	@scripts/cargo build --workspace --locked --profile measure
	@DAYFLY_SHIPPED=$(built)/dist $(built)/measure/laptop-bench

dist: ## Build what is shipped into dist/ (ARCH=aarch64 for arm64)
	@scripts/setup rust
	@scripts/dist $(ARCH)

setup: ## Get what all of these need
	@scripts/setup

clean: ## Remove what was built; keeps the laptop cloud's cached root file system
	@rm -rf dist
	@mkdir -p target && find target -mindepth 1 -maxdepth 1 ! -name laptop -exec rm -rf {} +
	@rm -rf target/laptop/run-* target/laptop/deployed-*
