#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What tools show of a process with threads: of its image, and of the process
# that it becomes.

# Functions are called by check().
# shellcheck disable=SC2317
# shellcheck source=ktap.sh
. "$(dirname "$0")/ktap.sh"

need_dump
plan 13

exe=$here/crew
image=$scratch/image
"$exe" </dev/null >"$scratch/out" 2>&1 &
pid=$!
children=$pid
wait_until [ -s "$scratch/out" ]
sleep 0.2

# says PATTERN TIMES COMMAND...: so many lines match.
says() {
	says_pattern=$1
	says_times=$2
	shift 2
	"$@" >"$scratch/says.out" 2>&1
	says_n=$(grep -cE "$says_pattern" "$scratch/says.out")
	[ "$says_n" -eq "$says_times" ] || {
		echo "$says_n lines with $says_pattern, not $says_times"
		cat "$scratch/says.out"
		return 1
	}
}

debug() {
	DEBUGINFOD_URLS='' gdb -nx -batch "$@"
}

# with TOOL NAME COMMAND...: a check if there is such a tool.
with() {
	with_tool=$1
	with_name=$2
	shift 2
	if have "$with_tool"; then
		check "$with_name" "$@"
	else
		skip "$with_name" "no $with_tool"
	fi
}

names() {
	says '^crew-[012] *$' 3 ps -L -o comm= -p "$pid" &&
	says '^crew *$' 1 ps -L -o comm= -p "$pid"
}

alive() {
	kill -0 "$pid" && [ "$(state "$pid")" = S ]
}

backtraces() {
	says 'crew_waits \(nr=[012]\)' 3 debug "$@" -ex 'thread apply all bt'
}

attached() {
	backtraces -p "$pid" && wait_until alive
}

# It says how many it has when it lets them go.
traced() {
	says 'attached with 4 threads' 1 timeout -s INT 3 strace -f -p "$pid" &&
	wait_until alive
}

ends() {
	kill -TERM "$pid"
	wait_until [ -s "$scratch/$1" ] &&
	grep -qx end "$scratch/$1" &&
	wait "$pid"
}

# Under a tracer from the beginning: it is told of each thread.
launched_under_tracer() {
	strace -f -o "$scratch/trace" "$image" </dev/null >"$scratch/out3" 2>&1 &
	tracer=$!
	children="$children $tracer"
	wait_until traced_child || return
	wait_until names && kill -TERM "$pid" && wait "$tracer" || return
	grep -qx end "$scratch/out3" &&
	grep -qE '^[0-9]+ .*(nanosleep|restart_syscall)' "$scratch/trace" &&
	[ "$(cut -d ' ' -f 1 "$scratch/trace" | sort -u | wc -l)" -eq 4 ]
}

# The debugger wants to see each of them stop, in the middle of the exec.
launched_under_debugger() {
	echo "exec $image" >"$scratch/launch"
	DEBUGINFOD_URLS='' gdb -nx -batch -ex 'handle SIGTERM nostop pass' \
		-ex run --args sh "$scratch/launch" \
		</dev/null >"$scratch/gdb.out" 2>&1 &
	tracer=$!
	children="$children $tracer"
	wait_until traced_child && wait_until names && kill -TERM "$pid" || return
	wait "$tracer"
	says 'New Thread' 3 cat "$scratch/gdb.out" &&
	says '^end$' 1 cat "$scratch/gdb.out" &&
	says 'exited normally' 1 cat "$scratch/gdb.out"
}

traced_child() {
	pid=$(ps -o pid= --ppid "$tracer" | tr -d ' ')
	[ -n "$pid" ] && [ "$(ps -L -o comm= -p "$pid" | grep -c crew)" -eq 4 ]
}

check "the image is saved" dump "$pid" "$image"
with readelf "readelf: registers of four threads" \
	says 'NT_PRSTATUS' 4 readelf -nW "$image"
with gdb "gdb: four threads in the image" \
	says '^[* ] +[1-4] +(Thread|LWP)' 4 debug -c "$image" "$exe" -ex 'info threads'
with gdb "gdb: backtraces of all threads in the image" backtraces -c "$image" "$exe"
end "$pid"
check "the image runs" resume "$image" crew "$scratch/out2"
with ps "ps: the names of the threads" wait_until names
with top "top: a line for each thread" \
	says ' crew(-[012])? *$' 4 top -H -b -n 1 -w 200 -p "$pid"
with gdb "gdb: attaches to all threads" attached
with strace "strace: attaches to all threads" traced
check "the program goes on" alive
check "it ends as it should" ends out2
with strace "strace: sees them from the beginning" launched_under_tracer
with gdb "gdb: sees them from the beginning" launched_under_debugger
finish
