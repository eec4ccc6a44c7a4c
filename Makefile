# SPDX-License-Identifier: GPL-2.0
#
# "make help" lists what there is.  The work is done by scripts/, which can be
# run by hand too.

.NOTPARALLEL:
.PHONY: help demo test shell kernel check bench clean

# Given on the command line; the scripts read them from the environment.
export KDIR DEBUG TESTS IMG_CACHE JOBS

FLAVOUR := $(if $(filter-out 0,$(DEBUG)),$(if $(filter kcsan,$(DEBUG)),kcsan,debug),small)

help:
	@scripts/help.sh

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh

bench:
	@scripts/bench.sh

check:
	@scripts/check.sh

shell:
	@FLAVOUR=$(FLAVOUR) scripts/qemu.sh shell

kernel:
	@scripts/setup.sh
	@scripts/kernel.sh $(FLAVOUR)

clean:
	@scripts/clean.sh
