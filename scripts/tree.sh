# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # variables shared with others
#
# The kernel tree: the distribution's source plus this checkout.  To be
# sourced after lib.sh.
#
#	$cache/src-ID	pristine source, unpacked once
#	$cache/work-ID	tree/ (pristine + ours), obj-FLAVOUR/, lock
#	$cache/work-ID-FLAVOUR	the same again, for the debug and the kcsan kernel:
#			a long build must not keep others waiting
#
# Ours is snapshotted first, so that an edit during a build cannot end up in a
# result that is stored under the key of something else.

# Editor droppings and build results of somebody's make in the checkout.
junk='! -name *~ ! -name .*.sw? ! -name *.o ! -name *.ko ! -name .*.cmd
	! -name *.orig ! -name *.rej ! -name .gitignore ! -name #*#'
overlay_dirs="arch Documentation fs include kernel mm samples tools"

# find_source: set $src_id and $src, unpacking it where needed.
find_source() {
	mkdir -p "$cache"
	if [ -n "${KDIR:-}" ]; then
		src=$(cd "$KDIR" 2>/dev/null && pwd) || die "KDIR: no such folder: $KDIR"
		[ -f "$src/kernel/Makefile" ] ||
			die "KDIR: not a kernel tree: $src"
		[ "$(sed -n 's/^\(VERSION\|PATCHLEVEL\) = //p' "$src/Makefile" |
			paste -s -d .)" = "$series" ] ||
			die "KDIR: not Linux $series: $src"
		src_id=dir-$(printf '%s' "$src" | sha256sum | cut -c 1-16)
		return
	fi
	tarball=/usr/src/linux-source-$series.tar.xz
	[ -f "$tarball" ] || die "no $tarball: run scripts/setup.sh"
	src_id=$(sha256sum "$tarball" | cut -c 1-16)
	src=$cache/src-$src_id
	[ -f "$src/Makefile" ] && return
	(
		flock 8
		[ -f "$src/Makefile" ] && exit
		rm -rf "$src.new"
		mkdir "$src.new"
		step "unpacking ${tarball##*/}" "$(new_log unpack)" \
			tar -C "$src.new" --strip-components=1 \
			-I 'xz -T0' -xf "$tarball"
		mv "$src.new" "$src"
		# An earlier source of the distribution, and what was built
		# from it, is not wanted for long.
		keep_newest 2 "$cache"/src-????????????????
		for w in "$cache"/work-????????????????; do
			[ -d "$cache/src-${w##*/work-}" ] || rm -rf "$w" "$w"-*
		done
	) 8>"$cache/src.lock"
	[ -f "$src/Makefile" ] || exit 1
}

# kdir_state: what stands for the content of somebody's own tree.
kdir_state() {
	find "$src" -name .git -prune -o -type f \
		\( -name '*.[chS]' -o -name 'Kconfig*' -o -name 'Makefile*' \
		-o -name Kbuild -o -name '*.sh' -o -name '*.pl' \
		-o -name '*.lds' -o -name '*.tbl' \) \
		-printf '%P %s %T@\n' | sort | sha256sum | cut -c 1-16
}

# snapshot: copy what we add to the kernel to $snap (new files) and
# $snap.patches, and set $src_state.
snapshot() {
	make_scratch
	snap=$scratch/snap
	rm -rf "$snap" "$snap.patches"
	mkdir -p "$snap" "$snap.patches"
	(
		cd "$top" || exit 1
		set -f
		for d in $overlay_dirs; do
			# shellcheck disable=SC2086 # words
			[ ! -d "$d" ] || find "$d" -type f $junk
		done | cpio -pdm --quiet "$snap"
		if [ -f Kconfig ]; then
			mkdir -p "$snap/kernel/img"
			cp -p Kconfig "$snap/kernel/img/Kconfig"
		fi
		set +f
		for p in patches/*.patch; do
			[ ! -f "$p" ] || cp -p "$p" "$snap.patches/"
		done
	)
	src_state=$src_id
	[ -z "${KDIR:-}" ] || src_state=$src_id-$(kdir_state)
}

# patched_files: the names of the files that our patches touch.
patched_files() {
	for p in "$snap.patches"/*.patch; do
		[ ! -f "$p" ] ||
			sed -n 's/^\(---\|+++\) [ab]\/\([^\t]*\).*/\2/p' "$p"
	done | sort -u
}

# apply_patches DIR LOG: the patched files, made from pristine ones, in DIR;
# what patch says about all of them in LOGs.
apply_patches() {
	mkdir -p "$1"
	: >"$2s"
	patched_files | while read -r f; do
		[ -f "$src/$f" ] || continue
		mkdir -p "$1/$(dirname "$f")"
		cp "$src/$f" "$1/$f"
	done
	for p in "$snap.patches"/*.patch; do
		[ -f "$p" ] || continue
		if ! patch -p1 --fuzz=0 --no-backup-if-mismatch -d "$1" \
			<"$p" >"$2" 2>&1; then
			say "patches/${p##*/} does not apply:"
			sed 's/^/    /' "$2" >&2
			return 1
		fi
		sed "s/^/${p##*/}: /" "$2" >>"$2s"
	done
}

# lock_tree [SUFFIX]
lock_tree() {
	work=$cache/work-$src_id${1:-}
	tree=$work/tree
	mkdir -p "$work"
	exec 9>"$work/lock"
	if ! flock -n 9; then
		say "  waiting for another build to finish"
		flock 9
	fi
}

copy_source() {
	rm -rf "$tree.new"
	if [ -n "${KDIR:-}" ]; then
		# A tree that was built in place is good enough: leave the
		# results behind, which would get in the way of O=.
		rsync -a --delete --exclude /.git --exclude '*.o' \
			--exclude '*.a' --exclude '*.ko' --exclude '.*.cmd' \
			--exclude /.config --exclude /include/config \
			--exclude /include/generated \
			--exclude '/arch/*/include/generated' \
			"$src/" "$tree.new/"
	else
		# Links are safe: no build with O= writes to the source, and
		# put_file replaces files instead of writing into them.
		cp -al "$src" "$tree.new"
	fi &&
	rm -rf "$tree" &&
	mv "$tree.new" "$tree"
}

# put_file FROM NAME: a fresh time stamp makes kbuild see the change, also
# when an old state of the file comes back.
put_file() {
	mkdir -p "$tree/$(dirname "$2")"
	rm -f "$tree/$2"
	cp "$1" "$tree/$2"
	touch "$tree/$2"
}

# sync_tree: bring $tree in line with the snapshot.  Needs the lock.
sync_tree() {
	ours=$work/ours
	if [ "$(cat "$work/state" 2>/dev/null)" != "$src_state" ]; then
		step "making the kernel tree" "$(new_log tree)" copy_source
		rm -f "$ours"
		echo "$src_state" >"$work/state"
	fi

	rm -rf "$scratch/patched"
	apply_patches "$scratch/patched" "$scratch/patch.log" || exit 1
	(cd "$scratch/patched" && find . -type f -printf '%P\n') |
		sort >"$scratch/list.patched"
	(cd "$snap" && find . -type f -printf '%P\n') |
		sort >"$scratch/list.new"
	while read -r f; do
		if [ -e "$src/$f" ] || [ -e "$scratch/patched/$f" ]; then
			die "$f exists in the kernel: changes to it belong in patches/"
		fi
	done <"$scratch/list.new"
	sort "$scratch/list.patched" "$scratch/list.new" >"$scratch/list"
	patched_files | sort - "$scratch/list" | uniq >"$scratch/touched"

	# The list of what differs from the pristine source has to be complete
	# at any time, should we be interrupted.
	touch "$ours"
	sort -u "$ours" "$scratch/touched" >"$ours.new"
	mv "$ours.new" "$ours"

	while read -r f; do
		from=
		if [ -f "$scratch/patched/$f" ]; then
			from=$scratch/patched/$f
		elif [ -f "$snap/$f" ]; then
			from=$snap/$f
		elif [ -f "$src/$f" ] && ! grep -qxF "$f" "$scratch/touched"; then
			from=$src/$f
		fi
		if [ -z "$from" ]; then
			rm -f "$tree/$f"
		elif ! cmp -s "$from" "$tree/$f" ||
			{ [ -x "$from" ] && ! [ -x "$tree/$f" ]; }; then
			put_file "$from" "$f"
		fi
	done <"$ours"
	cp "$scratch/touched" "$ours"
}

# find_fragments: what the configuration of $flavour is made of, in $fragments,
# and the flavour without "-module", in $base.
find_fragments() {
	base=${flavour%-module}
	config=$top/scripts/config
	case $base in
	small) fragments=$config/small.config ;;
	debug|kcsan|bench) fragments="$config/small.config $config/$base.config" ;;
	*) die "no such kernel flavour: $flavour" ;;
	esac
	[ "$flavour" = "$base" ] || fragments="$fragments $config/module.config"
}

kmake() {
	# Nothing of this machine in the result, and nothing that changes by
	# itself from one build to the next.
	make -C "$tree" O="$obj" -j"$jobs" \
		KBUILD_BUILD_USER=img KBUILD_BUILD_HOST=img \
		KBUILD_BUILD_VERSION=1 "$@"
}

# configured: true if what the configuration depends on has not changed since
# configure was run for $obj, which takes a while.
configured() {
	config_state=$({
		echo "$src_state"
		gcc -v 2>&1 | tail -n 1
		# shellcheck disable=SC2086 # a list of files
		cat $fragments
		grep Kconfig "$ours" | while read -r f; do
			cat "$tree/$f"
		done
	} | sha256sum)
	[ "$(cat "$obj/.config.state" 2>/dev/null)" = "$config_state" ]
}

configure() {
	rm -f "$obj/.config.state"
	# shellcheck disable=SC2086 # a list of files
	cat $fragments >"$scratch/wanted"
	kmake -s KCONFIG_ALLCONFIG="$scratch/wanted" \
		KCONFIG_CONFIG="$scratch/config" allnoconfig || return
	# Only a real change may make kbuild look at everything again.
	cmp -s "$scratch/config" "$obj/.config" ||
		cp "$scratch/config" "$obj/.config"
	kmake -s olddefconfig || return
	# A later fragment overrides an earlier one.
	awk -F= -v config="$obj/.config" '
		/^# CONFIG_[A-Z0-9_]* is not set/ {
			split($0, word, " ")
			delete want[word[2]]
			next
		}
		/^CONFIG_/ { want[$1] = $0 }
		END {
			while ((getline line < config) > 0)
				have[line] = 1
			for (c in want)
				if (!(want[c] in have)) {
					print "lost from the configuration: " want[c]
					bad = 1
				}
			exit bad
		}' "$scratch/wanted" || return
	echo "$config_state" >"$obj/.config.state"
}
