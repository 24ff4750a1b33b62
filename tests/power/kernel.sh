#!/usr/bin/env bash
# Debian's kernel for clouds, what it needs of modules, and a shell, into a folder: `tests/power/run.sh` boots them.
#
#   tests/power/kernel.sh FOLDER      27 MB by apt; nothing is installed
set -euo pipefail
mkdir -p "$1"
folder=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/ *Depends: //p' | head -n 1)
apt-get -qq download "$kernel" busybox-static
for package in ./*.deb; do dpkg-deb --extract "$package" here; done
modules=$(cd here && find lib/modules -path '*/drivers/virtio/virtio*.ko' -o -name 'virtio_blk.ko' -o -name 'virtio_net.ko' -o -name '*failover.ko')
for module in $modules; do install -D "here/$module" "$folder/$module"; done
version=$(basename here/lib/modules/*)
touch "$folder/lib/modules/$version/modules.order" "$folder/lib/modules/$version/modules.builtin"
cp here/bin/busybox "$folder/busybox"
cp here/boot/vmlinuz-* "$folder/vmlinuz"
