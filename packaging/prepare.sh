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
# Only where the distribution has it; without it what needs it is skipped, and says so.
wish=
case $purpose in
  demo) need="$need busybox:busybox-static script:bsdutils mount:mount" ;;
  test) need="$need busybox:busybox-static script:bsdutils mount:mount runc:runc crun:crun containerd:containerd ctr:containerd
    docker-registry:docker-registry htpasswd:apache2-utils skopeo:skopeo docker-compose:docker-compose xz:xz-utils bzip2:bzip2
    dockerd:docker.io docker:docker.io tini:tini strace:strace socat:socat jq:jq ip:iproute2 nft:nftables dig:dnsutils newuidmap:uidmap mke2fs:e2fsprogs readelf:binutils
    dbus-daemon:dbus-daemon firewalld:firewalld ufw:ufw musl-gcc:musl-tools"
    wish="linux.uml:user-mode-linux apparmor_parser:apparmor dnsperf:dnsperf" ;;
  vm) need="$need busybox:busybox-static mmdebstrap:mmdebstrap mke2fs:e2fsprogs strace:strace ip:iproute2
    linux.uml:user-mode-linux apparmor_parser:apparmor" ;;
esac

missing=
PATH=$PATH:/usr/sbin:/sbin
# Debian's own docker is meant, not a newer one in /usr/local.
is_here() { [ -x "/usr/bin/$1" ] || [ -x "/usr/sbin/$1" ] || [ -x "/bin/$1" ] || [ -x "/sbin/$1" ]; }
for entry in $need; do
  is_here "${entry%%:*}" || missing="$missing ${entry#*:}"
done
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
wished=
for entry in $wish; do
  is_here "${entry%%:*}" || wished="$wished ${entry#*:}"
done
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

# install PACKAGES: nothing that is installed may start by itself, the tests start daemons on roots of their own.
install() {
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  say "installing: $line $*"
  apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive $line "$@" >&2
  # It would guard this machine from its next start on: the tests want the program alone.
  case " $* " in *' firewalld '*) systemctl --quiet disable firewalld >&2 || true ;; esac
}

line="apt-get install -y --no-install-recommends"
can_install=
[ "$(id -u)" != 0 ] || [ ! -e /etc/debian_version ] || can_install=yes
if [ -n "${missing% }" ]; then
  if [ -z "$can_install" ]; then
    say "missing; run as root: $line $missing"
    exit 1
  fi
  # shellcheck disable=SC2086 # the names are words
  install $missing
fi
if [ -n "$wished" ] && [ -n "$can_install" ]; then
  # shellcheck disable=SC2086 # the names are words
  install $wished || say "not to be had here:$wished; what needs it is skipped"
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
