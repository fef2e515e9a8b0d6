#!/bin/sh
# test.sh [ARGUMENTS OF cargo test]: runs the tests (all without arguments), then says in one line how many passed.
set -u
cd "$(dirname "$0")/.."
mkdir -p target
log=target/test.log
[ -x /usr/local/bin/docker ] || echo "corten: no newer docker CLI in /usr/local/bin: only Debian's drives the daemons" >&2

{ cargo test --no-fail-fast "$@" 2>&1; echo "exit status $?"; } | tee "$log" | grep -v '^running 0 tests$'
status=$(sed -n 's/^exit status //p' "$log" | tail -1)

awk '/^test result:/ { passed += $4; failed += $6; ignored += $8; binaries++ }
  /^test .* FAILED$/ { names = names "\n  " $2 }
  END { printf "tests: %d passed, %d failed, %d ignored in %d executables\n", passed, failed, ignored, binaries
        if (names != "") print "failed:" names }' "$log"
exit "$status"
