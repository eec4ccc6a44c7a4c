# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034 # variables shared with others
#
# What all scripts share.  To be sourced with $top set to the checkout.

set -eu

# The system's own tools first and only: a private python or compiler early in
# the caller's PATH would make results differ from machine to machine.
PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 022

# Left over from the make that called us; a kernel build must see none of it.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES GNUMAKEFLAGS O V C W M \
	KBUILD_OUTPUT ARCH CROSS_COMPILE INSTALL_PATH OUTPUT CDPATH 2>/dev/null || :

: "${top:?}"
cache=${IMG_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/binfmt_img}
case $cache in
/*) ;;
*) cache=$PWD/$cache ;;
esac
series=6.12
jobs=${JOBS:-$(nproc)}
logs=$cache/logs

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

# Ctrl-C has to end the script, not only the command it waits for, and has to
# run the EXIT trap, which a shell killed by a signal does not.
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

ticker=
scratch=
at_exit() {
	[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || :
	[ -z "$scratch" ] || rm -rf "$scratch"
}
trap at_exit EXIT

make_scratch() {
	[ -n "$scratch" ] && return
	mkdir -p "$cache/tmp"
	# Leftovers of runs that were killed too hard to clean up.
	find "$cache/tmp" -mindepth 1 -maxdepth 1 -mmin +600 \
		-exec rm -rf {} + 2>/dev/null || :
	scratch=$(mktemp -d "$cache/tmp/${0##*/}.XXXXXX")
}

# new_log NAME: a log file of its own for each run, the oldest ones dropped.
new_log() {
	mkdir -p "$logs"
	find "$logs" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} + \
		2>/dev/null || :
	mktemp "$logs/$1.$(date +%m%d-%H%M%S).XXXX"
}

elapsed() {
	if [ "$1" -lt 60 ]; then
		printf '%ss' "$1"
	else
		printf '%sm%02ds' $(($1 / 60)) $(($1 % 60))
	fi
}

# tick TEXT LOG START: tell that TEXT is still going on and what it is at.
tick() {
	tick_n=0
	while sleep 1; do
		tick_n=$((tick_n + 1))
		if ! [ -t 2 ] && [ $((tick_n % 15)) -ne 0 ]; then
			continue
		fi
		tick_at=$(elapsed $(($(date +%s) - $3)))
		tick_obj=$(grep -c '^  *\(CC\|AS\|LD\|AR\|HOSTCC\) ' "$2" || :)
		tick_last=$(tail -n 1 "$2" | tr -s ' \t' ' ' | cut -c 1-40)
		[ "$tick_obj" -lt 5 ] || tick_last="$tick_obj files,$tick_last"
		if [ -t 2 ]; then
			printf '\r\033[K  ... %s (%s%s)' "$1" "$tick_at" \
				"${tick_last:+, $tick_last}" >&2
		else
			say "  ... $1 ($tick_at${tick_last:+, $tick_last})"
		fi
	done
}

# step TEXT LOG COMMAND...: run a long command with its output in LOG, showing
# progress; on failure show the end of the log and where it is.
step() {
	step_text=$1
	step_log=$2
	shift 2
	step_start=$(date +%s)
	say "  $step_text"
	# fd 9 is the lock of kernel.sh, which must not outlive it.
	tick "$step_text" "$step_log" "$step_start" 9>&- &
	ticker=$!
	step_rc=0
	"$@" >>"$step_log" 2>&1 </dev/null || step_rc=$?
	kill "$ticker" 2>/dev/null || :
	wait "$ticker" 2>/dev/null || :
	ticker=
	[ -t 2 ] && printf '\r\033[K' >&2
	if [ $step_rc -ne 0 ]; then
		say "  failed: $step_text; the last lines of $step_log:"
		tail -n 25 "$step_log" | sed 's/^/    /' >&2
		exit 1
	fi
	step_took=$(($(date +%s) - step_start))
	[ "$step_took" -lt 3 ] || say "  done in $(elapsed "$step_took")"
}

# Debian's default awk waits for a full buffer of input unless told not to.
awk_live='awk'
case $(awk -W version 2>/dev/null </dev/null) in
mawk*) awk_live='awk -W interactive' ;;
esac

# hash_files DIR [FIND-EXPRESSION...]: one hash over names, modes and contents.
hash_files() {
	hash_dir=$1
	shift
	(
		cd "$hash_dir" || exit 1
		find . -type f "$@" -perm -100 -print | sort
		find . -type f "$@" -print0 | sort -z | xargs -0r sha256sum
	) | sha256sum | cut -c 1-16
}

# keep_newest N PATTERN...: bound what the cache holds.
keep_newest() {
	keep_n=$1
	shift
	# shellcheck disable=SC2012 # our own names, nothing odd in them
	ls -dt "$@" 2>/dev/null | tail -n +$((keep_n + 1)) |
	while read -r keep_f; do
		rm -rf "$keep_f"
	done
}
