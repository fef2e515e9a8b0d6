#!/bin/sh
# prepare.sh build|test|demo|vm: sees to it that what this needs is installed.
# As root on Debian it installs what lacks with one apt-get line; otherwise it prints that line and exits 1.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:?build, test, demo or vm}

say() { echo "corten: $*" >&2; }

if [ "$purpose" != build ] && [ "$(id -u)" != 0 ]; then
  say "'make $purpose' needs root: it makes namespaces, cgroups and mounts (overlayfs, proc), and daemons that"
  say "start containers. It keeps to a temporary root of its own. Run: sudo make $purpose"
  exit 1
fi

# program -> Debian package; libc6-dev and libsqlite need no program of their own.
need="cc:gcc make:make"
case $purpose in
  demo) need="$need busybox:busybox-static script:bsdutils mount:mount" ;;
  test) need="$need busybox:busybox-static script:bsdutils mount:mount runc:runc crun:crun containerd:containerd ctr:containerd
    dockerd:docker.io docker:docker.io tini:tini strace:strace socat:socat jq:jq ip:iproute2 newuidmap:uidmap mke2fs:e2fsprogs readelf:binutils" ;;
  vm) need="$need busybox:busybox-static mmdebstrap:mmdebstrap mke2fs:e2fsprogs" ;;
esac

missing=
PATH=$PATH:/usr/sbin:/sbin
for entry in $need; do
  # Debian's own docker is meant, not a newer one in /usr/local.
  [ -x "/usr/bin/${entry%%:*}" ] || [ -x "/usr/sbin/${entry%%:*}" ] || [ -x "/bin/${entry%%:*}" ] || [ -x "/sbin/${entry%%:*}" ] || missing="$missing ${entry#*:}"
done
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

if [ -n "${missing% }" ]; then
  line="apt-get install -y --no-install-recommends $missing"
  if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    say "installing: $line"
    # Nothing that is installed here may start by itself: the tests start daemons on roots of their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\nexit 101\n' > "$policy"
      chmod 755 "$policy"
      trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive $line >&2
  else
    say "missing; run as root: $line"
    exit 1
  fi
fi

if ! command -v cargo >/dev/null; then
  say "Rust is missing (1.95 or newer): install rustup, then run: rustup toolchain install 1.95.0"
  exit 1
fi
# rustup installs what rust-toolchain.toml names at the first call; without rustup the version is looked at.
version=$(rustc --version | cut -d' ' -f2)
case $version in
  0.* | 1.[0-9].* | 1.[0-8][0-9].* | 1.9[0-4].*)
    say "rustc $version is too old: run rustup toolchain install 1.95.0"
    exit 1
    ;;
esac
