// SPDX-License-Identifier: GPL-2.0
/*
 * binfmt_img: run process images made by /proc/PID/dump.
 */
#include <linux/binfmts.h>
#include <linux/coredump.h>
#include <linux/elfcore.h>
#include <linux/img.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/module.h>

static struct linux_binfmt img_format;

static int load_img_binary(struct linux_binprm *bprm)
{
	int err = img_exec(bprm);

	/* Resumed processes leave cores as others do, and keep us loaded. */
	if (!err)
		set_binfmt(&img_format);
	return err;
}

static struct linux_binfmt img_format = {
	.module		= THIS_MODULE,
	.load_binary	= load_img_binary,
#ifdef CONFIG_COREDUMP
	.core_dump	= elf_core_dump,
	.min_coredump	= PAGE_SIZE,
#endif
};

static int __init init_img_binfmt(void)
{
	register_binfmt(&img_format);
	return 0;
}

static void __exit exit_img_binfmt(void)
{
	unregister_binfmt(&img_format);
}

core_initcall(init_img_binfmt);
module_exit(exit_img_binfmt);

/* What exec asks for when nobody knows a file that begins with "\x7fELF". */
MODULE_ALIAS("binfmt-464c");
MODULE_DESCRIPTION("Run process images made by /proc/PID/dump");
MODULE_LICENSE("GPL");
