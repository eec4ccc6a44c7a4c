#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# make bench: fails when a line "BENCH name size ratio=X limit=Y MISS" says
# that a limit was missed, when there is no line at all, or when something could
# not be measured.
#
#	BENCH=PROGRAM	only "bench", "resume" or "peer"
#	BENCH_CSV=FILE	where the figures go: NAME,MEGABYTES,WHAT,MEDIAN,LEAST,MOST,RUNS in
#			ns, after a line that says when and where; see scripts/plots.sh

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

"$top/scripts/setup.sh" criu
kernel=$("$top/scripts/kernel.sh" bench)
make_scratch
: >"$scratch/all"
# run COMMAND: sets rc.
run() {
	say "  booting the guest"
	rc=0
	{
		FLAVOUR=bench KERNEL=$kernel QEMU_TIMEOUT=${QEMU_TIMEOUT:-3600} \
			QEMU_MEM=${QEMU_MEM:-12G} "$top/scripts/qemu.sh" run -- \
			"echo \"MACHINE Linux \$(uname -r), \$(nproc) processors,\" \
				\"QEMU \${IMG_EMULATED:+without KVM}\"
			mkdir -p /tmp/b && mount -t tmpfs -o size=75% b /tmp/b &&
				cd /tmp/img/selftests || exit 3
			$1" || rc=$?
		echo $rc >"$scratch/rc"
	} | tee "$scratch/out"
	rc=$(cat "$scratch/rc")
	# Not only what is measured exits with 1.
	[ "$rc" -ne 1 ] || grep -aq '^BENCH .* MISS' "$scratch/out" || rc=3
	[ "$rc" -gt 1 ] || grep -aq '^BENCH ' "$scratch/out" || rc=3
	# Not all that is printed is text.
	grep -a '^BENCH \|^CSV,\|^MACHINE ' "$scratch/out" >>"$scratch/all" || :
}

# add PROGRAM COMMAND...: a step for the guest, if it is wanted.
add() {
	[ "${BENCH:-$1}" = "$1" ] || return 0
	shift
	steps="$steps
		step $*"
}

# All steps are made, and the highest exit status is kept; 1 is a limit missed.
# shellcheck disable=SC2016 # not to be expanded here
steps='rc=0
	export PATH="$PATH:/usr/sbin:/sbin"
	step() {
		"$@" || { s=$?; [ "$s" -le "$rc" ] || rc=$s; }
		[ "$rc" -ne 75 ] || exit 75
	}'
add bench ./bench \$coarse
add resume ./bench_resume -d /tmp/b -n 297 resume 4 1024 4096
add resume ./bench_resume -d /tmp/b touch 64 512
add resume ./bench_resume -d /tmp/b read 256
add resume ./bench_resume -d /tmp/b copies 64
add peer ./bench_peer -d /tmp/b -n 7 criu 4 1024
add peer ./bench_peer -d /tmp/b -n 7 freeze 256
add peer ./bench_peer -d /tmp/b -n 7 python
# While a guest boots on a busy machine, the check of its timers may fail; then
# it has none but the tick.
for coarse in "" "" -r; do
	run "coarse=$coarse; $steps
		exit \$rc"
	[ "$rc" -eq 75 ] || break
done
[ "$rc" -le 1 ] || die "the benchmark failed, exit status $rc"
grep -aq '^BENCH ' "$scratch/all" || die "the benchmark measured nothing"
if [ -n "${BENCH_CSV:-}" ]; then
	sed -n "s/^MACHINE /# $(date +%Y-%m-%d), /p" "$scratch/all" | tr -d '\r' |
		sed 1q >"$BENCH_CSV"
	sed -n 's/^CSV,//p' "$scratch/all" | tr -d '\r' >>"$BENCH_CSV"
fi
say ""
grep -a '^BENCH ' "$scratch/all"
if grep -aq '^BENCH .* MISS *$' "$scratch/all"; then
	die "a limit was missed"
fi
