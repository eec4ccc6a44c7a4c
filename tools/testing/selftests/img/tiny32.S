/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A 32-bit process: write(3, "R", 1), then pause() for ever; with arguments it
 * executes what they say.
 */
	.globl	_start
_start:
	cmpl	$1, (%esp)
	je	2f
	mov	$11, %eax
	mov	8(%esp), %ebx
	lea	8(%esp), %ecx
	xor	%edx, %edx
	int	$0x80
	neg	%eax
	mov	%eax, %ebx
	mov	$1, %eax
	int	$0x80
2:
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
