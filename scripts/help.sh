#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

cat <<'END'
Every command installs the packages it misses, builds what is not built yet,
and works as root or through sudo on Debian 12.

    make demo           dump programs, kill them, run them on: shown live
    make test           all selftests in a guest; "N passed, N failed" at the end
    make test TESTS="signal sleep"    only these
    make test DEBUG=1   the same on a kernel with KASAN, lockdep and so on
    make test DEBUG=kcsan    ... that looks for data races in our files
    make bench          measure the cost of dump and exec in a guest
    make shell          a guest to try things in, with this system's programs
    make kernel         only build the kernel, and print the folder it is in
    make check          coding style and static analysis
    make clean          remove kernels and build results from the cache

    KDIR=/path/to/linux       use this 6.12 tree, not the package's source
    IMG_CACHE=/path           where downloads and build results go
                              (default: ~/.cache/binfmt_img)
    JOBS=N                    compilers at a time (default: processors)

For work on the kernel code:

    scripts/kernel.sh [small|debug|kcsan][-module]    build it, print the result's folder
    scripts/qemu.sh run -- 'uname -a'            run a command in a guest
    FLAVOUR=debug scripts/qemu.sh run -- '...'   on the debug kernel
    QEMU_TIMEOUT=60 scripts/qemu.sh run -- '...' seconds the guest may take
END
