#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Install what is missing of the distribution's packages that the other
# scripts use, and of those that are named.  Does nothing, quickly, when all are
# there.

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ "$(uname -m)" = x86_64 ] || die "this works on x86-64 only"

packages="
	build-essential flex bison bc libelf-dev libssl-dev cpio xz-utils zstd
	kmod rsync patch qemu-system-x86 busybox-static sparse shellcheck gdb
	binutils elfutils strace python3 perl bash procps musl-tools gawk sqlite3 dc
	fzf b3sum openjdk-17-jre-headless ecj $*"
[ -n "${KDIR:-}" ] ||
	packages="$packages linux-source-$series linux-config-$series"

missing=
for p in $packages; do
	case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) in
	installed) ;;
	*) missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null ||
		die "not root and no sudo; install these packages:$missing"
	sudo=sudo
fi

say "Installing packages:$missing"
# shellcheck disable=SC2086 # a list of packages
apt() {
	# What the mirror serves changes: refresh the lists, once.  That may fail
	# for some source that we need nothing of.  A lock held by a timer of the
	# system is waited for.
	$sudo apt-get -o DPkg::Lock::Timeout=300 -q update || :
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get \
		-o DPkg::Lock::Timeout=300 -q -y --no-install-recommends \
		install $missing
}
# sudo may have to ask for a password, which step would hide.
[ -z "$sudo" ] || sudo -v || die "sudo does not work"
step "apt-get update and install" "$(new_log packages)" apt
