#include "textflag.h"

// func prlimit64(old *Limit) uintptr
TEXT ·prlimit64(SB), NOSPLIT, $0-16
	MOVD $0, R0         // this process
	MOVD $7, R1         // RLIMIT_NOFILE
	MOVD $0, R2         // nothing new
	MOVD old+0(FP), R3
	MOVD $261, R8       // SYS_PRLIMIT64
	SVC
	MOVD R0, ret+8(FP)
	RET
