#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The demo, in the guest: a shell loop and a python program are dumped with
# cat, killed, and run on from the image.  Every claim is checked.

cd "$(mktemp -d)" || exit 1
failed=0
# The shell's own notices about killed jobs are of no use here.
exec 2>&1

note() {
	printf '\n== %s\n' "$*"
}

# A line as somebody would type it.
typed() {
	printf '\n$ %s\n' "$*"
}

claim() {
	claim_text=$1
	shift
	if "$@"; then
		printf '  ok: %s\n' "$claim_text"
	else
		printf '  NOT SO: %s\n' "$claim_text"
		failed=$((failed + 1))
	fi
}

lines() {
	wc -l <"$1" 2>/dev/null || echo 0
}

# wait_lines FILE N: until FILE has N lines, a minute at most.
wait_lines() {
	wait_n=0
	while [ "$(lines "$1")" -lt "$2" ]; do
		wait_n=$((wait_n + 1))
		[ $wait_n -lt 600 ] || return 1
		sleep 0.1
	done
}

# alive PID: exists and is not a zombie.
alive() {
	grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null
}

gone() {
	! alive "$1"
}

differ() {
	[ "$1" != "$2" ]
}

more() {
	[ "$1" -gt "$2" ]
}

# no_gaps FILE: the first words of its lines are 1, 2, 3...
no_gaps() {
	awk '$1 != NR { print "  line " NR " says " $1; exit 1 }' "$1"
}

big() {
	[ "$(wc -c <"$1")" -gt 4096 ]
}

give_up() {
	printf '\n%s\n' "Cannot go on."
	exit 1
}

note "A shell that counts"

cat >count.sh <<'END'
i=0
while :; do
	i=$((i + 1))
	echo "$i $$"
	sleep 0.2
done
END
typed "cat count.sh"
cat count.sh

typed "sh count.sh >>log &"
sh count.sh >>log &
old=$!
wait_lines log 5 || { echo "  NOT SO: it counts"; give_up; }
typed "tail -n 2 log"
tail -n 2 log

typed "cat /proc/$old/dump >image"
claim "the dump can be read" sh -c "cat /proc/$old/dump >image"
claim "the image has contents" big image
[ $failed -eq 0 ] || give_up
before=$(lines log)
claim "the shell is still running" alive $old
wait_lines log $((before + 2)) || claim "and still counting" false

typed "kill -9 $old"
kill -9 $old
wait $old 2>/dev/null
claim "process $old is gone" gone $old
typed "tail -n 1 log"
tail -n 1 log
# What it counted after the dump is not in the image: keep the log of the
# time of the dump, as the image goes on from there.
cp log log.killed

typed "chmod +x image"
chmod +x image
typed "ls -l image"
# shellcheck disable=SC2012 # what one types
ls -l image | sed 's/ root root / /'

typed "./image >>log2 &"
./image >>log2 &
new=$!
wait_lines log2 5 || :
typed "head -n 3 log2"
head -n 3 log2
claim "process $new runs" alive $new
claim "it is a new process: $new, not $old" differ $new $old
first=$(awk 'NR == 1 { print $1 }' log2)
claim "it did not start again at 1" more "${first:-0}" 1
claim "it had counted to $((${first:-1} - 1)) when it was dumped" \
	more "$((before + 2))" "${first:-999999}"
# The image's first number follows one of those the old process wrote.
awk -v first="${first:-0}" '$1 < first' log.killed >joined
cat log2 >>joined
claim "the two logs join without a gap and without a repetition" \
	no_gaps joined
kill -9 $new 2>/dev/null
wait $new 2>/dev/null

note "A python program, $(/usr/bin/python3 --version)"

cat >sum.py <<'END'
import decimal, hashlib, json, sys

state = {"digest": "", "root": decimal.Decimal(2)}
for i in range(1, 10**9):
    state["root"] = (state["root"] + i).sqrt()
    data = json.dumps({"i": i, "root": str(state["root"])})
    for _ in range(2000):
        state["digest"] = hashlib.sha256((state["digest"] + data).encode()).hexdigest()
    print(i, state["digest"], flush=True)
    if i == 60:
        break
END
typed "cat sum.py"
cat sum.py

typed "python3 sum.py >undisturbed"
/usr/bin/python3 sum.py >undisturbed
claim "it ran to its end" test "$(lines undisturbed)" -eq 60

typed "python3 sum.py >part1 &"
/usr/bin/python3 sum.py >part1 &
old=$!
wait_lines part1 10 || { echo "  NOT SO: it computes"; give_up; }
typed "cat /proc/$old/dump >image"
claim "the dump can be read" sh -c "cat /proc/$old/dump >image"
claim "the image has contents" big image
typed "kill -9 $old"
kill -9 $old
wait $old 2>/dev/null
claim "process $old is gone" gone $old
claim "it was killed long before its end" more 60 "$(lines part1)"
typed "tail -n 1 part1"
tail -n 1 part1

typed "chmod +x image"
chmod +x image
typed "./image >part2 &"
./image >part2 &
new=$!
claim "it is a new process: $new, not $old" differ $new $old
typed "wait; tail -n 1 part2"
wait $new
status=$?
tail -n 1 part2
claim "it ran to its end with exit status 0" test $status -eq 0
first=$(awk 'NR == 1 { print $1 }' part2)
claim "it did not start again at 1" more "${first:-0}" 1
awk -v first="${first:-0}" '$1 < first' part1 >joined
cat part2 >>joined
typed "tail -n 1 undisturbed"
tail -n 1 undisturbed
claim "every sum equals that of the undisturbed run" \
	cmp joined undisturbed

echo
if [ $failed -ne 0 ]; then
	echo "$failed claims are not so."
	exit 1
fi
echo "All as claimed."
