#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Ten clones of one python3 that has done its imports and computed its tables:
# each starts where the warm-up ended, and is a process of its own.

set -eu

python=/usr/bin/python3
[ -x $python ] || exit 4

dir=$(mktemp -d "${TMPDIR:-/tmp}/clones.XXXXXX")
trap 'kill -9 $(cat pids) 2>/dev/null || :; rm -rf "$dir"' EXIT
cd "$dir"
: >pids

run() {
	echo "\$ $*"
	eval "$*"
}

# What a job is comes from its standard input, which is the launcher's.
cat >warm.py <<'END'
import decimal, hashlib, json, os, sys

squares = {n: n * n for n in range(100000)}
print("warm", flush=True)

# Dumped here, while it waits for a line.
job = int(sys.stdin.readline())
digest = hashlib.sha256(json.dumps([job, squares[job]]).encode()).hexdigest()
print(json.dumps({"pid": os.getpid(), "job": job, "square": squares[job],
                  "sha256": digest[:16]}))
END

mkfifo input
# shellcheck disable=SC2016 # expanded by run
run '"$python" -c "$(cat warm.py)" <input >output &'
pid=$!
echo $pid >>pids
exec 9>input		# keep the other end open
while ! grep -q warm output; do sleep 0.1; done
sleep 0.2

run "cat /proc/$pid/dump >clone"
run 'chmod +x clone'
run "kill -9 $pid"
wait $pid 2>/dev/null || :
exec 9>&-

# shellcheck disable=SC2016 # as it would be typed
echo '$ for i in 1 2 3 4 5 6 7 8 9 10; do echo $i | ./clone >result.$i & done'
for i in 1 2 3 4 5 6 7 8 9 10; do
	echo $i >job.$i
	./clone <job.$i >result.$i &
	echo $! >>pids
done
wait

run 'cat result.*'

# Ten different processes, each with the result of its own job.
# shellcheck disable=SC2016 # a program for python3
"$python" -c '
import hashlib, json
results = [json.load(open("result.%d" % i)) for i in range(1, 11)]
for i, r in enumerate(results, 1):
    want = hashlib.sha256(json.dumps([i, i * i]).encode()).hexdigest()[:16]
    assert r["job"] == i and r["square"] == i * i and r["sha256"] == want, r
assert len({r["pid"] for r in results}) == 10, "PIDs are not different"
print("Ten processes, ten right results.")'
