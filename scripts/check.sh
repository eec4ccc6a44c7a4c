#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# make check: coding style and static analysis of what is ours, and that the
# patches apply.

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"
# shellcheck source=scripts/tree.sh
. "$top/scripts/tree.sh"

"$top/scripts/setup.sh"
cd "$top"

failed=0
passed=0
# check NAME COMMAND...: COMMAND prints what is wrong, or nothing.
check() {
	name=$1
	shift
	rc=0
	"$@" >"$scratch/out" 2>&1 </dev/null || rc=$?
	if [ $rc -eq 0 ] && ! [ -s "$scratch/out" ]; then
		echo "  ok    $name"
		passed=$((passed + 1))
	else
		echo "  FAIL  $name"
		sed 's/^/        /' "$scratch/out"
		failed=$((failed + 1))
	fi
}

find_source
lock_tree ""
snapshot

# shell scripts -------------------------------------------------------------

shell_scripts() {
	for f in scripts/*.sh scripts/guest/* .ci/run samples/img/*.sh \
		tools/testing/selftests/img/*.sh; do
		[ ! -f "$f" ] || echo "$f"
	done
}
check_shell() {
	shell_scripts | xargs -r shellcheck -x -P SCRIPTDIR
}
check shellcheck check_shell

# patches -------------------------------------------------------------------

# An offset is no error by itself, as the distribution's source moves on.
check_patches() {
	apply_patches "$scratch/applied" "$scratch/patch.log" || return
	! grep -i 'fuzz' "$scratch/patch.logs"
}
check "patches apply without fuzz" check_patches
if grep -q offset "$scratch/patch.logs"; then
	echo "  note: there are offsets; time to refresh these patches:"
	grep -B 1 offset "$scratch/patch.logs" | sed 's/^/        /'
fi

# The rest looks at the files in the tree.
sync_tree

ours() {
	(cd "$snap" && find . -type f "$@" -printf '%P\n' | sort)
}
# Ours that end up in the kernel.
kernel_files() {
	ours -name '*.[ch]' | grep -v '^tools/\|^samples/' || :
}

# checkpatch ----------------------------------------------------------------

# What is not a mistake here: a macro that loops names its arguments twice, and
# ENOSYS is what a system call of the dumped program returned.
not_kernel=MACRO_ARG_REUSE,ENOSYS
# Programs have no __printf() and no jiffies, their test macros return, their
# types come from <elf.h>, their memory is not the kernel's, and signal
# handlers need volatile.
not_tools=$not_kernel,PREFER_DEFINED_ATTRIBUTE_MACRO,VOLATILE,AVOID_EXTERNS
not_tools=$not_tools,CAMELCASE,COMPLEX_MACRO,MACRO_WITH_FLOW_CONTROL
not_tools=$not_tools,MACRO_ARG_PRECEDENCE,EMBEDDED_FUNCTION_NAME,STRCPY,BIT_MACRO
# The harness's macros are taken for declarations or for unchecked results.
not_tools=$not_tools,ARRAY_SIZE,NAKED_SSCANF,SPACING,LEADING_SPACE,LINE_SPACING
not_tools=$not_tools,COMPARISON_TO_NULL,OPEN_ENDED_LINE,WEAK_DECLARATION
# Fields of the kernel's ABI, and strings that prctl(2) wants in writable memory.
not_tools=$not_tools,TYPO_SPELLING,STATIC_CONST_CHAR_ARRAY
# Sign-off and MAINTAINERS are matters of the submission.
not_patch=$not_kernel,FILE_PATH_CHANGES,COMMIT_MESSAGE

checkpatch() {
	perl scripts/checkpatch.pl --strict --quiet --no-summary --show-types \
		--no-signoff --ignore "$@"
}

# check_style IGNORED FIND-EXPRESSION...
check_style() {
	style_ignored=$1
	shift
	cd "$tree" || return
	style_rc=0
	for f in $(ours "$@" \( -name '*.[chS]' -o -name '*.sh' -o \
		-name Kconfig -o -name Makefile -o -name '*.rst' \)); do
		checkpatch "$style_ignored" -f "$f" || style_rc=1
	done
	return $style_rc
}
check "checkpatch --strict of the kernel's files" \
	check_style $not_kernel ! -path './tools/*'
check "checkpatch --strict of the selftests" \
	check_style $not_tools -path './tools/*'

check_patch_style() {
	cd "$tree" || return
	style_rc=0
	for p in "$snap.patches"/*.patch; do
		[ ! -f "$p" ] || checkpatch $not_patch "$p" || style_rc=1
	done
	return $style_rc
}
check "checkpatch --strict of the patches" check_patch_style

# kernel-doc ----------------------------------------------------------------

check_kernel_doc() {
	cd "$tree" || return
	kernel_files | xargs -r perl scripts/kernel-doc -none -Wall -Werror
}
check kernel-doc check_kernel_doc

# compilers -----------------------------------------------------------------

# of_ours LOG: the complaints about our files.  A header of ours can be named
# in the middle of a path, hence no anchor.
of_ours() {
	ours >"$scratch/names"
	grep -E '(warning|error): ' "$1" | grep -F -f "$scratch/names" |
		sed "s|$tree/||g" | sort -u
}

objects() {
	for f in $(ours -name '*.[cS]' | grep -v '^tools/\|^samples/'); do
		echo "${f%.*}.o"
	done
}

# compile NAME MAKE-ARGUMENT...: all our objects; a complaint about one of our
# files or an error is a failure.
compile() {
	compile_log=$(new_log "$1")
	shift
	for o in $(objects); do
		rm -f "$obj/$o"
	done
	rc=0
	# shellcheck disable=SC2046 # words
	kmake -k "$@" $(objects) >"$compile_log" 2>&1 || rc=$?
	of_ours "$compile_log" >"$scratch/complaints"
	cat "$scratch/complaints"
	if [ $rc -ne 0 ]; then
		[ -s "$scratch/complaints" ] || tail -n 20 "$compile_log"
		echo "(log: $compile_log)"
	fi
	return $rc
}

flavour=small
find_fragments
obj=$work/obj-check
mkdir -p "$obj"
prepare() {
	configured || configure || return
	kmake prepare
}
if [ -n "$(objects)" ]; then
	step "preparing to compile" "$(new_log prepare)" prepare
	check "gcc W=1" compile w1 W=1
	check "sparse" compile sparse C=2
fi

# A kernel without the feature must still compile.
# Some files of the scheduler are compiled as parts of another one.
patched_objects() {
	patched_files | sed -n '/^tools\/\|^samples\//d
		/^kernel\/sched\/membarrier\.c$/d
		s/\.c$/.o/p'
}
compile_off() {
	compile_log=$(new_log off)
	# shellcheck disable=SC2046 # words
	if ! kmake -k $(patched_objects) >"$compile_log" 2>&1; then
		grep -E 'error:|\*\*\*' "$compile_log" | head -n 20
		return 1
	fi
	grep -A 4 'warning: ' "$compile_log"
	:
}
if [ -n "$(patched_objects)" ]; then
	on=$obj
	obj=$work/obj-check-off
	mkdir -p "$obj"
	fragments="$fragments $config/off.config"
	step "preparing to compile with the options off" "$(new_log prepare)" \
		prepare
	check "the patched files compile with the options off" compile_off
	obj=$on
fi

# fields --------------------------------------------------------------------

# The flags to compile with, and the headers that are generated.
prepare_fields() {
	configured || "$1" || return
	kmake kernel/img/parts.o
}

# As many fields as possible: the distribution's kernel has what ours has not.
debian=/usr/src/linux-config-$series/config.amd64_none_amd64.xz
configure_debian() {
	{
		xz -dc "$debian"
		cat "$config/debian.config"
	} >"$obj/.config" &&
	kmake -s olddefconfig &&
	echo "$config_state" >"$obj/.config.state"
}

on=$obj
fields_objs=$obj
flavour=debug
find_fragments
obj=$work/obj-check-debug
mkdir -p "$obj"
step "preparing the debug kernel's structures" "$(new_log fields)" \
	prepare_fields configure
fields_objs="$fields_objs $obj"
if [ -f "$debian" ]; then
	fragments="$debian $config/debian.config"
	obj=$work/obj-check-debian
	mkdir -p "$obj"
	step "preparing the distribution's structures" "$(new_log fields)" \
		prepare_fields configure_debian
	fields_objs="$fields_objs $obj"
fi
# shellcheck disable=SC2086 # words
check "the table of state knows each field" "$top/scripts/check-fields.sh" $fields_objs
obj=$on

# user-space headers --------------------------------------------------------

check_uapi() {
	kmake -s headers >"$(new_log headers)" 2>&1 || return
	for f in $(ours -path './include/uapi/*.h'); do
		h=${f#include/uapi/}
		echo "#include <$h>" |
			gcc -std=c90 -Wall -Wextra -Werror -fsyntax-only \
			-isystem /usr/include -I "$obj/usr/include" -x c -
	done
}
check "user-space headers compile on their own" check_uapi

echo
if [ $failed -ne 0 ]; then
	echo "$failed of $((passed + failed)) checks failed."
	exit 1
fi
echo "All $passed checks passed."
