#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Images that need no other file: bits 2 and 3 of coredump_filter put the
# contents of mapped files into the image.  It runs in a folder that has nothing
# but the image.

# Functions are called by check().
# shellcheck disable=SC2317
# shellcheck source=ktap.sh
. "$(dirname "$0")/ktap.sh"

need_dump
[ -z "${IMG_NODUMP:-}" ] || skip_all "needs a dump"
[ "$(id -u)" -eq 0 ] || skip_all "chroot needs root"
plan 16

jail=$scratch/jail
mkdir "$jail" "$jail/proc"

# Only what can be moved to another machine is moved to another root.
jailed() {
	chroot "$jail" "/$1" </dev/null >>"$2" 2>&1 &
	pid=$!
	children="$children $pid"
	wait_until runs "$pid" "$3"
}

# save NAME: what runs as $pid, which is then ended.
save() {
	echo 0x7f >"/proc/$pid/coredump_filter" &&
	dump "$pid" "$jail/$1" &&
	end "$pid"
}

grows() {
	[ "$(wc -l <"$1")" -gt "$2" ]
}

# The lines that the image writes are some of those of an undisturbed run, in
# their order and to the end.
continues() {
	wait "$pid" || {
		echo "exit status $?"
		tail -n 3 "$1"
		return 1
	}
	n=$(wc -l <"$1")
	echo "$n lines"
	[ "$n" -gt 1 ] && tail -n "$n" "$scratch/undisturbed" | cmp - "$1"
}

# shellcheck disable=SC2016 # a program, not to be expanded here
cat >"$scratch/sum.py" <<'END'
import decimal, hashlib, json, sys

digest, root = "", decimal.Decimal(2)
for i in range(1, 41):
    root = (root + i).sqrt()
    data = json.dumps({"i": i, "root": str(root)})
    for _ in range(int(sys.argv[1])):
        digest = hashlib.sha256((digest + data).encode()).hexdigest()
    print(i, digest, flush=True)
END

if have python3; then
	# It must not come to its end while a dump of it is written.
	rounds=$((1500 * slow))
	python3 "$scratch/sum.py" $rounds >"$scratch/undisturbed"
	python3 "$scratch/sum.py" $rounds >"$scratch/out0" 2>&1 </dev/null &
	pid=$!
	children="$children $pid"
	wait_until grows "$scratch/out0" 3
	check "python: the image is saved" save image
	echo "# $(wc -c <"$jail/image") bytes"
	check "python: it is resumed where no file is" jailed image "$scratch/out1" python3
	wait_until grows "$scratch/out1" 2
	check "python: an image of it is saved, too" dump "$pid" "$jail/second"
	check "python: it comes to the same sum" continues "$scratch/out1"
	check "python: the second one is resumed" jailed second "$scratch/out2" python3
	first=$pid
	check "python: and again, at once" jailed second "$scratch/out3" python3
	check "python: the copy comes to the same sum" continues "$scratch/out3"
	pid=$first
	check "python: the second one comes to the same sum" continues "$scratch/out2"
else
	for t in "the image is saved" "it is resumed where no file is" \
		"an image of it is saved, too" "it comes to the same sum" \
		"the second one is resumed" "and again, at once" \
		"the copy comes to the same sum" "the second one comes to the same sum"; do
		skip "python: $t" "no python3"
	done
fi

# A dynamically linked program in C; its file is gone when it is saved.
program() {
	cp "$here/deep" "$scratch/program" &&
	"$scratch/program" </dev/null >"$scratch/out4" 2>&1 &
	pid=$!
	children="$children $pid"
	wait_until grows "$scratch/out4" 0 && sleep 0.2 && rm "$scratch/program"
}

mapped_files() {
	awk 'NF > 5 && $6 ~ /^\// && !/\(deleted\)$/ { print; bad = 1 }
	END { exit bad }' "/proc/$pid/maps"
}

# From a container's root, which is an overlay: two folders, one of them empty.
overlaid() {
	"$scratch/overlay/deep" </dev/null >"$scratch/out6" 2>&1 &
	pid=$!
	children="$children $pid"
	wait_until grows "$scratch/out6" 0 && sleep 0.2
}

exe_is() {
	[ "$(readlink "/proc/$pid/exe")" = "$1" ] || readlink "/proc/$pid/exe"
	[ "$(readlink "/proc/$pid/exe")" = "$1" ]
}

check "C: it runs" program
check "C: the image is saved" save deep
check "C: it is resumed where no file is" jailed deep "$scratch/out5" program
check "C: it maps no file that has a path" mapped_files
check "C: it knows what it executes" exe_is "$scratch/program (deleted)"

mkdir "$scratch/overlay" "$scratch/nothing"
if mount -t overlay -o "lowerdir=$here:$scratch/nothing" overlay "$scratch/overlay"; then
	check "overlay: it runs" overlaid
	check "overlay: the image is saved" save over
	check "overlay: it is resumed where no file is" jailed over "$scratch/out7" deep
	umount "$scratch/overlay" || umount -l "$scratch/overlay"
else
	for t in "it runs" "the image is saved" "it is resumed where no file is"; do
		skip "overlay: $t" "no overlayfs"
	done
fi
finish
