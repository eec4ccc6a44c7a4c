#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# make test: run the selftests in a guest (DEBUG=1: with the debug kernel,
# DEBUG=kcsan: with one that looks for data races), and those of the loader as a
# module in another one; TESTS names the ones to run.
# The last line is "N passed, N failed[, N skipped]".
#
# BESIDE=FILE: what make test itself runs beside the programs, with what that has
# built: the scripts, the samples, the instruction counts and the module; FILE gets
# the three numbers.

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

case ${DEBUG:-} in
''|0) flavour=small ;;
kcsan) flavour=kcsan ;;
*) flavour=debug ;;
esac
timeout=10800
[ $flavour != small ] || timeout=2400
tests=${TESTS:-}
case $tests in
*[!A-Za-z0-9_./\ -]*) die "TESTS: names of tests, please" ;;
esac
if [ -t 1 ]; then
	tty=1
else
	tty=
fi

passed=0
failed=0
skipped=0

# check NAME COMMAND...: one more test case, on this side of the guest.
check() {
	check_name=$1
	shift
	if "$@"; then
		echo "  ok    $check_name"
		passed=$((passed + 1))
	else
		echo "  FAIL  $check_name"
		failed=$((failed + 1))
	fi
}

# The log of the end of the run is complete, that of the serial line is there
# also when the kernel died; warnings are in both.
kernel_log() {
	plain_log "$1/dmesg.log" "$1/serial.log" | awk '!seen[$0]++'
}

# Without time stamps.
plain_log() {
	sed 's/\r$//; s/^<[0-9]*>//; s/^\[ *[0-9.]*\] *//' "$@"
}

# absent PATTERN LOGS: show where the kernel complained, if it did.
absent() {
	if kernel_log "$2" | grep -qE "$1"; then
		kernel_log "$2" | grep -m 3 -E -A 25 "$1" | sed 's/^/        /'
		echo "        (all of it: $2/dmesg.log, $2/serial.log)"
		return 1
	fi
}

# no_data_race LOGS: show the reports in which one of the two accesses, or the
# caller of it, is of our files.  Others are the kernel's own, and so are: what it
# writes without saying so while we read it with READ_ONCE(), what fork writes to
# a new task, and the macro that waits for a high-resolution timer.
no_data_race() {
	plain_log "$1/dmesg.log" | awk '
	/^kcsan: enabled/ { enabled = 1 }
	/^BUG: KCSAN:.* in hrtimer_wakeup \/ img_hold_wait$/ { next }
	/^BUG: KCSAN:/ {
		on = 1
		ours = 0
		report = ""
	}
	!on { next }
	{ report = report "        " $0 "\n" }
	/ by (task|interrupt).* on cpu / { frames = /\(marked/ ? 2 : 0 }
	/^ *[A-Za-z_0-9.]+\+0x/ {
		frames += /^ *copy_process\+/ ? 2 : 1
		if (frames <= 2 && /^ *((load_)?img|proc_dump|proc_keep_ids|ldt_(make|write))_/)
			ours = 1
	}
	/^=====/ {
		on = 0
		total++
		if (!ours)
			next
		if (++bad <= 3)
			printf "%s", report
	}
	END {
		printf "        %d reports, %d of them ours\n", total, bad
		exit !enabled || bad
	}'
}

# check_log LOGS WHICH
check_log() {
	check "$2: no BUG, Oops or panic in the kernel log" absent \
		'BUG: ([^K]|K[^AC])|kernel BUG at|Oops:|Kernel panic' "$1"
	check "$2: no WARNING in the kernel log" absent \
		'WARNING: |-+\[ cut here \]-+' "$1"
	check "$2: no stall in the kernel log" absent \
		'rcu: .*stall|soft lockup|hard LOCKUP|blocked for more than|workqueue lockup' "$1"
	[ "$flavour" != kcsan ] ||
		check "$2: no data race in our files" no_data_race "$1"
	[ "$flavour" = debug ] || return 0
	check "$2: no complaint of KASAN" absent 'KASAN: ' "$1"
	check "$2: no complaint of UBSAN" absent 'UBSAN: ' "$1"
	check "$2: no complaint of lockdep" absent \
		'possible circular|possible recursive|possible irq lock|INFO: |inconsistent lock state|suspicious RCU|lock held when returning|held lock freed' "$1"
	check "$2: no complaint of kmemleak" absent \
		'kmemleak: [0-9]+ new suspected' "$1"
}

# run FLAVOUR TITLE [TESTS...]: on $kernel with $selftests, as the checkout may
# have changed since they were built.
run() {
	echo "== $2"
	run_flavour=$1
	shift 2
	QEMU_LOGS=$(mktemp -d "$logs/test-$run_flavour.$(date +%m%d-%H%M%S).XXXX")
	rc=0
	FLAVOUR=$run_flavour KERNEL=$kernel SELFTESTS=$selftests \
	QEMU_TIMEOUT=$timeout QEMU_LOGS=$QEMU_LOGS \
		"$top/scripts/qemu.sh" run -- \
		"exec sh /run/host/guest/run-tests $*" |
		tee "$QEMU_LOGS/ktap.log" |
		$awk_live -v tty="$tty" -v out="$QEMU_LOGS/counts" \
		-f "$top/scripts/verdict.awk" || rc=$?
	[ $rc -eq 0 ] || die "cannot read the results"
	read -r p f s <"$QEMU_LOGS/counts"
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
	echo "kernel log"
	check_log "$QEMU_LOGS" "$run_flavour kernel"
	echo "(logs: $QEMU_LOGS)"
}

if [ -z "${BESIDE:-}" ]; then
	"$top/scripts/setup.sh"
	mkdir -p "$logs"
	selftests=$("$top/scripts/selftests.sh")
	kernel=$("$top/scripts/kernel.sh" $flavour)
fi

# Those for the kernel with the module apart from the others.
others=
module=
for t in $tests; do
	case $t in
	module|module.sh) module=1 ;;
	*) others="$others $t" ;;
	esac
done
if [ -z "$tests" ]; then
	others=all
	module=$(grep -x module.sh "$selftests/tests" || :)
fi

# Programs and scripts run in two guests.  Each is searched for leaks at its end,
# and what one of them says does not wait for the other.
run_programs() {
	run $flavour "selftests, $flavour kernel, programs" \
		"$(grep -v '\.sh$' "$selftests/tests" | tr '\n' ' ')"
}

run_scripts() {
	run $flavour "selftests, $flavour kernel, scripts" \
		"$(grep '\.sh$' "$selftests/tests" | grep -vx module.sh |
			tr '\n' ' ')" samples
}

run_module() {
	if kernel=$("$top/scripts/kernel.sh" $flavour-module); then
		run $flavour-module \
			"selftests, $flavour kernel with the loader as a module" module
	else
		check "$flavour kernel with the loader as a module: builds" false
	fi
}

# What ours takes more of than it did, however busy the machine is.
run_icount() {
	[ $flavour != small ] ||
		check "instruction counts" env KERNEL="$kernel" SELFTESTS="$selftests" \
			"$top/scripts/icount.sh"
}

# In a session of its own, to be stopped with all that it has started.
beside_pid=
beside() {
	make_scratch
	trap '[ -z "$beside_pid" ] || kill -- "-$beside_pid" 2>/dev/null || :
		at_exit' EXIT
	BESIDE=$scratch/beside.counts kernel=$kernel selftests=$selftests \
		setsid "$top/scripts/test.sh" >"$scratch/beside" 2>&1 &
	beside_pid=$!
}

beside_end() {
	rc=0
	wait "$beside_pid" || rc=$?
	beside_pid=
	cat "$scratch/beside"
	[ $rc -eq 0 ] || die "the other guest failed"
	read -r p f s <"$scratch/beside.counts"
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
}

if [ -n "${BESIDE:-}" ]; then
	run_scripts
	run_icount
	[ -z "$module" ] || run_module
	echo "$passed $failed $skipped" >"$BESIDE"
	exit
fi

# At the same time, as most of them wait more than they compute; on a slow kernel
# it is the other way round.
if [ "$others" = all ] && [ $flavour = small ] && [ "$(nproc)" -gt 1 ]; then
	beside
	run_programs
	beside_end
elif [ "$others" = all ]; then
	run_programs
	run_scripts
	run_icount
	[ -z "$module" ] || run_module
else
	[ -z "$others" ] || run $flavour "selftests, $flavour kernel" "$others"
	[ -z "$module" ] || run_module
fi

echo
line="$passed passed, $failed failed"
[ $skipped -eq 0 ] || line="$line, $skipped skipped"
echo "$line"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
