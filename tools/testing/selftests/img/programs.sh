#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Real programs, dumped with cat, killed, and resumed by executing the image,
# many times over: they go on as if nothing had been.
#
# Each program counts, and writes one line per step to a file that it has open
# for appending.  It is stopped before its dump, so that the steps that it does
# between the dump and its end are not done twice.

# Functions are called by check().
# shellcheck disable=SC2317
# shellcheck source=ktap.sh
. "$(dirname "$0")/ktap.sh"

need_dump
plan 12

cycles_of_python=50
out=$scratch/out

# The file of an image that runs cannot be written: take turns.
image=$scratch/image.a
other_image() {
	case $image in
	*.a) image=$scratch/image.b ;;
	*) image=$scratch/image.a ;;
	esac
}

# One cycle of what runs as $pid, a process named $program; stopped before, or
# as it is.
cycle_stopped() {
	stop "$pid" || return
	maps=$(cat "/proc/$pid/maps")
	other_image
	dump "$pid" "$image" || return
	end "$pid"
	resume "$image" "$program" "$out" || return
	wait_until is_stopped "$pid" || return
	if [ "$maps" != "$(cat "/proc/$pid/maps")" ]; then
		echo "/proc/PID/maps differs, before and after:"
		echo "$maps"
		cat "/proc/$pid/maps"
		return 1
	fi
	kill -CONT "$pid"
}

cycle_running() {
	other_image
	dump "$pid" "$image" || return
	end "$pid"
	resume "$image" "$program" "$out"
}

start() {
	rm -f "$scratch/stop" "$out"
	"$@" </dev/null >>"$out" 2>&1 &
	pid=$!
	children="$children $pid"
	wait_until [ -s "$out" ] || return
	read -r program <"/proc/$pid/comm"
}

# ends: it comes to its end by itself, with status 0.
ends() {
	: >"$scratch/stop"
	wait "$pid"
	rc=$?
	[ "$rc" -eq 0 ] || echo "exit status $rc"
	return "$rc"
}

# The lines are 1, 2, 3 and so on: none twice, none left out.
consecutive() {
	awk '$1 == "end" { done = 1; next }
	$1 != NR { print "line " NR " is " $0; bad = 1; exit }
	END { if (!done) print "no end"; exit bad || !done }' "$out"
}

# cycles N: of a process that comes forward between them.
more_lines() {
	[ "$(wc -l <"$out")" -gt "$lines" ]
}

cycles() {
	cycles_n=0
	while [ "$cycles_n" -lt "$1" ]; do
		lines=$(wc -l <"$out")
		if ! cycle_stopped || ! wait_until more_lines; then
			echo "in cycle $cycles_n"
			return 1
		fi
		cycles_n=$((cycles_n + 1))
	done
}

# counts CYCLES COMMAND...
counts() {
	counts_n=$1
	shift
	start "$@" && cycles "$counts_n" && ends && consecutive
}

# shellcheck disable=SC2016 # a program, not to be expanded here
loop='
i=0
while [ ! -e "$0/stop" ]; do
	i=$((i + 1))
	echo $i
	j=0
	while [ $j -lt 300 ]; do
		j=$((j + 1))
	done
done
echo end'

# shellcheck disable=SC2016 # a program, not to be expanded here
perl_loop='
use strict;
$| = 1;
my ($i, %seen, @list) = (0);
until (-e "$ARGV[0]/stop") {
	$i++;
	$seen{$i} = "x" x ($i % 100);
	push @list, join(",", map { $_ * $i } 1 .. 20);
	@list = sort { $b cmp $a } @list if $i % 50 == 0;
	splice(@list, 500) if @list > 1000;
	die unless length $seen{int($i / 2) || 1} == (int($i / 2) || 1) % 100;
	print "$i\n";
	select(undef, undef, undef, 0.001);
}
print "end\n";'

# program NAME CYCLES COMMAND...
program() {
	program_name=$1
	shift
	if have "$2"; then
		check "$program_name counts on" counts "$@"
	else
		skip "$program_name counts on" "not installed"
	fi
}

program "busybox sh" 3 busybox sh -c "$loop" "$scratch"
program "sh" 3 sh -c "$loop" "$scratch"
program "bash" 3 bash -c "$loop" "$scratch"
program "perl" 3 perl -e "$perl_loop" "$scratch"

# A pipeline's worth of other programs, dumped where they happen to be.
awk_loop='BEGIN {
	while ((getline line < (dir "/stop")) < 0) {
		print ++i
		fflush()
		for (j = 0; j < 200; j++)
			a[j] = a[j] i % 10
		if (i % 500 == 0)
			delete a
	}
	print "end"
}'
program "awk" 3 awk -v dir="$scratch" "$awk_loop"

# Python: a SHA-256 over counters and what json and decimal make of them.
cat >"$scratch/sum.py" <<'END'
import decimal
import hashlib
import json
import os
import sys
import time

directory, limit = sys.argv[1], int(sys.argv[2])
decimal.getcontext().prec = 60
h = hashlib.sha256()
d = decimal.Decimal(1)
i = 0
history = []
while i < limit or (limit == 0 and not os.path.exists(directory + "/stop")):
    i += 1
    d = (d * 7 + i) / 11
    text = json.dumps({"number": i, "decimal": str(d), "last": history[-3:]})
    h.update(text.encode())
    history.append(h.hexdigest()[:8])
    if len(history) > 1000:
        history = history[::2]
    print(i, flush=True)
    if i % 10 == 0 and limit == 0:
        time.sleep(0.001)
print("end", i, h.hexdigest(), flush=True)
END

python=/usr/bin/python3
if [ -x "$python" ]; then
	sum_program=$(cat "$scratch/sum.py")
	python_counts() {
		start "$python" -c "$sum_program" "$scratch" 0 &&
		cycles "$cycles_of_python" && ends
	}
	undisturbed() {
		read -r _ steps sum <<-END
			$(tail -n 1 "$out")
		END
		echo "$steps steps, $sum"
		[ "$steps" -gt 5 ] || return
		"$python" -c "$sum_program" "$scratch" "$steps" >"$scratch/want"
		tail -n 1 "$scratch/want"
		[ "$(tail -n 1 "$scratch/want")" = "end $steps $sum" ]
	}
	check "python3 in $cycles_of_python cycles, maps equal each time" python_counts
	check "python3 did no step twice and left none out" consecutive
	check "python3's sum equals that of an undisturbed run" undisturbed

	# Not stopped before: what it had done by its end is done once more.
	python_running() {
		start "$python" -c "$sum_program" "$scratch" 0 || return
		n=0
		while [ "$n" -lt 6 ]; do
			cycle_running || return
			n=$((n + 1))
			sleep 0.05
		done
		ends && undisturbed
	}
	check "python3 dumped while it runs" python_running

	# Big enough for thousands of page runs, with a collector that walks it.
	garbage='
import gc, os, sys
class Node:
    def __init__(self, n):
        self.n, self.next = n, None
nodes = []
last = None
for n in range(20000):
    node = Node(n)
    node.next = last
    last = node
    nodes.append(node)
i = 0
while not os.path.exists(sys.argv[1] + "/stop"):
    i += 1
    print(i, flush=True)
    gc.collect()
    assert sum(x.n for x in nodes) == 199990000
print("end")'
	check "python3's objects and collector" counts 2 "$python" -c "$garbage" "$scratch"
else
	for t in "python3 in cycles" "python3 did no step twice" "python3's sum" \
		"python3 dumped while it runs" "python3's objects and collector"; do
		skip "$t" "not installed"
	done
fi

# The two commands of the manual, as a user without privileges types them.
by_a_user() {
	user_dir=$scratch/user
	mkdir "$user_dir" && chmod 777 "$user_dir"
	cat >"$user_dir/script" <<-'END'
		cd "$1" || exit 1
		sh -c 'i=0; while [ ! -e stop ]; do i=$((i + 1)); echo $i >now; done' &
		first=$!
		while [ ! -s now ]; do sleep 0.1; done
		cat /proc/$first/dump >image || exit 2
		chmod +x image
		kill -9 $first
		wait $first 2>/dev/null
		rm now
		./image &
		while [ ! -s now ]; do sleep 0.1; done
		a=$(cat now)
		sleep 0.5
		b=$(cat now)
		: >stop
		wait $! || exit 3
		[ "${b:-0}" -gt "${a:-1}" ] || [ "$(cat now)" -gt 1 ]
	END
	if [ "$(id -u)" -eq 0 ]; then
		timeout $((60 * slow)) setpriv --reuid=65534 --regid=65534 --clear-groups \
			sh "$user_dir/script" "$user_dir"
	else
		timeout $((60 * slow)) sh "$user_dir/script" "$user_dir"
	fi
}
check "a user without privileges" by_a_user

# Through a pipe, a compressor and back.
through_a_pipe() {
	start sh -c "$loop" "$scratch" || return
	stop "$pid" || return
	gzip -1 <"/proc/$pid/dump" >"$scratch/image.gz" || return
	end "$pid"
	rm -f "$image"
	gzip -d <"$scratch/image.gz" >"$image" && chmod +x "$image" || return
	resume "$image" "$program" "$out" || return
	wait_until is_stopped "$pid" || return
	kill -CONT "$pid" || return
	sleep 0.2
	ends && consecutive
}
check "through gzip and back" through_a_pipe
finish
