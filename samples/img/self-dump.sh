#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Programs that save themselves: a shell script by cat, and a C program by
# open("/proc/self/dump").  Each goes on, and so does each of the files.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/self.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir"

run() {
	echo "\$ $*"
	eval "$*"
}

# The shell is saved while it waits for cat.  What is resumed has no child to
# wait for, so that to it cat seems to have failed.
cat >count.sh <<'END'
n=0
while [ $n -lt 5 ]; do
	n=$((n + 1))
	echo $n
	[ $n = 3 ] || continue
	if cat /proc/$$/dump >image; then
		echo saved
	else
		echo resumed
	fi
done
END

# shellcheck disable=SC2016 # expanded by run
run 'sh -c "$(cat count.sh)" >first'
run 'chmod +x image'
run './image >second'
run './image >third'
run 'paste first second third'
[ "$(paste -s -d ' ' first)" = "1 2 3 saved 4 5" ]
[ "$(paste -s -d ' ' second)" = "resumed 4 5" ]
cmp second third

if ! command -v cc >/dev/null; then
	echo "No C compiler: that is all."
	exit 0
fi
run "cc -O2 -o self-dump $here/self-dump.c"
run './self-dump saved >first'
run './saved >second'
run 'tail first second'
[ "$(head -n 2 first | paste -s -d ,)" = "slow start,original: saved to saved" ]
[ "$(head -n 1 second)" = "image: open() said: Operation canceled" ]
[ "$(tail -n 1 first)" = "$(tail -n 1 second)" ]
[ "$(wc -l <second)" -eq 2 ]
