#!/bin/bash
# vm-scenarios.sh [RESULT]: runs the scenarios that need cgroup v2 or AppArmor in a virtual machine: a User Mode Linux
# kernel (an ordinary program: no KVM) on the host's own files, read-only, with cgroup v2 alone and AppArmor switched on.
# It needs no disk and no init, and boots in two seconds.
#
# The test programs must have been built. What the machine prints goes to RESULT (default target/vm.log) and to standard
# output; the exit code is that of the tests, or 0 with a line that says so where Debian's user-mode-linux is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
result=${1:-target/vm.log}
programs=${CORTEN_BIN_DIR:-$(realpath -m "${CARGO_TARGET_DIR:-target}")/debug}
kernel=${CORTEN_VM_KERNEL:-/usr/bin/linux.uml}

# The programs of tests, each with the filters of what runs here; ignored ones are those the host cannot run.
runtime="unified:: delegated:: unprivileged::every_verb unprivileged::a_user apparmor:: cgroups:: events:: bundle::the_default_devices"
# Alone, because they count every device program the kernel has.
alone="random_kills:: remains::"
# That kernel has no nf_tables either.
engine="apparmor:: networks_lacking::"

if [ ! -x "$kernel" ]; then
  echo "vm-scenarios: skipped: $kernel is not installed (apt-get install user-mode-linux)"
  exit 0
fi
executable() { # of a test program, by the list cargo prints
  local path
  path=$(cargo test --no-run -p integration-tests --test "$1" 2>&1 | sed -n "s|.*Executable tests/$1/main.rs (\(.*\))|\1|p")
  case $path in "") echo "vm-scenarios: the tests of $1 do not build" >&2; exit 1 ;; /*) echo "$path" ;; *) echo "$PWD/$path" ;; esac
}
runtime_tests=${CORTEN_VM_RUNTIME_TESTS:-$(executable runtime)}
engine_tests=${CORTEN_VM_ENGINE_TESTS:-$(executable engine)}

scratch=$(mktemp -d /tmp/corten-vm.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
# A disk, so that there is a block device whose rates can be limited.
truncate -s 4M "$scratch/disk"
# The guest's memory is a file; a small /dev/shm would end the machine in the middle.
[ "$(df --output=avail -m /dev/shm 2>/dev/null | tail -1)" -gt 1200 ] 2>/dev/null || export TMPDIR=$scratch

cat > "$scratch/init" <<INIT
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm /dev/mqueue /run/tests /run/lock
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts && mount -t tmpfs shm /dev/shm && mount -t mqueue mqueue /dev/mqueue
# What can be written is a tmpfs; not over the project, should it stand in /tmp.
mount -t tmpfs -o mode=1777 tmp /var/tmp
case $PWD in /tmp/*) ;; *) mount -t tmpfs -o mode=1777 tmp /tmp ;; esac
ln -s /proc/self/fd /dev/fd; ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr
mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t securityfs securityfs /sys/kernel/security
busybox insmod /usr/lib/uml/modules/\$(uname -r)/kernel/fs/overlayfs/overlay.ko
ip link set lo up
cd /run/tests
export CORTEN_BIN_DIR=$programs CORTEN_TEST_TMP=/run/tests RUST_BACKTRACE=0
echo "vm: kernel \$(uname -r), cgroup \$(stat -fc %T /sys/fs/cgroup) with \$(cat /sys/fs/cgroup/cgroup.controllers), security \$(cat /sys/kernel/security/lsm)"
code=0
$runtime_tests --color=never --include-ignored --test-threads=2 $runtime 2>&1 || code=1
$runtime_tests --color=never --include-ignored --test-threads=1 $alone 2>&1 || code=1
$engine_tests --color=never --include-ignored --test-threads=2 $engine 2>&1 || code=1
[ \$code = 0 ] || dmesg | tail -30
echo "vm: ended with \$code after \$(cut -d' ' -f1 /proc/uptime) s"
poweroff -f
INIT
chmod 755 "$scratch/init"

timeout "${CORTEN_VM_TIMEOUT:-540}" "$kernel" mem=1G umid="corten$$" uml_dir="$scratch/" ubd0="$scratch/disk" \
  rootfstype=hostfs root=/dev/root rootflags=/ ro init="$scratch/init" apparmor=1 security=apparmor \
  con=null con0=null,fd:1 quiet loglevel=1 </dev/null 2>&1 | tr -d '\r' | grep -v -e 'wtmp record' -e 'mmapper_init' | tee "$result" || true
code=$(sed -n 's/^vm: ended with \([0-9]*\).*/\1/p' "$result")
[ -n "$code" ] || echo "vm-scenarios: the machine did not finish; all it said is in $result"
exit "${code:-1}"
