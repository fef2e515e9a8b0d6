#!/bin/sh
# test.sh [ARGUMENTS OF cargo test]: runs the tests (all without arguments), then says in one line how many passed.
set -u
cd "$(dirname "$0")/.."
mkdir -p target
log=target/test.log
[ -x /usr/local/bin/docker ] || echo "corten: no newer docker CLI in /usr/local/bin: only Debian's drives the daemons" >&2

{ cargo test --no-fail-fast "$@" 2>&1; echo "exit status $?"; } | tee "$log" | grep -v '^running 0 tests$'
status=$(sed -n 's/^exit status //p' "$log" | tail -1)

# A test that failed is run once more, alone: one that passes then is told as unsteady, loudly, because it is a defect
# of the test or of what it tests, but it does not hide whether the rest holds.
again=$(awk '/^test .* \.\.\. FAILED$/ { print $2 }' "$log" | sort -u)
if [ "$status" -ne 0 ] && [ -n "$again" ] && ! grep -q '^error: could not compile' "$log"; then
  echo "tests: once more, alone: $(echo $again)"
  # shellcheck disable=SC2086 # the names are words
  if cargo test --no-fail-fast "$@" -- --exact --test-threads=1 $again > "$log.again" 2>&1; then
    status=0
    echo "tests: UNSTEADY, passed only at the second try: $(echo $again)"
  else
    grep -E '^test .* FAILED$|panicked|left:|right:' "$log.again"
  fi
fi

awk '/^test result:/ { passed += $4; failed += $6; ignored += $8; binaries++ }
  /^test .* FAILED$/ { names = names "\n  " $2 }
  END { printf "tests: %d passed, %d failed, %d ignored in %d executables\n", passed, failed, ignored, binaries
        if (names != "") print "failed:" names }' "$log"
exit "$status"
