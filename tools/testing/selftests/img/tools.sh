#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# An image is a core file to the tools that read core files.

# Functions are called by check().
# shellcheck disable=SC2317
# shellcheck source=ktap.sh
. "$(dirname "$0")/ktap.sh"

need_dump
plan 16

exe=$here/deep
"$exe" </dev/null >"$scratch/out" 2>&1 &
pid=$!
children=$pid
wait_until [ -s "$scratch/out" ]
sleep 0.2
image=$scratch/image

# quiet COMMAND...: it works and complains of nothing.
quiet() {
	"$@" >"$scratch/quiet.out" 2>&1 || {
		echo "exit status $?"
		tail -n 5 "$scratch/quiet.out"
		return 1
	}
	# "Cannot decode 64-bit note in 32-bit build" is what it says to any
	# NT_FILE when it was built for one kind of machine only.
	if grep -iE 'warning|error|invalid|corrupt|truncated|unable|cannot' \
		"$scratch/quiet.out" | grep -v 'Cannot decode 64-bit note'; then
		return 1
	fi
	[ -s "$scratch/quiet.out" ]
}

# gdb_says PATTERN COMMAND: of the last run of debug().
debug() {
	# No server to be asked for debugging information, no settings.
	DEBUGINFOD_URLS='' gdb -nx -batch "$@" >"$scratch/gdb.out" 2>&1
}

gdb_says() {
	grep -qE "$1" "$scratch/gdb.out" || {
		echo "not found: $1"
		cat "$scratch/gdb.out"
		return 1
	}
}

backtrace() {
	gdb_says '^#[0-9].* deep_three \(word=.*"inside"\)' &&
	gdb_says '^#[0-9].* deep_two \(a=6, b=7\)' &&
	gdb_says '^#[0-9].* deep_one \(a=6\)' &&
	gdb_says '^#[0-9].* main \(' &&
	gdb_says '^#0 .*(pause|syscall)'
}

no_complaint() {
	if grep -iE 'warning|cannot|corrupt|truncated|not supported' "$scratch/gdb.out" |
		grep -v 'debuginfod'; then
		return 1
	fi
}

check "the image is saved" dump "$pid" "$image"

if have readelf; then
	check "readelf -a finds nothing wrong" quiet readelf -aW "$image"
	# shellcheck disable=SC2016 # for the inner shell
	check "readelf names the process" sh -c '
		readelf -n "$1" | grep -q "NT_PRPSINFO" &&
		readelf -h "$1" | grep -q "CORE (Core file)"' sh "$image"
else
	skip "readelf -a finds nothing wrong" "no readelf"
	skip "readelf names the process" "no readelf"
fi

if have eu-readelf; then
	check "eu-readelf finds nothing wrong" quiet eu-readelf -hln "$image"
else
	skip "eu-readelf finds nothing wrong" "no eu-readelf"
fi

if have eu-stack; then
	# shellcheck disable=SC2016 # for the inner shell
	check "eu-stack shows the stack" sh -c '
		eu-stack --core="$1" --executable="$2" 2>&1 | tee /dev/stderr |
		grep -q deep_two' sh "$image" "$exe"
else
	skip "eu-stack shows the stack" "no eu-stack"
fi

if have file; then
	# shellcheck disable=SC2016 # for the inner shell
	check "file says that it is a core file of the program" sh -c '
		file "$1" | tee /dev/stderr | grep -q "core file.*deep"' sh "$image"
else
	skip "file says that it is a core file of the program" "no file"
fi

if have gdb; then
	# shellcheck disable=SC2016 # gdb's variables
	debug -c "$image" "$exe" -ex bt -ex 'info threads' -ex 'info registers' \
		-ex 'print global_answer' -ex 'info proc mappings' -ex 'x/2i $pc' \
		-ex 'info auxv' -ex 'print $_siginfo'
	check "gdb: backtrace with names and arguments" backtrace
	check "gdb: one thread" gdb_says '^\* 1 +(Thread|LWP|process).*'
	check "gdb: registers" gdb_says '^rip +0x[0-9a-f]+'
	check "gdb: memory" gdb_says 'number = 42, text = "forty-two"'
	check "gdb: mapped files" gdb_says '0x[0-9a-f]+ +0x[0-9a-f]+ .*/libc'
	check "gdb: auxiliary vector" gdb_says 'AT_SYSINFO_EHDR'
	check "gdb: nothing to complain about" no_complaint
	debug -c "/proc/$pid/dump" "$exe" -ex bt -ex 'info threads'
	check "gdb: backtrace of a process that runs" backtrace
else
	for t in "backtrace with names and arguments" "one thread" registers memory \
		"mapped files" "auxiliary vector" "nothing to complain about" \
		"backtrace of a process that runs"; do
		skip "gdb: $t" "no gdb"
	done
fi

# It was looked at, copied and looked at again: it does not know.
alive() {
	[ "$(state "$pid")" = S ] && [ "$(wc -l <"$scratch/out")" -eq 1 ]
}
check "the process lives on" alive

as_core() {
	cp "$image" "$scratch/copy"
	end "$pid"
	resume "$image" deep "$scratch/out2" &&
	kill -0 "$pid" && end "$pid"
	cmp "$image" "$scratch/copy"
}
check "the file runs, and is not changed by that" as_core
finish
