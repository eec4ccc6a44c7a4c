#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# scripts/qemu.sh run -- 'COMMAND'	run COMMAND by sh as root in a guest
# scripts/qemu.sh shell			an interactive guest
#
# Boots the current kernel with the host's root file system, read-only, and
# with the selftests in /tmp/img/selftests, the samples in /tmp/img/samples.
# Prints what COMMAND prints and exits with its status.  From the environment:
#
#	FLAVOUR		small (default), debug or kcsan, or one of them with "-module"
#	QEMU_TIMEOUT	seconds until the guest is killed
#	QEMU_MEM	memory of the guest (2G, debug 4G)
#	QEMU_CMDLINE	added to the kernel's command line
#	QEMU_ICOUNT	if set, the guest's clock counts instructions: 1 ns each
#	QEMU_LOGS	folder for the logs (a new one)
#	IMG_TIMEOUT	passed on to the command in the guest
#	KERNEL		folder that kernel.sh printed, instead of the current one
#	SELFTESTS	folder that selftests.sh printed, or "no" for none

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

mode=${1:-}
case $mode in
run|shell) shift ;;
*) die "usage: $0 run -- 'COMMAND' | shell" ;;
esac
[ "${1:-}" != -- ] || shift
[ "$mode" = shell ] || [ $# -gt 0 ] || die "nothing to run"

flavour=${FLAVOUR:-small}
mem=2G
timeout=600
append=
# An emulated processor of a busy machine stands still for long.
patient="rcupdate.rcu_cpu_stall_timeout=120"
debug=
case $flavour in
debug*|kcsan*)
	debug=${flavour%-module}
	mem=4G
	timeout=2400
	# An interrupt that comes while KASAN's shadow is not yet made for five
	# levels of page tables is reported as a wild access.
	append="$patient watchdog_thresh=60 log_buf_len=8M no5lvl"
	;;
esac
[ "$mode" != shell ] || timeout=86400
timeout=${QEMU_TIMEOUT:-$timeout}

"$top/scripts/setup.sh"
kernel=${KERNEL:-$("$top/scripts/kernel.sh" "$flavour")}
initramfs=$("$top/scripts/initramfs.sh")
selftests=${SELFTESTS:-$("$top/scripts/selftests.sh")}
[ "$selftests" != no ] || selftests=

make_scratch
share=$scratch/share
mkdir -p "$share/img/samples" "$share/img/selftests"
cp -r "$top/scripts/guest" "$share/guest"
[ -z "$selftests" ] || cp -r "$selftests/." "$share/img/selftests/"
[ ! -d "$top/samples/img" ] || cp -r "$top/samples/img/." "$share/img/samples/"
ko=
if [ -f "$kernel/binfmt_img.ko" ]; then
	cp "$kernel/binfmt_img.ko" "$share/img/"
	ko=/tmp/img/binfmt_img.ko
fi
# The rest of the words are arguments of the command.
if [ "$mode" = shell ] && [ $# -eq 0 ]; then
	set -- "exec sh /run/host/guest/shell"
fi
printf '%s\n' "$*" >"$share/command"
rows=24
columns=80
if [ -t 0 ]; then
	# shellcheck disable=SC2046 # two words
	set -- $(stty size)
	[ "${1:-0}" -eq 0 ] || rows=$1 columns=$2
fi
# The device node of KVM may be there although the processor cannot do it.
kvm_works() {
	grep -qwE 'vmx|svm' /proc/cpuinfo &&
	[ -r /dev/kvm ] && [ -w /dev/kvm ] &&
	echo quit | timeout 10 qemu-system-x86_64 -nodefaults -display none \
		-machine none -accel kvm -monitor stdio >/dev/null 2>&1
}
emulated=
# An emulated "rep" goes byte by byte, where a real one is faster than anything
# else: what copies or clears pages would look slower than it is.
cpu=max
[ "$flavour" != bench ] && [ -z "${QEMU_ICOUNT:-}" ] || cpu=max,-erms,-fsrm
# A program that runs at another address each time is translated each time, and
# QEMU keeps that until the bytes translated are written to.  When a page of the C
# library becomes one of data after a thousand programs, each byte written to it
# looks at all that was translated of that page: half a minute for 4 KB, in which
# the processor does nothing else.  With room for 128 MB of code, all of it is
# forgotten in time.  A benchmark runs few programs, and must not be translated
# again in the middle.
tb_size=,tb-size=128
[ "$flavour" != bench ] || tb_size=
if [ -n "${QEMU_ICOUNT:-}" ]; then
	accel="-accel tcg,thread=single -icount shift=0,sleep=off -cpu $cpu"
	append="$append tsc=reliable"
	emulated=1
elif kvm_works; then
	accel="-accel kvm -cpu host"
else
	# Without KVM there is no stable clock but the processor's own, which
	# is one for all processors of an emulated machine.
	accel="-accel tcg,thread=multi$tb_size -cpu $cpu"
	append="$append tsc=reliable $patient"
	emulated=1
fi

cat >"$share/env" <<END
MODE=$mode
ROWS=$rows
COLUMNS=$columns
TERM='${TERM:-dumb}'
IMG_KO=$ko
IMG_DEBUG=$debug
IMG_EMULATED=$emulated
IMG_TIMEOUT=${IMG_TIMEOUT:-}
END

if [ -n "${QEMU_LOGS:-}" ]; then
	logdir=$QEMU_LOGS
	mkdir -p "$logdir"
else
	mkdir -p "$logs"
	find "$logs" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} + || :
	logdir=$(mktemp -d "$logs/guest.$(date +%m%d-%H%M%S).XXXX")
fi
for f in serial.log dmesg.log status qemu.log; do
	: >"$logdir/$f"
done

set -- timeout --foreground -k 10 "$timeout" qemu-system-x86_64 \
	-nodefaults -no-user-config -display none -monitor none -no-reboot \
	-machine q35,sata=off,smbus=off -m "${QEMU_MEM:-$mem}" -smp 2 \
	-kernel "$kernel/bzImage" -initrd "$initramfs" \
	-append "console=ttyS0 loglevel=5 panic=-1 rdinit=/init random.trust_cpu=on $append ${QEMU_CMDLINE:-}" \
	-chardev "file,id=serial,path=$logdir/serial.log" -serial chardev:serial \
	-device virtio-serial-pci \
	-chardev "file,id=dmesg,path=$logdir/dmesg.log" \
	-device virtserialport,chardev=dmesg,name=img.dmesg \
	-chardev "file,id=status,path=$logdir/status" \
	-device virtserialport,chardev=status,name=img.status \
	-fsdev local,id=host,path=/,readonly=on,security_model=none,multidevs=remap \
	-device virtio-9p-pci,fsdev=host,mount_tag=host \
	-fsdev "local,id=share,path=$share,readonly=on,security_model=none,multidevs=remap" \
	-device virtio-9p-pci,fsdev=share,mount_tag=share \
	-device virtio-rng-pci
rc=0
# shellcheck disable=SC2086 # words
if [ "$mode" = shell ]; then
	"$@" $accel -chardev stdio,id=out,signal=off \
		-device virtconsole,chardev=out 2>"$logdir/qemu.log" || rc=$?
	[ ! -t 0 ] || stty sane
else
	# Input that never ends, as at its end qemu would close the port; and
	# a pipe of our own for the output, which qemu makes non-blocking.
	mkfifo "$scratch/in"
	exec 4<>"$scratch/in"
	{
		"$@" $accel -chardev stdio,id=out \
			-device virtserialport,chardev=out,name=img.out \
			<&4 4<&- 2>"$logdir/qemu.log" || rc=$?
		echo $rc >"$scratch/rc"
	} | cat
	rc=$(cat "$scratch/rc")
fi

status=$(cat "$logdir/status")
case $status in
''|*[!0-9]*)
	if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
		say "The guest was killed after $timeout seconds."
		status=124
	else
		say "The guest died (qemu's exit status $rc)."
		status=125
	fi
	say "Last lines of its serial log, $logdir/serial.log:"
	tail -n 25 "$logdir/qemu.log" "$logdir/serial.log" | sed 's/^/    /' >&2
	;;
esac
exit "$status"
