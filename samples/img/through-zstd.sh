#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# An image is a stream: it can be compressed, sent or encrypted on its way, and
# never needs to be on a disk whole.

set -eu

command -v zstd >/dev/null || exit 4

dir=$(mktemp -d "${TMPDIR:-/tmp}/zstd.XXXXXX")
trap 'kill -9 $! 2>/dev/null || :; rm -rf "$dir"' EXIT
cd "$dir"

run() {
	echo "\$ $*"
	eval "$*"
}

# A process with something to remember: awk with a table of primes.
cat >primes.awk <<'END'
BEGIN {
	for (n = 2; n <= 20000; n++) {
		for (d = 2; d * d <= n && n % d; d++)
			;
		if (d * d > n)
			prime[++count] = n
	}
	print "ready"
	fflush()
	getline line
	print "prime number " line " is " prime[line + 0]
}
END

mkfifo input
# shellcheck disable=SC2016 # expanded by run
run 'awk "$(cat primes.awk)" <input >output &'
pid=$!
exec 9>input
while ! grep -q ready output; do sleep 0.1; done
sleep 0.2

run "zstd -q </proc/$pid/dump >image.zst"
run "kill -9 $pid"
wait $pid 2>/dev/null || :
exec 9>&-

run 'zstd -q -d <image.zst >image'
run 'chmod +x image'
run 'ls -l image*'
run 'echo 2000 | ./image >answer'
run 'cat answer'
grep -qx 'prime number 2000 is 17389' answer
[ "$(wc -c <image.zst)" -lt "$(wc -c <image)" ]
