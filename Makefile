# A menu. Each line says what it does; the logic is in packaging/*.sh and in integration-tests.
.PHONY: help demo build test test-vm bench crash lint install
PREFIX ?= /usr/local

help: ## show this menu
	@sed -n 's/^\([a-z-]*\): .*## /make \1|/p' Makefile | column -t -s '|'

demo: ## build everything, start the stack in a temporary root and show its main job (root)
	@packaging/prepare.sh demo && packaging/build.sh demo && "$${CARGO_TARGET_DIR:-target}/release/demo"

build: ## build every program for release into target/release, the small ones static
	@packaging/prepare.sh build && packaging/build.sh

test: ## install what the tests need and run every test (root)
	@packaging/prepare.sh test && packaging/test.sh

test-vm: ## run the scenarios of cgroup v2 and AppArmor, then the demo, in virtual machines (root)
	@packaging/prepare.sh vm && cargo build && packaging/vm-scenarios.sh && packaging/build.sh demo && packaging/test-vm.sh

bench: ## measure Corten beside Debian's docker, containerd and runc, and print the ratios (root; ROWS="pull exec": only these)
	@packaging/prepare.sh test && packaging/build.sh bench && "$${CARGO_TARGET_DIR:-target}/release/bench" $(ROWS)

crash: ## kill each program many times in the middle of each operation, and the largest layers (root; CORTEN_CRASH_ROUNDS, default 50)
	@packaging/prepare.sh test && CORTEN_CRASH_ROUNDS=$${CORTEN_CRASH_ROUNDS:-50} packaging/test.sh -p corten-bin -p cortend-bin -p corten-supervisor-bin -p corten-shim-bin -p corten-runtime-bin -p corten-proxy-bin -p integration-tests --test version --test crash
	@CORTEN_KILL_POINTS=all CORTEN_KILL_RANDOM=300 cargo test -p integration-tests --test runtime -- --nocapture nth_call random_kills
	@CORTEN_EQUALITY=full cargo test -p integration-tests --test images -- --nocapture equality
	@CORTEN_POWER_CUTS=30 cargo test -p integration-tests --test power -- --nocapture every_cut

lint: ## rustfmt, clippy without a warning, and the tidy tests
	@packaging/prepare.sh build && cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings && cargo test --quiet -p integration-tests --test tidy

install: ## copy the built programs to $(DESTDIR)$(PREFIX)/bin (after make build)
	@packaging/install.sh "$(DESTDIR)$(PREFIX)/bin"
