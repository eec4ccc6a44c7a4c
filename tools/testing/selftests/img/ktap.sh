# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# To be sourced by the test scripts: KTAP, a scratch directory, and the three
# commands by which a process is dumped, killed and resumed.

ktap_nr=0
ktap_failed=0
ktap_planned=0
slow=${IMG_SLOW:-1}
# shellcheck disable=SC2034 # for those that source this
here=$(cd "$(dirname "$0")" && pwd)
# The distribution's programs, whatever the user has installed before them.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

scratch=$(mktemp -d "${TMPDIR:-/tmp}/img.XXXXXX")
chmod 755 "$scratch"
children=
ktap_exit() {
	for p in $children; do
		kill -9 "$p" 2>/dev/null || :
	done
	rm -rf "$scratch"
}
trap ktap_exit EXIT
trap 'exit 1' INT TERM HUP

plan() {
	ktap_planned=$1
	echo "TAP version 13"
	echo "1..$1"
}

# pass NAME, fail NAME, skip NAME REASON: one result.
pass() {
	ktap_nr=$((ktap_nr + 1))
	echo "ok $ktap_nr $1"
}

fail() {
	ktap_nr=$((ktap_nr + 1))
	ktap_failed=$((ktap_failed + 1))
	echo "not ok $ktap_nr $1"
}

skip() {
	ktap_nr=$((ktap_nr + 1))
	echo "ok $ktap_nr $1 # SKIP $2"
}

# skip_all REASON: everything that was planned.
skip_all() {
	echo "TAP version 13"
	echo "1..0 # SKIP $1"
	exit 4
}

# check NAME COMMAND...: what the command prints is shown if it fails.
check() {
	check_name=$1
	shift
	if "$@" >"$scratch/check.out" 2>&1; then
		pass "$check_name"
	else
		sed 's/^/# /' "$scratch/check.out"
		fail "$check_name"
	fi
}

finish() {
	echo "# $ktap_nr of $ktap_planned run, $ktap_failed failed"
	[ "$ktap_failed" -eq 0 ] && [ "$ktap_nr" -eq "$ktap_planned" ]
	exit $?
}

have() {
	command -v "$1" >/dev/null
}

# wait_until COMMAND...: for at most 20 seconds.
wait_until() {
	wait_n=0
	until "$@"; do
		wait_n=$((wait_n + 1))
		if [ "$wait_n" -gt $((1000 * slow)) ]; then
			echo "timed out: $*"
			return 1
		fi
		sleep 0.02
	done
}

# state PID: the letter of its state, nothing if it is gone.  This and others
# read with what is built into the shell, as they are called very often.
state() {
	state_of=
	{ read -r _ _ state_of _ <"/proc/$1/stat"; } 2>/dev/null
	echo "$state_of"
}

is_stopped() {
	state_of=
	{ read -r _ _ state_of _ <"/proc/$1/stat"; } 2>/dev/null
	[ "$state_of" = T ]
}

stop() {
	kill -STOP "$1" && wait_until is_stopped "$1"
}

# dump PID FILE
dump() {
	cat "/proc/$1/dump" >"$2" &&
	chmod +x "$2"
}

# end PID: kill and reap a child of ours.
end() {
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	:
}

# runs PID NAME: is it itself again, not the shell that was to execute it?
runs() {
	comm_of=
	{ read -r comm_of <"/proc/$1/comm"; } 2>/dev/null
	[ "$comm_of" = "$2" ]
}

# resume FILE NAME OUTPUT: sets pid.
resume() {
	"$1" </dev/null >>"$3" 2>&1 &
	pid=$!
	children="$children $pid"
	wait_until runs "$pid" "$2" 2>/dev/null
}

# A trial of the scripts' own code: nothing is dumped, programs just go on.
if [ -n "${IMG_NODUMP:-}" ]; then
	dump() {
		: >"$2"
	}
	end() {
		:
	}
	resume() {
		kill -0 "$pid"
	}
fi

need_dump() {
	[ -n "${IMG_NODUMP:-}" ] || [ -e /proc/self/dump ] ||
		skip_all "no /proc/PID/dump"
}
