/* SPDX-License-Identifier: GPL-2.0 */
/* A 32-bit process: write(3, "R", 1), then pause() for ever. */
	.globl	_start
_start:
	mov	$4, %eax
	mov	$3, %ebx
	mov	$msg, %ecx
	mov	$1, %edx
	int	$0x80
1:
	mov	$29, %eax
	int	$0x80
	jmp	1b
msg:
	.ascii	"R"
	.section .note.GNU-stack, "", @progbits
