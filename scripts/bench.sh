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
		FLAVOUR=bench KERNEL=$kernel QEMU_TIMEOUT=${QEMU_TIMEOUT:-2400} \
			QEMU_MEM=${QEMU_MEM:-2G} "$top/scripts/qemu.sh" run -- \
			"echo \"MACHINE Linux \$(uname -r), \$(nproc) processors,\" \
				\"QEMU \${IMG_EMULATED:+without KVM}\"
			mkdir -p /tmp/b && mount -t tmpfs -o size=75% b /tmp/b &&
			cd /tmp/img/selftests && $1" || rc=$?
		echo $rc >"$scratch/rc"
	} | tee "$scratch/out"
	rc=$(cat "$scratch/rc")
	# Not only what is measured exits with 1.
	[ "$rc" -ne 1 ] || grep -aq '^BENCH .* MISS' "$scratch/out" || rc=3
	[ "$rc" -gt 1 ] || grep -aq '^BENCH ' "$scratch/out" || rc=3
	# Not all that is printed is text.
	grep -a '^BENCH \|^CSV,\|^MACHINE ' "$scratch/out" >>"$scratch/all" || :
}

# For the guest: all of them, and the highest exit status; 1 is a limit missed.
# shellcheck disable=SC2016 # not to be expanded here
steps='rc=0
	step() {
		"$@" || { s=$?; [ "$s" -le "$rc" ] || rc=$s; }
	}'

want() {
	[ "${BENCH:-$1}" = "$1" ]
}

# While a guest boots on a busy machine, the check of its timers may fail; then
# it has none but the tick.
if want bench; then
	mem=${QEMU_MEM:-4G}
	QEMU_MEM=$mem run "./bench"
	[ "$rc" -ne 75 ] || QEMU_MEM=$mem run "./bench"
	[ "$rc" -ne 75 ] || QEMU_MEM=$mem run "./bench -r"
	[ "$rc" -le 1 ] || die "the benchmark failed, exit status $rc"
fi
if want resume; then
	QEMU_MEM=${QEMU_MEM:-12G} run "$steps; b='./bench_resume -d /tmp/b'
		step \$b -n 297 resume 4 1024 4096
		step \$b touch 64 512
		step \$b read 256
		step \$b copies 64
		exit \$rc"
	[ "$rc" -le 1 ] || die "the benchmark failed, exit status $rc"
fi
if want peer; then
	QEMU_MEM=${QEMU_MEM:-8G} run "$steps; b='./bench_peer -d /tmp/b -n 7'
		export PATH=\$PATH:/usr/sbin:/sbin
		step \$b criu 4 1024
		step \$b freeze 256
		step \$b python
		exit \$rc"
	[ "$rc" -le 1 ] || die "the benchmark failed, exit status $rc"
fi
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
