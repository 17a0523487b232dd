#include "textflag.h"

DATA one<>+0(SB)/8, $1
GLOBL one<>(SB), RODATA, $8

// The kernel calls this with its own conventions, and restores every register
// afterwards. The link register leads to rt_sigreturn(2).
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0
	MOVW ·handlerFD(SB), R0
	MOVD $one<>(SB), R1
	MOVD $8, R2
	MOVD $64, R8 // SYS_WRITE
	SVC
	RET

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	MOVD $handler<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	MOVD ZR, ret+0(FP)
	RET
