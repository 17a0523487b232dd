// An assembly file lets the compiler take functions without a body, which the
// declarations pulled in by linkname are.
