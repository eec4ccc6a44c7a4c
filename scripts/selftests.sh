#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Build the selftests in the synced kernel tree and print the folder they are
# installed in; its file "tests" lists those to run.

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"
# shellcheck source=scripts/tree.sh
. "$top/scripts/tree.sh"

find_source
snapshot
dir=tools/testing/selftests/img
mkdir -p "$snap/$dir" "$snap/include/uapi"

# What makes all of them stale, and what makes one of them stale.
common=$({
	echo "1 $src_state"
	gcc -v 2>&1 | tail -n 1
	hash_files "$snap.patches"
	hash_files "$snap/include/uapi"
	hash_files "$snap/$dir" ! -name '*.c' ! -name '*.sh'
} | sha256sum | cut -c 1-16)
key=$({
	echo "$common"
	hash_files "$snap/$dir"
} | sha256sum | cut -c 1-16)
result=$cache/selftests/$key
if [ -f "$result/tests" ]; then
	touch "$result"
	echo "$result"
	exit
fi

install_headers() {
	make -C "$tree" O="$work/obj-headers" -j"$jobs" headers
}

tmake() {
	make -C "$tree/$dir" OUTPUT="$out" \
		KHDR_INCLUDES="-isystem $work/obj-headers/usr/include" "$@"
}

# A test that does not compile must not keep the others from running: it will
# be missing, and counted as failed.
build() {
	tmake -j"$jobs" -k all
	tmake -i install INSTALL_PATH="$result.new"
}

lock_tree ""
if [ -f "$result/tests" ]; then
	echo "$result"
	exit
fi
sync_tree
rm -rf "$result.new"
mkdir -p "$result.new"
if [ -f "$tree/$dir/Makefile" ]; then
	mkdir -p "$work/obj-headers"
	step "installing the kernel's headers" "$(new_log headers)" \
		install_headers
	out=$work/obj-selftests-$common
	mkdir -p "$out"
	log=$(new_log selftests)
	step "building the selftests" "$log" build
	grep -E -A 4 'warning: |error: |\*\*\*|link_stat' "$log" >&2 || :
	tmake -s emit_tests COLLECTION=img |
		sed -n 's/^img://p' >"$scratch/tests"
	keep_newest 2 "$work"/obj-selftests-*
else
	: >"$scratch/tests"
fi
mv "$scratch/tests" "$result.new/tests"
rm -rf "$result"
mv "$result.new" "$result"
keep_newest 6 "$cache"/selftests/????????????????
echo "$result"
