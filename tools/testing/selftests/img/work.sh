# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# To be sourced after ktap.sh: programs in the middle of their work.  Each is
# run alone, and then again, dumped several times on its way, killed and resumed
# each time, and must end with the same output.
#
# A program gets its input in a regular file.  It writes its result at the end,
# so that nothing is done twice between a dump and the kill, or it is one that
# $streams, and is given its output at the position that it had at the dump.
# Who has such positions is stopped for the dump.  Others are dumped as they are.
#
# While it starts, an interpreter opens files for a moment, which a launcher cannot
# know of.  One that $marks makes the file $mark when it is over that.

# For those that source this, and by them.
# shellcheck disable=SC2034,SC2154
image=$scratch/image
out=$scratch/out
mark=$scratch/mark
position=0
out_position=0
streams=
marks=
other_pids=
# Dumps with fewer threads than this do not count.
least_threads=1
# A command that runs the program only while this script has nothing to do.
behind=

# What the including script may define anew: before_dump is called when $pid is
# about to be dumped, before_launch when a process is about to be made that is to
# run the image, and in_launcher in that process, which it may let execute another
# program that does.
before_dump() {
	:
}

before_launch() {
	:
}

in_launcher() {
	:
}

# in_mid_work NAME CYCLES INPUT COMMAND...: run it alone first, to know how long
# it takes and what it says; then again, with that many dumps on its way.
in_mid_work() {
	name=$1
	cycles=$2
	input=$3
	shift 3
	out=$scratch/want
	start_work "$@" || return
	began=$(date +%s%N)
	wait "$pid" || {
		echo "exit status $?"
		head -n 25 "$out"
		return 1
	}
	[ -s "$out" ] || return
	took=$((($(date +%s%N) - began) / 1000000))
	step=$((took / (2 * cycles + 2)))
	out=$scratch/out
	cpus=$(taskset -cp "$$" | sed 's/.*: //')
	some_dumps "$@"
	result=$?
	behind=
	taskset -cp "$cpus" "$$" >/dev/null
	return $result
}

# some_dumps COMMAND...: until there are enough; after $took ms it would be over.
some_dumps() {
	# On a busy machine it may be much faster the second time, and what is done
	# for a dump may take longer than all of its work.
	attempt=0
	while :; do
		echo "alone: $took ms, a dump every $step ms"
		disturbed "$@" || return
		[ "$cycle" -lt 2 ] || return 0
		attempt=$((attempt + 1))
		[ "$attempt" -lt 5 ] || break
		# Behind this script, it gets as far as before in each step.
		if [ -n "$behind" ] || ! run_behind; then
			step=$((step / 2 + 1))
		fi
	done
	echo "only $cycle dumps"
	return 1
}

# Threads that wait for each other may spin, which takes more than one CPU.
run_behind() {
	[ "$least_threads" -eq 1 ] || return
	taskset -cp "${cpus%%[,-]*}" "$$" >/dev/null || return
	behind="chrt -i 0"
}

# start_work COMMAND...: sets pid.
start_work() {
	rm -f "$out" "$mark"
	# shellcheck disable=SC2086 # a command or nothing
	$behind "$@" <"$input" >"$out" 2>&1 &
	pid=$!
	children="$children $pid"
	[ -z "$marks" ] || wait_until marked_or_ended || return
	# Then it has its libraries.
	[ "$input" = /dev/null ] || wait_until reads_or_ended
}

# At first its descriptor 0 is the shell's.
reads_or_ended() {
	case $(readlink "/proc/$pid/fd/0") in
	"$(readlink -f "$input")")
		[ "$(position_of 0)" != 0 ] || ended
		;;
	*) ended ;;
	esac
}

marked_or_ended() {
	[ -e "$mark" ] || ended
}

# disturbed COMMAND...: with up to $cycles dumps; sets cycle.
disturbed() {
	start_work "$@" || return
	cycle=0
	dumps=0
	while [ "$cycle" -lt "$cycles" ] && [ "$dumps" -lt $((3 * cycles)) ]; do
		sleep "$((step / 1000)).$(printf %03d $((step % 1000)))"
		# It was faster than before.
		if said_all || ended; then
			break
		fi
		if ! one_cycle; then
			! ended || break
			echo "in cycle $cycle"
			return 1
		fi
		dumps=$((dumps + 1))
		[ "$threads" -lt "$least_threads" ] || cycle=$((cycle + 1))
	done
	if ! wait_until ended; then
		cat "/proc/$pid"/task/*/syscall
		end "$pid"
		return 1
	fi
	wait "$pid" || {
		echo "exit status $?"
		[ -n "$streams" ] || head -n 25 "$out"
		return 1
	}
	cmp "$scratch/want" "$out" || {
		[ -n "$streams" ] || head -n 5 "$scratch/want" "$out"
		return 1
	}
}

said_all() {
	[ -z "$streams" ] && [ -s "$out" ]
}

one_cycle() {
	rm -f "$image"
	position=0
	out_position=0
	if [ "$input" != /dev/null ]; then
		stop_all || return
		position=$(position_of 0)
		[ -z "$streams" ] || out_position=$(position_of 1)
		# It closed them: it is about to end.
		if [ -z "$position" ] || [ -z "$out_position" ]; then
			kill -CONT "$pid" 2>/dev/null
			wait_until ended
			return 1
		fi
	fi
	threads=$(sed -n 's/^Threads:[^0-9]*//p' "/proc/$pid/status")
	before_dump
	echo "$threads threads, at $position and $out_position"
	take_dump 2>"$scratch/error" || {
		cat "$scratch/error"
		# Nobody to be dumped: it is about to end.
		! grep -q 'No such' "$scratch/error" || wait_until ended
		return 1
	}
	# An image of the end of its work says nothing any more.
	if said_all; then
		kill -CONT "$pid" 2>/dev/null
		wait_until ended
		return 1
	fi
	end "$pid"
	if [ -n "${IMG_NODUMP:-}" ]; then
		[ "$input" = /dev/null ] || kill -CONT "$pid"
		return
	fi
	# What it said since is said again.
	truncate -s "$out_position" "$out"
	before_launch
	run_image &
	pid=$!
	other_pids
	children="$children $pid"
	if [ "$input" = /dev/null ]; then
		wait_until runs_or_ended
	else
		wait_until begins_stopped && runs "$pid" "$name" && kill -CONT "$pid"
	fi
}

# The snapshot is taken when the file is opened.  Where it takes long to read it,
# the program would come to its end meanwhile.
take_dump() {
	if [ "$slow" -eq 1 ] || [ -n "${IMG_NODUMP:-}" ]; then
		dump "$pid" "$image"
		return
	fi
	{
		kill -STOP "$pid"
		cat <&9 >"$image" && chmod +x "$image"
	} 9<"/proc/$pid/dump"
}

# position_of FD: where it is in that file.
position_of() {
	sed -n 's/^pos:[^0-9]*//p' "/proc/$pid/fdinfo/$1" 2>/dev/null
}

# All threads: a file's position may change until the last one has stopped.
stop_all() {
	kill -STOP "$pid" && wait_until stopped_or_ended && ! ended
}

begins_stopped() {
	is_stopped "$pid" || ended
}

stopped_or_ended() {
	all_stopped || ended
}

all_stopped() {
	for task in "/proc/$pid/task"/*/stat; do
		line=
		{ read -r line <"$task"; } 2>/dev/null
		# The name, in parentheses, may have spaces.
		case ${line##*) } in
		T*) ;;
		*) return 1 ;;
		esac
	done
}

runs_or_ended() {
	runs "$pid" "$name" || ended
}

# Gone, or to be waited for.
ended() {
	case $(state "$pid") in
	''|Z) ;;
	*) return 1 ;;
	esac
}

# The next process gets the ID of the last one.  Those that come after it get
# others than the threads of that may want.
same_pid() {
	read -r other_pids </proc/sys/kernel/ns_last_pid
	echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
}

other_pids() {
	[ -z "$other_pids" ] || echo "$other_pids" >/proc/sys/kernel/ns_last_pid
	other_pids=
}

run_image() {
	exec <"$input" 1<>"$out" 2>&1
	[ "$position" -eq 0 ] ||
		dd bs="$position" skip=1 count=0 status=none
	[ "$out_position" -eq 0 ] ||
		dd bs="$out_position" seek=1 count=0 status=none
	in_launcher
	# shellcheck disable=SC2086 # a command or nothing
	exec $behind "$image"
}

# work NAME COMM CYCLES INPUT COMMAND...
work() {
	work_name=$1
	shift
	if have "$4"; then
		check "$work_name" in_mid_work "$@"
	else
		skip "$work_name" "not installed"
	fi
}
