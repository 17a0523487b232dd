#include "textflag.h"

DATA one<>+0(SB)/8, $1
GLOBL one<>(SB), RODATA, $8

// The kernel calls this with its own conventions, and restores every register
// afterwards.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0
	MOVLQSX ·handlerFD(SB), DI
	LEAQ    one<>(SB), SI
	MOVL    $8, DX
	MOVL    $1, AX // SYS_WRITE
	SYSCALL
	RET            // to restorer

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0
	MOVL $15, AX // SYS_RT_SIGRETURN
	SYSCALL
	INT  $3

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	LEAQ handler<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	LEAQ restorer<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
