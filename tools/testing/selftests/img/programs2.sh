#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Real programs in the middle of real work: dumped several times on their way,
# killed and resumed each time, they end with the same output as one that was
# left alone.
#
# All of these have one thread; programs3.sh is for those with more.  Where a dump
# takes long, there has to be more work for it to be in the middle of.

# Functions are called by check().
# shellcheck disable=SC2317
# shellcheck source=ktap.sh
. "$(dirname "$0")/ktap.sh"
# shellcheck source=work.sh
. "$here/work.sh"

need_dump
plan 9

# SQLite holds recursive mutexes while it works, and these know their owner by
# its thread ID: the next process gets the old one.
before_launch() {
	case $name in
	python3|sqlite3) same_pid ;;
	esac
}

cat >"$scratch/work.py" <<'END'
import decimal
import hashlib
import sqlite3
import sys
import zlib

open(sys.argv[1], "w").close()
decimal.getcontext().prec = 50
db = sqlite3.connect(":memory:")
db.execute("create table t (id integer primary key, word text, n integer)")

def numbers(limit):
    n = 12345
    for i in range(limit):
        n = (n * 1103515245 + 12345) % 2**31
        yield i, n

def words(pairs):
    for i, n in pairs:
        yield i, hashlib.md5(str(n).encode()).hexdigest(), n

def odd(rows):
    return (r for r in rows if r[2] % 3)

for row in odd(words(numbers(int(sys.argv[2])))):
    db.execute("insert into t values (?, ?, ?)", row)
    if row[0] % 500 == 0:
        db.commit()
packer = zlib.compressobj(9)
packed = b""
total = decimal.Decimal(0)
for word, n in db.execute("select word, n from t order by word"):
    packed += packer.compress(word.encode())
    total += decimal.Decimal(n).sqrt() / 7
packed += packer.flush()
assert len(zlib.decompress(packed)) % 32 == 0
print(db.execute("select count(*), sum(n) from t").fetchone())
print(total, hashlib.sha256(packed).hexdigest())
END
# shellcheck disable=SC2034 # of work.sh
marks=1
work "python3: sqlite3 in memory, zlib, decimal, generators" python3 4 /dev/null \
	/usr/bin/python3 "$scratch/work.py" "$mark" $((12000 * slow))

# shellcheck disable=SC2016 # a program, not to be expanded here
perl_work='
use strict;
open(my $mark, ">", $ARGV[1]) or die;
close($mark);
my (%count, @stack, $text);
my $n = 1;
for my $i (1 .. $ARGV[0]) {
	$n = ($n * 16807) % 2147483647;
	$count{$n % 1009}{sprintf "%03x", $i % 777}++;
	push @stack, [$i, $n];
	@stack = reverse splice(@stack, 100) if @stack > 200;
	$text .= chr(97 + $n % 26);
}
my $sub = sub { my ($f, $k) = @_; $k < 2 ? $k : $f->($f, $k - 1) + $f->($f, $k - 2) };
my @runs = sort { length $b <=> length $a || $a cmp $b } $text =~ /([aeiou]{2,})/g;
print join(" ", @runs[0 .. 9]), "\n", $sub->($sub, 19), "\n";
my @keys = sort { $a <=> $b } keys %count;
print join(",", map { "$_:" . scalar keys %{$count{$_}} } @keys[0 .. 50]), "\n";
'
work "perl: hashes, closures, expressions" perl 4 /dev/null perl -e "$perl_work" \
	$((160000 * slow)) "$mark"

# shellcheck disable=SC2016 # a program, not to be expanded here
bash_work='
: >"$2"
trap "caught=\$((caught + 1))" USR1
trap "echo end \$caught \$sum \${#list[@]} \${map[k7]}" EXIT
declare -a list
declare -A map
rounds=$1 caught=0 sum=0
f() { local -n to=$1; to[$2]=$3; }
for ((i = 0; i < rounds; i++)); do
	list[i * 3]=$((i * i % 1013))
	f map "k$((i % 50))" "$i"
	((sum = (sum * 31 + list[i * 3]) % 1000003))
	# It has another PID in every generation, which only the kernel tells.
	if [[ $i =~ 99$ ]]; then
		read -r self rest </proc/self/stat
		kill -USR1 "$self"
	fi
	case $i in *777) list=("${list[@]:1}") ;; esac
done'
work "bash: traps, arrays, functions" bash 4 /dev/null \
	bash -c "$bash_work" bash $((2500 * slow)) "$mark"

# shellcheck disable=SC2016 # a program, not to be expanded here
awk_work='BEGIN {
	printf "" >mark
	close(mark)
	n = 4711
	for (i = 0; i < rounds; i++) {
		n = (n * 16807) % 2147483647
		key = substr("abcdefghijklmnop", n % 12 + 1, 3)
		seen[key, n % 97]++
		line = line sprintf("%x", n % 16)
		if (length(line) > 500) {
			gsub(/[0-4]+/, "-", line)
			split(line, part, "-")
			sum += substr(part[3], 1, 3) + length(part[2])
			line = substr(part[1], 1, 100)
		}
	}
	for (k in seen)
		total += seen[k] * length(k)
	print total, sum, line
}'
work "gawk: arrays, expressions, strings" gawk 4 /dev/null \
	gawk -v mark="$mark" -v rounds=$((120000 * slow)) "$awk_work"
work "busybox awk: the same" busybox 4 /dev/null \
	busybox awk -v mark="$mark" -v rounds=$((40000 * slow)) "$awk_work"
marks=

# It reads its statements as it goes, in more than one read().
{
	echo 'create table t (id integer primary key, a integer, b text);'
	i=0
	while [ $i -lt 200 ]; do
		echo "insert into t with recursive c(i, n) as (select 1, 12345 + $i"
		echo "union all select i + 1, (n * 1103515245 + 12345) % 2147483648"
		echo "from c where i < 120) select null, n % 1000, hex(n) from c;"
		i=$((i + 1))
	done
	cat <<-'END'
		create index by_a on t (a, b);
		create table s as
			select a, count(*) as n, group_concat(b) as all_b from t group by a;
		update s set n = n * (select count(*) from t where t.a = s.a and b > '8');
		select sum(n), max(length(all_b)) from s;
		select count(*) from t x join t y on x.a = y.a and x.b < y.b;
		select a, n, substr(all_b, 1, 40) from s order by n desc, a limit 5;
	END
} >"$scratch/work.sql"
work "sqlite3: a database in memory" sqlite3 4 "$scratch/work.sql" \
	sqlite3 -batch -init /dev/null :memory:

digits=1200
[ "$slow" -eq 1 ] || digits=1600
printf 'scale=%d\n4*a(1)\nquit\n' $digits >"$scratch/work.bc"
work "bc: pi" bc 3 "$scratch/work.bc" bc -lq

# The factorial, and the sum of its digits.
echo '[d 1 - d 1 <f *] sf 1500 lf x
[d 10 % ls + ss 10 / d 0 <g] sg 0 ss lg x ls p' >"$scratch/work.dc"
work "dc: a large factorial" dc 3 "$scratch/work.dc" dc

# A pending end: read gives up after some time, of which a part is over when
# the process is dumped.  A FIFO that is open for writing has no end of its own.
# shellcheck disable=SC2016 # a program, not to be expanded here
bash_waits='
trap "echo caught" EXIT
for i in 1 2 3; do
	read -r -t 3 line
	echo "$i: $? ${line-unset}"
done'
waiting() {
	mkfifo "$scratch/fifo" || return
	bash -c "$bash_waits" <>"$scratch/fifo" >"$out" 2>&1 &
	pid=$!
	children="$children $pid"
	for n in 1 2; do
		sleep 1.5
		rm -f "$image"
		echo "dump $n"
		take_dump || return
		end "$pid"
		[ -n "${IMG_NODUMP:-}" ] || {
			"$image" <>"$scratch/fifo" >>"$out" 2>&1 &
			pid=$!
			children="$children $pid"
		}
		wait_until runs "$pid" bash || return
	done
	wait "$pid" || return
	cat "$out"
	[ "$(grep -c '^[123]: 142 *$' "$out")" -eq 3 ] && grep -qx caught "$out"
}
if have bash; then
	check "bash: read with a timeout" waiting
else
	skip "bash: read with a timeout" "not installed"
fi
finish
