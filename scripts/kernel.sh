#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/kernel.sh [small|debug|kcsan][-module]
#
# Build the kernel of that flavour and print the folder with bzImage, config
# and System.map (and binfmt_img.ko where it is a module).  Results are stored
# under a hash of all that goes into them, so an unchanged checkout costs
# nothing.
#
# scripts/kernel.sh tree: only bring the tree up to date, and print its path

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"
# shellcheck source=scripts/tree.sh
. "$top/scripts/tree.sh"

want=all
if [ "${1:-}" = tree ]; then
	want=tree
	shift
fi
flavour=${1:-${FLAVOUR:-small}}
find_fragments

build() {
	if [ "$flavour" = "$base" ]; then
		kmake bzImage
	else
		kmake bzImage modules
	fi
}

# The kernel with the module differs in few files: start from the objects of
# the other one.  They depend on objtool, which is made anew in another folder
# although it is the same program; its old time stamp keeps them valid.
copy_objects() {
	rm -rf "$obj.new"
	cp -a --reflink=auto "$work/obj-$base" "$obj.new" &&
	mv "$obj.new" "$obj" &&
	kmake -s prepare &&
	find "$obj/tools/objtool" -exec \
		touch -h -r "$work/obj-$base/tools/objtool/objtool" {} +
}

# find_result: set $result to where the kernel of the checkout, as it is now,
# belongs; true if it is there.
find_result() {
	snapshot
	key=$({
		echo "1 $src_state $flavour"
		gcc -v 2>&1 | tail -n 1
		ld -v
		# shellcheck disable=SC2086 # a list of files
		cat $fragments
		hash_files "$snap.patches"
		hash_files "$snap" ! -path './Documentation/*' \
			! -path './samples/*' ! -path './tools/*'
	} | sha256sum | cut -c 1-16)
	result=$cache/kernels/$flavour-$key
	[ $want = all ] && [ -f "$result/bzImage" ]
}

found() {
	touch "$result"
	echo "$result"
	exit
}

find_source
if find_result; then
	found
fi
if [ "$base" = small ]; then
	lock_tree ""
else
	lock_tree "-$base"
fi
# Things may have changed while we waited.
if find_result; then
	found
fi
obj=$work/obj-$flavour
sync_tree
if [ $want = tree ]; then
	echo "$tree"
	exit
fi

if [ "$flavour" != "$base" ] && ! [ -d "$obj" ] &&
	[ -f "$work/obj-$base/vmlinux" ]; then
	step "copying the objects of the $base kernel" "$(new_log copy)" \
		copy_objects
fi
mkdir -p "$obj"
configured ||
	step "configuring the $flavour kernel" "$(new_log "config-$flavour")" \
		configure
build_log=$(new_log "build-$flavour")
step "building the $flavour kernel ($jobs jobs)" "$build_log" build
# Ours are few: a warning of theirs would drown in the log.
grep -A 6 'warning: ' "$build_log" >&2 || :

rm -rf "$result.new"
mkdir -p "$result.new"
cp "$obj/.config" "$result.new/config"
cp "$obj/System.map" "$result.new/"
[ "$flavour" = "$base" ] || [ ! -f "$obj/fs/binfmt_img.ko" ] ||
	cp "$obj/fs/binfmt_img.ko" "$result.new/"
cp "$obj/arch/x86/boot/bzImage" "$result.new/"
rm -rf "$result"
mv "$result.new" "$result"
keep_newest 8 "$cache"/kernels/*-????????????????
echo "$result"
