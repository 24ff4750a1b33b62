#!/usr/bin/env bash
# The power of a machine is cut while it pages, again and again: nothing that was acknowledged is lost.
#
#   tests/power/run.sh PROGRAM [CUTS] [FOLDER]      as root; 20 cuts, about half a minute each; FOLDER keeps the kernel
#
# A guest of QEMU, without KVM (software emulation), with Debian's kernel, a shell and the program in its memory, and the
# database on a disk (ext4) whose writes pass the host's cache by (`cache=none`). A cut is `kill -9` of the guest: what
# the guest had not written is gone, as with the plug. All of it is in a network of its own. Needs Debian's
# qemu-system-x86, e2fsprogs, binutils, iproute2 and python3. Ends with 0 only if all that is promised was seen.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "${STORMBELL_POWER:-}" != alone ]; then
  exec env STORMBELL_POWER=alone unshare --net -- "$0" "$@"
fi
ip link set lo up
program=$(realpath "$1")
cuts=${2:-20}
work=$(mktemp -d)
kept=$(realpath -m "${3:-$work}")
trap 'rm -rf --one-file-system "$work"' EXIT

# ---- Debian's kernel and a shell. --------------------------------------------------------
if [ ! -s "$kept/vmlinuz" ]; then
  echo "the kernel is fetched outside of this network: run $here/kernel.sh $kept" >&2
  exit 69
fi

# ---- What the guest boots: a shell, the program, its rules. ------------------------------
root=$work/root
mkdir -p "$root"/{bin,dev,etc/stormbell/rules,lib64,proc,state,sys,tmp}
cp -r "$kept/lib" "$root/"
cp "$kept/busybox" "$root/bin/busybox"
cp "$program" "$root/bin/stormbell"
strip --strip-unneeded "$root/bin/stormbell"
ldd "$program" | grep -oE '/[^ ]+' | while read -r library; do
  install -D "$library" "$root$library"
done
{
  printf 'schema = 1\n[pack]\nname = "test"\ntitle = "Test"\nversion = "1.0.0"\n'
  python3 "$here/cuts.py" topics "$cuts" | while read -r topic; do
    printf '[[rule]]\nid = "%s.rule"\ntitle = "%s reported"\nseverity = "critical"\ntopic = "%s"\nquery = "%s"\n' \
      "$topic" "$topic" "$topic" "$topic"
  done
} >"$root/etc/stormbell/rules/test.toml"
printf 'power-api-token-0123456789' >"$root/etc/stormbell/token"
printf 'power-hook-secret-0123456789' >"$root/etc/stormbell/secret"
chmod 600 "$root"/etc/stormbell/{token,secret}
cat >"$root/etc/stormbell/stormbell.toml" <<'T'
schema = 1
rules = ["rules/"]
[organization]
name = "St. Brigid's Hospital"
[store]
path = "/state/stormbell.db"
[web]
listen = "127.0.0.1:8787"
token = { file = "token" }
[[source]]
name = "sky"
kind = "jetstream"
url = "ws://10.0.2.2:18080/subscribe"
[[source]]
name = "tips"
kind = "webhook"
format = "json"
secret = { file = "secret" }
signature_header = "x-hub-signature-256"
[source.messages]
post = { "/type" = "tip" }
[source.fields]
id = "/id"
text = "/text"
author = "/author"
[[receiver]]
name = "hook"
kind = "webhook"
url = "http://10.0.2.2:18080/hook"
[[route]]
steps = [{ notify = ["hook"] }]
T
cat >"$root/init" <<'T'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/state NO_COLOR=1 STORMBELL_LOG=info
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
depmod
for module in virtio_pci virtio_blk virtio_net; do modprobe $module; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
mount -t ext4 /dev/vda /state || exit 1
# The API is for this machine alone; this is how the host gets to it.
nc -ll -p 8788 -e nc 127.0.0.1 8787 &
exec stormbell run --config /etc/stormbell/stormbell.toml </dev/null >/dev/ttyS0 2>&1
T
chmod +x "$root/init"
(cd "$root" && find . -print0 | "$kept/busybox" cpio -0 -o -H newc 2>/dev/null) >"$work/initrd"
mke2fs -q -t ext4 "$work/disk.img" 512M
python3 "$here/cuts.py" cut "$cuts" "$kept/vmlinuz" "$work"
# Whatever was lost, the file system says that it is whole.
e2fsck -p "$work/disk.img" >/dev/null || [ $? -le 1 ]
