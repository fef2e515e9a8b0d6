#!/bin/sh
# install.sh DIRECTORY: copies the programs of target/release there, by rename, so that running ones are not touched.
set -eu
cd "$(dirname "$0")/.."
directory=${1:?the directory to install into}
release=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$directory"
for program in corten cortend corten-supervisor corten-ctr corten-shim corten-runtime corten-proxy corten-hello; do
  [ -x "$release/$program" ] || { echo "corten: $release/$program is not built: run make build" >&2; exit 1; }
  cp "$release/$program" "$directory/.$program.new"
  chmod 755 "$directory/.$program.new"
  mv "$directory/.$program.new" "$directory/$program"
done
# Where bash-completion looks for a program of this prefix.
mkdir -p "$directory/../share/bash-completion/completions"
cp packaging/completions/corten-runtime "$directory/../share/bash-completion/completions/corten-runtime"
# The name by which a containerd finds a shim for the runtime io.containerd.corten.v2.
ln -sfn corten-shim "$directory/containerd-shim-corten-v2"
