# What one does with Sendoff; `make` alone lists it.
TARGET := $(or $(CARGO_TARGET_DIR),target)/$(shell rustc --print host-tuple)
BINARY := $(TARGET)/release/sendoff
PREFIX ?= /usr/local
.PHONY: help run test check lint demo bench torture build install clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: build ## the relay in the foreground: 127.0.0.1:2525, mail in ./spool
	@$(BINARY) serve

test: ## every test: units, docs, and the real binary among real peers
	cargo test

check: build lint ## format, lints, floors, docs, and that the binary is static
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps && cargo test --test floors --test binary
	ldd $(BINARY) 2>&1 | grep -E 'statically linked|not a dynamic'

lint: ## only format and lints
	cargo fmt --check && cargo clippy --all-targets -- -D warnings && cargo clippy --test demo --test bench -- -D warnings

demo: ## a good host, a black hole and the relay, on loopback: watch mail leave
	@cargo test --test demo --no-run && cargo test --quiet --test demo

bench: ## side by side with other relays, as root: make bench, or BENCH=holes-200 make bench
	@cargo test --release --test bench

torture: ## kill -9 under load, and faults of the disk: TORTURE_SECONDS=180, or TORTURE_KILLS=1000
	@TORTURE_SECONDS=$(or $(TORTURE_SECONDS),$(if $(TORTURE_KILLS),3600,180)) cargo test --release --test torture

build: ## the static release binary
	cargo build --release

install: build ## into /usr/local/bin, or PREFIX=... for another place
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/sendoff

clean: ## everything that was built; never a spool
	cargo clean
