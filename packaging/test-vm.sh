#!/bin/bash
# Runs the demo's steps 1 to 3 once in a virtual machine, and the runtime as a user to whom systemd delegates a cgroup:
# Debian 12 as it is installed, with systemd and cgroup v2, under a User Mode Linux kernel, which needs no KVM. The
# machine's disk is built once and kept in .vmkit (delete it to build anew); what the machine writes goes to a throw-away
# overlay of it.
set -euo pipefail
cd "$(dirname "$0")/.."
kit=${CORTEN_VM_DIR:-$PWD/.vmkit}
packages=systemd-sysv,dbus,udev,kmod,procps,iproute2,util-linux,busybox-static,ca-certificates
# Units that only cost time in a machine without a network, a person or a past.
unwanted="getty@.service serial-getty@.service console-getty.service getty.target apt-daily.timer apt-daily-upgrade.timer
 e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer systemd-timesyncd.service systemd-networkd.service
 systemd-networkd.socket systemd-networkd-wait-online.service systemd-pstore.service systemd-journal-flush.service
 systemd-update-utmp.service systemd-random-seed.service systemd-udev-settle.service"

build_disk() {
  echo "test-vm: building the machine's disk in $kit (once)"
  mkdir -p "$kit"
  (cd "$kit" && apt-get download user-mode-linux >/dev/null && dpkg -x user-mode-linux_*.deb kernel)
  rm -rf "$kit/root" "$kit/root.img"
  mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$kit/root.tar"
  mkdir "$kit/root" && tar -xf "$kit/root.tar" -C "$kit/root" && rm "$kit/root.tar"
  mkdir -p "$kit/root/lib/modules" "$kit/root/usr/local/sbin"
  cp -a "$kit"/kernel/usr/lib/uml/modules/* "$kit/root/lib/modules/"
  echo corten-vm > "$kit/root/etc/hostname"
  echo '/dev/root / auto rw,noatime 0 0' > "$kit/root/etc/fstab"
  # With an id the machine has "booted before": systemd leaves the units as they are.
  echo 00112233445566778899aabbccddeeff > "$kit/root/etc/machine-id"
  for unit in $unwanted; do ln -sfn /dev/null "$kit/root/etc/systemd/system/$unit"; done
  cat > "$kit/root/etc/systemd/system/payload.service" <<'UNIT'
[Unit]
Description=run what the host shares, then power off
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
ExecStart=/usr/local/sbin/payload
ExecStopPost=/bin/systemctl poweroff --no-block
UNIT
  mkdir -p "$kit/root/etc/systemd/system/graphical.target.wants"
  ln -sfn ../payload.service "$kit/root/etc/systemd/system/graphical.target.wants/payload.service"
  ln -sfn /lib/systemd/system/graphical.target "$kit/root/etc/systemd/system/default.target"
  cat > "$kit/root/usr/local/sbin/payload" <<'PAYLOAD'
#!/bin/sh
share=$(sed -n 's/.*corten\.share=\([^ ]*\).*/\1/p' /proc/cmdline)
mkdir -p /host && mount -t hostfs -o "$share" none /host
sh /host/run.sh; echo $? > /host/code
PAYLOAD
  chmod 755 "$kit/root/usr/local/sbin/payload"
  truncate -s 3G "$kit/new.img" && mke2fs -q -t ext4 -O ^has_journal -d "$kit/root" "$kit/new.img"
  rm -rf "$kit/root" && mv "$kit/new.img" "$kit/root.img"
}

[ -e "$kit/root.img" ] || build_disk
share=$(mktemp -d /tmp/corten-vm.XXXXXX)
overlay=$share/disk.overlay
trap 'rm -rf "$share"' EXIT
cp target/release/{corten,cortend,corten-supervisor,corten-ctr,corten-shim,corten-runtime,corten-hello,demo} "$share/"
cat > "$share/run.sh" <<'RUN'
mkdir /opt/corten && cp /host/corten* /host/demo /opt/corten/
echo "kernel $(uname -r), cgroup file system: $(stat -fc %T /sys/fs/cgroup), PID 1: $(cat /proc/1/comm)"
cd /opt/corten && CORTEN_BIN_DIR=/opt/corten ./demo --steps 1-3 || exit 1
echo 'user:x:1000:1000::/opt/user:/bin/sh' >> /etc/passwd && echo 'user:x:1000:' >> /etc/group
mkdir -p /opt/user/rootfs/bin /opt/user/rootfs/proc /opt/user/rootfs/dev /opt/user/rootfs/sys
cp /bin/busybox /opt/user/rootfs/bin/ && ln -s busybox /opt/user/rootfs/bin/sleep && ln -s busybox /opt/user/rootfs/bin/id
cp /host/delegated.sh /opt/user/ && chown -R 1000:1000 /opt/user
systemd-run --quiet --wait --pipe --uid=1000 --gid=1000 --property=Delegate=yes sh /opt/user/delegated.sh
RUN
cat > "$share/delegated.sh" <<'USER'
set -eu
runtime="/opt/corten/corten-runtime --root /opt/user/state"
group=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)
echo "user $(id -u), given by systemd: ${group#/sys/fs/cgroup}, with $(cat "$group/cgroup.controllers")"
# Processes and controllers do not share a cgroup of v2: the caller moves down, and the container comes beside it.
mkdir "$group/session" && echo $$ > "$group/session/cgroup.procs" && echo "+memory +pids" > "$group/cgroup.subtree_control"
cd /opt/user && $runtime spec --rootless
sed -i -e 's/"terminal": true/"terminal": false/' -e 's/"sh"$/"sleep", "1000"/' config.json
$runtime run --detach --bundle . web < /dev/null > /dev/null 2>&1 || { $runtime run --bundle . web; exit 1; }
$runtime update --pids-limit 9 --memory 64M web
$runtime exec web id
said="$(cat "$group/web/pids.max") $(cat "$group/web/memory.max")"
$runtime pause web && $runtime resume web && $runtime delete --force web
[ "$said" = "9 67108864" ] && [ ! -e "$group/web" ] || { echo "limits: $said, left: $(ls "$group")"; exit 1; }
echo "limits of the user's container: $said; deleted"
USER
kernel=$kit/kernel/usr/bin/linux.uml
[ -x "$kernel" ] || kernel=$(ls "$kit"/*/usr/bin/linux.uml)
timeout "${CORTEN_VM_TIMEOUT:-600}" "$kernel" mem=1536M umid="corten$$" ubd0="$overlay,$kit/root.img" root=/dev/ubda rw \
  con=null con0=null,fd:1 quiet corten.share="$share" </dev/null 2>&1 | grep -v mmapper_init || true
code=$(cat "$share/code" 2>/dev/null || echo "none: the machine did not finish")
[ "$code" = 0 ] || { echo "test-vm: what runs in the machine ended with code $code" >&2; exit 1; }
echo "test-vm: steps 1 to 3 and a user's container in a delegated cgroup passed on cgroup v2 under systemd"
