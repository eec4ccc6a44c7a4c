#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# make demo: the main job, live in a guest.

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

"$top/scripts/setup.sh"
kernel=$("$top/scripts/kernel.sh" small)
say "  booting the guest"
rc=0
KERNEL=$kernel SELFTESTS=no QEMU_TIMEOUT=${QEMU_TIMEOUT:-300} "$top/scripts/qemu.sh" run -- \
	'exec sh /run/host/guest/demo.sh' || rc=$?
if [ $rc -ne 0 ]; then
	echo "The demo failed."
	exit $rc
fi
