#include "textflag.h"

// func prlimit64(old *Limit) uintptr
TEXT ·prlimit64(SB), NOSPLIT, $0-16
	MOVQ $0, DI         // this process
	MOVQ $7, SI         // RLIMIT_NOFILE
	MOVQ $0, DX         // nothing new
	MOVQ old+0(FP), R10
	MOVQ $302, AX       // SYS_PRLIMIT64
	SYSCALL
	MOVQ AX, ret+8(FP)
	RET
