#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/check-fields.sh OBJ...
#
# Compare the structures of a process, as they are compiled in each of these
# kernel build folders, with Documentation/filesystems/process-image-state.rst.
# Print each field that the page does not know, and each of the page that is
# in no structure, and fail if there is one.  A folder needs a configuration,
# the results of "make prepare", and kernel/img/parts.o, whose flags are used.

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

[ $# -gt 0 ] || die "usage: $0 OBJ..."
page=$top/Documentation/filesystems/process-image-state.rst
make_scratch

cat >"$scratch/fields.c" <<'END_C'
#include <linux/fdtable.h>
#include <linux/fs_struct.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/coredump.h>
#include <linux/sched/signal.h>
#include <linux/thread_info.h>

struct task_struct *task;
struct thread_info *info;
struct thread_struct *thread;
struct fpu *fpu;
struct fpstate *fpstate;
struct signal_struct *sig;
struct sighand_struct *sighand;
struct mm_struct *mm;
mm_context_t *context;
struct vm_area_struct *vma;
struct fs_struct *fs;
struct files_struct *files;
enum syscall_work_bit bit;
END_C

# What debuggers read has all members, also those of unions and structures
# without a name, which are entered here.
cat >"$scratch/fields.py" <<'END_PY'
import gdb

def members(kind, of):
    for f in of.fields():
        if f.name:
            print(kind + ":" + f.name)
        else:
            members(kind, f.type.strip_typedefs())

for name in ("task", "info", "thread", "fpu", "fpstate", "sig", "sighand", "mm",
             "context", "vma", "fs", "files"):
    of = gdb.lookup_global_symbol(name).type.target()
    members(str(of), of.strip_typedefs())
members("SYSCALL_WORK_BIT flags", gdb.lookup_global_symbol("bit").type)
print("end")
END_PY

# fields OBJ NAME: the members and flags in $scratch/NAME.fields, as
# "STRUCT:MEMBER", and the options in $scratch/NAME.options.
fields() {
	cmd=$(sed -n '1s/^savedcmd_[^:]* := //; 1s/ -c -o .*//p' \
		"$1/kernel/img/.parts.o.cmd") && [ -n "$cmd" ] || return
	(
		cd "$1" || exit
		eval "$cmd -g -c -o '$scratch/fields.o' '$scratch/fields.c'" &&
		eval "$cmd -E -dM '$scratch/fields.c'" >"$scratch/macros"
	) || return
	gdb -nx -batch -x "$scratch/fields.py" "$scratch/fields.o" \
		>"$2.members" </dev/null || return
	# An error of the program is none of gdb.
	[ "$(tail -n 1 "$2.members")" = end ] || return
	# Bits and their numbers, not what is made of them.
	awk '$1 == "#define" && $2 ~ /^(PF|PFA|TIF|MMF)_[A-Z0-9_]*$/ &&
		$3 ~ /^(0x)?[0-9a-fA-F]+$/ && $2 !~ /__HOLE__|_BITS$|_DEFAULT_ELF$/ {
		kind = $2
		sub(/_.*/, " flags", kind)
		print kind ":" $2
	}' "$scratch/macros" | cat - "$2.members" | sed '$d' | sort -u >"$2.fields"
	sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=.*/\1/p' "$1/.config" >"$2.options"
}

# table PAGE: the page as "STRUCT:MEMBER OPTION", with "-" for no option, and
# lines that begin with "bad" for what cannot be read.
table() {
	awk '
	function flush_row(	n, i, word, option, name) {
		if (cell == "")
			return
		option = "-"
		if (match(cell, /\(CONFIG_[A-Z0-9_]*\)/))
			option = substr(cell, RSTART + 1, RLENGTH - 2)
		n = split(cell, word, "``")
		for (i = 2; i <= n; i += 2) {
			name = kind ":" word[i]
			if (seen[name]++)
				print "bad " name " is there twice"
			print name, option
		}
		if (n < 3)
			print "bad row without a field: " cell
		cell = ""
	}
	# A heading is known when the line under it comes.
	/^===/ { kind = last }
	/^   \* - / {
		flush_row()
		cell = substr($0, 8)
		in_fields = 1
		next
	}
	/^     - / {
		in_fields = 0
		if ($0 ~ /- refused: E[A-Z]*(,|$|\.)/)
			next
		if ($0 !~ /- (carried|launcher|fresh|recorded|meaningless): ./)
			print "bad fate of " cell ": " $0
		next
	}
	/^       / && in_fields { cell = cell " " $0; next }
	/^[^ ]|^$/ { flush_row(); in_fields = 0 }
	{ last = $0 }
	END { flush_row() }' "$1"
}

# compare TABLE OPTIONS FIELDS: what is wrong with the table.
compare() {
	awk '
	FILENAME == ARGV[1] && $1 == "bad" { print; next }
	FILENAME == ARGV[1] {
		at = $0
		sub(/ [^ ]*$/, "", at)
		row[at] = $NF
		next
	}
	FILENAME == ARGV[2] { option[$1] = 1; next }
	{ field[$0] = 1 }
	END {
		for (f in field)
			if (!(f in row))
				print f " is not in the table"
		for (f in row)
			if (!(f in field) && (row[f] == "-" || row[f] in option))
				print f " is in the table, but not in the kernel"
	}' "$1" "$2" "$3" | sort
}

n=0
for obj; do
	n=$((n + 1))
	fields "$obj" "$scratch/$n" || die "cannot read the fields of $obj"
done
cat "$scratch"/*.options | sort -u >"$scratch/options"
cat "$scratch"/*.fields | sort -u >"$scratch/fields"
table "$page" >"$scratch/table"

# Would it tell?  A member more, and one less, than the kernel has.
{
	sed '/^struct task_struct:comm$/d' "$scratch/fields"
	echo "struct mm_struct:made_up"
} >"$scratch/fake"
compare "$scratch/table" "$scratch/options" "$scratch/fake" >"$scratch/found"
if ! grep -qx 'struct mm_struct:made_up is not in the table' "$scratch/found" ||
	! grep -qx 'struct task_struct:comm is in the table, but not in the kernel' \
		"$scratch/found"; then
	die "this check does not find what it has to find"
fi

compare "$scratch/table" "$scratch/options" "$scratch/fields" >"$scratch/found"
cat "$scratch/found"
! [ -s "$scratch/found" ]
