#!/bin/sh
# build.sh [PROGRAM...]: every program for release, under its own name in target/release; with them the named programs
# of integration-tests (demo, bench).
#
# The daemons and clients are built together for the machine's C library, in one call with what drives them: called
# alone, that would be given other features of the crates they share and compile all of those once more. The small
# programs are built one by one, because the features of crates built together are unified and would grow them, and for
# musl, because a static musl program starts in a fifth of the time (crates/README.md, "Decisions"). Each is linked by
# one thread, so they are built beside the large ones.
set -eu
cd "$(dirname "$0")/.."
target_directory=${CARGO_TARGET_DIR:-target}
release=$target_directory/release
musl=$(uname -m)-unknown-linux-musl

have_musl() { [ -e "$(rustc --print target-libdir --target "$musl" 2>/dev/null)" ]; }
have_musl || ! command -v rustup >/dev/null || rustup target add "$musl" || true

small_programs() {
  # One progress bar on a terminal is enough.
  export CARGO_TERM_PROGRESS_WHEN=never
  for program in corten-shim corten-runtime corten-proxy corten-hello; do
    if have_musl; then
      # Addresses that are to be relocated as a bit each instead of 24 bytes: what is loaded at every start.
      cargo build --profile static --target "$musl" -p "$program-bin" \
        --config "target.$musl.rustflags=['-Clink-arg=-Wl,-z,pack-relative-relocs']"
      built=$target_directory/$musl/static/$program
    else
      echo "corten: WARNING: the target $musl is not installed and cannot be: $program is linked with static glibc" >&2
      echo "corten: WARNING: it starts slower and uses more memory; to mend it run: rustup target add $musl" >&2
      cargo build --profile static -p "$program-bin"
      built=$target_directory/static/$program
    fi
    # By rename: a running container's shim may be this very file.
    mkdir -p "$release"
    cp "$built" "$release/.$program.new"
    mv "$release/.$program.new" "$release/$program"
  done
}

small_programs &
small=$!
# Nobody else ends what was put into the background when this ends early.
trap 'kill "$small" 2>/dev/null || true; pkill -P "$small" || true' EXIT
trap 'exit 130' INT TERM

harness=''
for program in "$@"; do
  harness="$harness --bin $program"
done
# shellcheck disable=SC2086 # words
cargo build --release -p corten-bin -p cortend-bin -p corten-supervisor-bin -p corten-ctr-bin ${harness:+-p integration-tests} \
  --bin corten --bin cortend --bin corten-supervisor --bin corten-ctr $harness
wait "$small"
trap - EXIT INT TERM

for program in corten cortend corten-supervisor corten-ctr corten-shim corten-runtime corten-proxy corten-hello; do
  printf '%9d KiB  %s\n' "$(($(stat -c %s "$release/$program") / 1024))" "$release/$program"
done
