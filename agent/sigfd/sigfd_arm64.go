package sigfd

// saRestorer is not set: the kernel has a way back of its own, in the vDSO.
const saRestorer = 0
