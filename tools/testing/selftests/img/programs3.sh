#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Real programs with threads, in the middle of their work: dumped several times
# on their way, killed and resumed each time, they end with the same output as
# one that was left alone.
#
# Open files are the launcher's.  What each of these programs has open besides
# its input and output is said below.

# Functions are called by check().
# shellcheck disable=SC2317
# shellcheck source=ktap.sh
. "$(dirname "$0")/ktap.sh"
# shellcheck source=work.sh
. "$here/work.sh"

need_dump
plan 8

# shellcheck disable=SC2034 # of work.sh
least_threads=2

# Go's runtime makes an epoll instance when the first timer is used.
before_dump() {
	epoll=
	case $name in
	fzf)
		epoll=$(sed -n 's/^tfd: *4 .*data: *\([0-9a-f]*\).*/\1/p' \
			"/proc/$pid/fdinfo/3" 2>/dev/null)
		;;
	esac
}

before_launch() {
	case $name in
	fzf) [ "$(id -u)" -ne 0 ] || same_pid ;;
	esac
}

in_launcher() {
	case $name in
	java)
		# Where it reads classes from that it has not loaded yet.
		exec 3<"$java_home/lib/modules"
		[ -z "$one_cpu" ] || exec $one_cpu "$image"
		;;
	xz)
		# A pipe by which its signal handler wakes it.
		rm -f "$scratch/fifo"
		mkfifo "$scratch/fifo"
		exec 5<>"$scratch/fifo"
		exec 3<"$scratch/fifo"
		exec 4>"$scratch/fifo" 5>&-
		;;
	fzf)
		# Go's runtime keeps the IDs of its threads, for tgkill(2) to
		# interrupt one that does not give way by itself: its garbage
		# collector waits for all of them.  With other IDs, threads give
		# way at function calls only.  That would do for this one, but
		# not for a program in a long loop.
		[ "$(id -u)" -ne 0 ] || echo 1 >/proc/self/keep_ids
		[ -z "$epoll" ] || exec "$here/prog_epoll" 3 4 5 "$epoll" "$image"
		;;
	esac
}

# shellcheck disable=SC2034 # of work.sh
marks=1
# Workers that take from one queue and put into another, a lock that all of them
# want, a condition that the first thread waits for, and a barrier.
cat >"$scratch/threads.py" <<'END'
import queue
import sys
import threading

WORKERS = 4
jobs = queue.Queue(maxsize=5)
results = queue.Queue()
lock = threading.RLock()
changed = threading.Condition()
barrier = threading.Barrier(WORKERS)
total = 0
done = 0
own = threading.local()

def collatz(n):
    steps = 0
    while n != 1:
        n = n * 3 + 1 if n % 2 else n // 2
        steps += 1
    return steps

def work(which):
    global total, done
    own.which = which
    while True:
        job = jobs.get()
        if job is None:
            break
        steps = sum(collatz(n) for n in range(job, job + 20))
        with lock:
            with lock:
                total = total + steps
        results.put((job, steps))
        with changed:
            done += 1
            changed.notify_all()
    barrier.wait()
    assert own.which == which

limit = int(sys.argv[1])
open(sys.argv[2], "w").close()
threads = [threading.Thread(target=work, args=(i,)) for i in range(WORKERS)]
for t in threads:
    t.start()
for i in range(limit):
    jobs.put(i * 20 + 1)
    if i % 40 == 39:
        with changed:
            # With a timeout that is not reached.
            assert changed.wait_for(lambda: done == i + 1, timeout=3600)
for t in threads:
    jobs.put(None)
for t in threads:
    t.join()
both = sorted(results.get() for i in range(limit))
assert sum(steps for job, steps in both) == total and results.empty()
print(done, total, hash(tuple(both)))
END
work "python3: threads, locks, queues, a condition" python3 4 /dev/null \
	/usr/bin/python3 "$scratch/threads.py" $((1000 * slow)) "$mark"

# Most of the time these are in C code, and really run at the same time.
cat >"$scratch/pool.py" <<'END'
import concurrent.futures
import hashlib
import sys
import zlib

def work(n):
    data = hashlib.sha512(b"%d" % n).digest() * 300
    data = hashlib.pbkdf2_hmac("sha256", data, b"salt", 20) + data
    packed = zlib.compress(data, 9)
    assert zlib.decompress(packed) == data
    return hashlib.sha256(packed + hashlib.blake2b(data * 8).digest()).hexdigest()

with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
    open(sys.argv[2], "w").close()
    h = hashlib.md5()
    for digest in pool.map(work, range(int(sys.argv[1]))):
        h.update(digest.encode())
    late = [pool.submit(work, n) for n in range(20)]
    for future in concurrent.futures.as_completed(late):
        assert len(future.result()) == 64
print(h.hexdigest())
END
work "python3: a pool of threads that compress and hash" python3 4 /dev/null \
	/usr/bin/python3 "$scratch/pool.py" $((400 * slow)) "$mark"
marks=

work "OpenMP: barriers, loops, tasks, reductions" prog_openmp 4 /dev/null \
	"$here/prog_openmp" 1500

random_lines() {
	awk -v lines="$1" 'BEGIN {
		n = 4711
		for (i = 0; i < lines; i++) {
			line = ""
			for (j = 0; j < 5; j++) {
				n = (n * 16807) % 2147483647
				line = line sprintf("%c%06x", 97 + n % 26, n % 16777216)
			}
			print line
		}
	}'
}

# packs COMM CYCLES INPUT COMMAND...: for who writes as it goes.
packs() {
	in_mid_work "$@" &&
	"$4" -dc <"$out" >"$scratch/unpacked" && cmp "$3" "$scratch/unpacked"
}

random_lines 80000 >"$scratch/lines"
# shellcheck disable=SC2034 # of work.sh
streams=1
for packer in "xz -T2 --block-size=128KiB -1" "zstd -q -T2 -B512K -9"; do
	if have "${packer%% *}"; then
		# shellcheck disable=SC2086 # words
		check "${packer%% *}: blocks by two threads, from file to file" \
			packs "${packer%% *}" 4 "$scratch/lines" $packer
	else
		skip "${packer%% *}" "not installed"
	fi
done
streams=

# Many lines to look at of which few are written, as it must not be in the middle
# of that.
cat "$scratch/lines" "$scratch/lines" "$scratch/lines" >"$scratch/more_lines"
work "fzf, in Go: many goroutines" fzf 4 "$scratch/more_lines" \
	fzf -f "a b c 0 1 2 3 zz"
rm -f "$scratch/more_lines"

# It has the file mapped, and not open any more.
yes "something to sum up" | head -c 384M >"$scratch/big"
work "b3sum, in Rust: one large file" b3sum 4 /dev/null \
	b3sum --num-threads 3 "$scratch/big"
rm -f "$scratch/big"

# Other options than the usual ones are: no file in /tmp with counters to look
# at, which it would have mapped (-UsePerfData); no looking up of limits in the
# files of control groups, now and then (-UseContainerSupport); and no files in
# the image.  The JVM sets its coredump_filter to have what it has mapped in core
# files, which for an image means all of the files, 130 MB of them.  It would be
# resumed as well, but a dump takes longer than the program.
#
# It replaces the beginning of a function that others execute by one write of
# eight bytes.  An emulated processor reads an instruction byte by byte, so it may
# see the first one of the old and the rest of the new.  The JVM crashes then,
# dumped or not, so it stays on one processor there.
one_cpu=
! grep -q 'QEMU TCG' /proc/cpuinfo || one_cpu="taskset -c 0"
if have java && [ -e "$here/ProgJava.class" ]; then
	java_home=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
	marks=1
	# shellcheck disable=SC2086 # words
	work "java: threads, locks, compilers, garbage collection" java 3 /dev/null \
		$one_cpu java -XX:ActiveProcessorCount=2 -XX:-UsePerfData -XX:-UseContainerSupport \
		-XX:+UnlockDiagnosticVMOptions -XX:-DumpSharedMappingsInCore \
		-XX:-DumpPrivateMappingsInCore -XX:+UseG1GC -Xmx32m \
		-cp "$here" ProgJava 150 "$mark"
else
	skip "java" "not installed"
fi
finish
