#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

# By name: IMG_CACHE may be a folder that holds other things too.
rm -rf "$cache/tmp" "$cache"/src-* "$cache"/work-* "$cache/src.lock" \
	"$cache/kernels" "$cache/initramfs" "$cache/selftests" "$logs"
rmdir "$cache" 2>/dev/null || :
