#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Draw the figures of "make bench BENCH_CSV=FILE" for Documentation:
#
#	scripts/plots.sh FILE

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

csv=${1:?usage: scripts/plots.sh FILE}
to=$top/Documentation/filesystems/process-images
note=$(sed -n '1s/^# //p' "$csv")
[ -n "$note" ] || die "$csv does not say where it is from"

# plot NAME TITLE SERIES
plot() {
	awk -v title="$2" -v note="$note" -v wanted="$3" \
		-f "$top/scripts/plot.awk" "$csv" >"$to-$1.svg" ||
		die "$csv has no figures of $1"
	echo "$to-$1.svg"
}

plot resume "Until a resumed process runs, by its memory" \
"resume:exec of its image=exec of an image;\
resume:exec of a tiny program=exec of a tiny static program;\
criu-restore:criu restore=criu restore"

plot stop "For how long a process that is dumped stands still, by its memory" \
"stop:stop=dump, it only computes;\
stop-writer:stop=dump, it writes to all of its memory;\
stop:fork=fork(2) of it;\
freeze:criu dump=criu dump"

cp "$csv" "$to.csv"
