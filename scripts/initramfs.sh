#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Make the initramfs and print where it is.

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

# Debian's busybox-static is the only busybox that needs no libraries.
busybox=$(command -v busybox) || die "no busybox: run scripts/setup.sh"
init=$top/scripts/guest/init
key=$(cat "$busybox" "$init" | sha256sum | cut -c 1-16)
result=$cache/initramfs/$key.cpio
if [ ! -f "$result" ]; then
	make_scratch
	root=$scratch/root
	mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" \
		"$root/root" "$root/mnt" "$cache/initramfs"
	cp "$busybox" "$root/bin/busybox"
	cp "$init" "$root/init"
	chmod 755 "$root/init" "$root/bin/busybox"
	# Not compressed: the processor of an emulated machine is slower than
	# the copy.  /dev/console comes with the kernel's own initramfs.
	(cd "$root" && find . | sort |
		cpio -o -H newc -R 0:0 --quiet) >"$scratch/cpio"
	mv "$scratch/cpio" "$result"
	keep_newest 4 "$cache"/initramfs/*.cpio
fi
echo "$result"
