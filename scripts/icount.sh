#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Count the instructions that ours take, by those of what the kernel does itself,
# and fail where that has grown by more than 10 % since scripts/icount.txt was
# written.  Times are noisy; these are nearly the same each time.
#
# scripts/icount.sh write: write that file

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

want=$top/scripts/icount.txt
make_scratch
# A clock that counts instructions may upset a kernel that boots; then try again.
for try in 1 2 3; do
	rc=0
	FLAVOUR=small QEMU_ICOUNT=1 QEMU_TIMEOUT=${QEMU_TIMEOUT:-300} \
		"$top/scripts/qemu.sh" run -- \
		"cd /tmp/img/selftests && exec ./bench_resume -n 5 count 16" \
		>"$scratch/out" || rc=$?
	[ $rc -ne 0 ] || break
	cat "$scratch/out"
	say "the guest's exit status is $rc, try $try"
done
[ "$rc" -eq 0 ] || die "nothing was counted"
sed -n 's/^COUNT \([a-z-]* [0-9.]*\).*/\1/p' "$scratch/out" >"$scratch/is"
[ -s "$scratch/is" ] || die "nothing was counted"
if [ "${1:-}" = write ]; then
	cp "$scratch/is" "$want"
	cat "$want"
	exit
fi
awk '
NR == FNR { is[$1] = $2; next }
{
	n++
	bad = !($1 in is) || is[$1] > 1.1 * $2
	failed += bad
	printf "%-8s %s times the kernel\047s own, %s when it was last looked at%s\n",
		$1, ($1 in is) ? is[$1] : "?", $2, bad ? ": TOO MUCH" : ""
}
END { exit failed || !n }' "$scratch/is" "$want"
