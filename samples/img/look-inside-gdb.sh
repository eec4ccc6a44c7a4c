#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# An image is a core file: a debugger opens it, or the process itself while it
# runs, without stopping it for longer than the dump takes.

set -eu

command -v gdb >/dev/null || exit 4

dir=$(mktemp -d "${TMPDIR:-/tmp}/gdb.XXXXXX")
trap 'kill -9 $! 2>/dev/null || :; rm -rf "$dir"' EXIT
cd "$dir"

run() {
	echo "\$ $*"
	eval "$*"
}

# No question to the network, no settings of the user's.
DEBUGINFOD_URLS=
export DEBUGINFOD_URLS

# A dynamically linked program that sleeps in its C library.
program=$(command -v sleep)
run "sleep 1000 &"
pid=$!
while ! grep -q '^State:.*S' /proc/$pid/status ||
	[ "$(readlink /proc/$pid/exe)" != "$(readlink -f "$program")" ]; do
	sleep 0.1
done
sleep 0.2

echo "Look at it while it runs:"
run "gdb -nx -batch -c /proc/$pid/dump $program -ex bt 2>&1 | tee live"
grep -q 'nanosleep' live

echo "Save it, and look at that:"
run "cat /proc/$pid/dump >image"
run "gdb -nx -batch -c image $program -ex bt -ex 'info registers rip rsp' \
-ex 'info threads' 2>&1 | tee saved"
grep -q 'nanosleep' saved
grep -q '^rip  *0x' saved
grep -q '^\* 1 ' saved

# The same place, whichever way one looks; and sleep knows nothing of it.
[ "$(grep '^#0' live)" = "$(grep '^#0' saved)" ]
kill -0 $pid
echo "It still sleeps."
