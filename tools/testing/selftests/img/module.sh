#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The loader as a module: it comes, it works, it stays while it is needed, and
# it goes.  IMG_KO names the module; run where no loader is built in.

# Functions are called by check().
# shellcheck disable=SC2317
# shellcheck source=ktap.sh
. "$(dirname "$0")/ktap.sh"

[ -n "${IMG_KO:-}" ] || skip_all "IMG_KO is not set"
need_dump
plan 9

image=$scratch/image
out=$scratch/out
exe=$here/deep
name=$(basename "$IMG_KO" .ko)

"$exe" </dev/null >"$out" 2>&1 &
pid=$!
children=$pid
wait_until [ -s "$out" ]
sleep 0.2
check "a dump does not need the module" dump "$pid" "$image"
end "$pid"

# exec_fails ERRNO: a shell would hide it.
exec_fails() {
	/usr/bin/python3 -c '
import os, sys
try:
    os.execv(sys.argv[1], [sys.argv[1]])
except OSError as e:
    print("errno", e.errno)
    sys.exit(e.errno != int(sys.argv[2]))
' "$image" "$1"
}

uses() {
	awk -v name="$name" '$1 == name { print $3 }' /proc/modules
}

used() {
	[ "$(uses)" -gt 0 ]
}

unused() {
	[ "$(uses)" = 0 ]
}

check "without the module an image is unknown: ENOEXEC" exec_fails 8
check "the module loads" insmod "$IMG_KO"

runs_image() {
	resume "$image" deep "$out" && [ "$(state "$pid")" = S ]
}
check "an image runs" runs_image
check "the module is in use as long as the process lives" used

stays() {
	! rmmod "$name" && used && kill -0 "$pid"
}
check "and cannot be unloaded" stays

released() {
	end "$pid"
	wait_until unused
}
check "it is released with the process" released

unloads() {
	rmmod "$name" && exec_fails 8
}
check "it unloads, and images are unknown again" unloads

again() {
	for _ in 1 2 3 4 5; do
		insmod "$IMG_KO" || return
		runs_image || return
		released || return
		rmmod "$name" || return
	done
}
check "five times more" again
finish
