#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Save a process to a file with cat, kill it, and run the file: it goes on
# where it was.  The process is a shell that counts.

set -eu

dir=$(mktemp -d "${TMPDIR:-/tmp}/freeze.XXXXXX")
trap 'kill -9 $! 2>/dev/null || :; rm -rf "$dir"' EXIT
cd "$dir"

# Print a command as one would type it, then do it.
run() {
	echo "\$ $*"
	eval "$*"
}

# The counter has no other files open than these three, which it gets from who
# starts it, and from who starts the image.
cat >counter.sh <<'END'
n=0
while [ ! -e stop ]; do
	n=$((n + 1))
	echo $n
	i=0
	while [ $i -lt 1000 ]; do i=$((i + 1)); done
done
END

: >numbers
# shellcheck disable=SC2016 # expanded by run
run 'sh -c "$(cat counter.sh)" </dev/null >>numbers &'
pid=$!
while [ "$(wc -l <numbers)" -lt 5 ]; do sleep 0.1; done

# Stop it, so that it does not count between the dump and its end.
run "kill -STOP $pid"
while ! grep -q '^State:.*T' /proc/$pid/status; do sleep 0.1; done
run "cat /proc/$pid/dump >image"
run "chmod +x image"
run "kill -9 $pid"
wait $pid 2>/dev/null || :

last=$(tail -n 1 numbers)
echo "It had counted to $last, and is gone.  Now run the file:"
run './image </dev/null >>numbers &'
while ! grep -q '^State:.*T' /proc/$!/status; do sleep 0.1; done
run "kill -CONT $!"
while [ "$(tail -n 1 numbers)" -lt $((last + 5)) ]; do sleep 0.1; done
run 'touch stop'
wait $!

# Every number is there, once and in order.
echo "It went on: ... $(tail -n 7 numbers | tr '\n' ' ')"
awk '$1 != NR { exit 1 }' numbers
echo "No number is missing and none is there twice, of $(wc -l <numbers)."
