package proto

import "encoding/binary"

// ptyOutPayload is the start of the payload of {:pty_out, binary}: 131,
// SMALL_TUPLE_EXT of 2, SMALL_ATOM_UTF8_EXT, BINARY_EXT. The binary's length and
// its bytes follow.
const ptyOutPayload = "\x83h\x02w\x07pty_outm"

// PTYOutOverhead is how many bytes of a {:pty_out, binary} frame stand before the
// bytes of the binary, the length of the frame included.
const PTYOutOverhead = 4 + len(ptyOutPayload) + 4

// PutPTYOutHeader writes all of a {:pty_out, binary} frame but the n bytes of the
// binary, which stand right behind it. The PTY is read into the output queue in
// place that way.
//
// Preconditions: dst has PTYOutOverhead bytes or more; n is 0 … 2³¹−1.
func PutPTYOutHeader(dst []byte, n int) {
	_ = dst[PTYOutOverhead-1]
	binary.BigEndian.PutUint32(dst, uint32(PTYOutOverhead-4+n))
	copy(dst[4:], ptyOutPayload)
	binary.BigEndian.PutUint32(dst[PTYOutOverhead-4:], uint32(n))
}
