package etf

import (
	"encoding/binary"
	"errors"
)

// FrameHeader is the length in bytes of what stands before a payload: its length,
// big-endian ({packet, 4} of open_port/2).
const FrameHeader = 4

// ErrTooBig says that a frame's payload is longer than the limit in force.
var ErrTooBig = errors.New("frame too big")

// Sizes of a Framer's buffer in bytes.
const (
	firstBuffer = 4 << 10  // what a session that only waits holds
	keepBuffer  = 64 << 10 // what is kept between frames; more is given back
)

// Framer cuts a stream of bytes into frames as they arrive. The caller reads
// into Buffer, says how much with Filled, and takes frames off with Next until
// there is none, before it reads again:
//
//	n, err := unix.Read(fd, f.Buffer())
//	f.Filled(n)
//	for {
//		frame, ok, err := f.Next()
//		…
//	}
//
// Memory follows the bytes that have arrived, at most twice of them beside what is
// being copied, and never a length that was only announced. Frames of up to
// 64 KiB, header included, allocate nothing once one of their size has gone
// through. The zero Framer has a limit of 0.
type Framer struct {
	// Limit is the longest payload in bytes that Next accepts from now on, also
	// of frames that are in the buffer already.
	Limit int

	buf  []byte
	r, w int // buf[r:w] has arrived and was not taken off
}

// Buffer returns free space to read into, never empty. It ends the validity of
// the frames that Next gave.
//
// Preconditions: Next has found no further frame.
func (f *Framer) Buffer() []byte {
	switch rest := f.buf[f.r:f.w]; {
	case len(rest) == len(f.buf):
		f.moveTo(make([]byte, f.grown(len(rest))))
	case f.r > 0:
		f.moveTo(f.buf)
	}
	return f.buf[f.w:]
}

// grown is the size of the buffer that n bytes have filled: twice of it, or less
// where what is kept is outgrown and the frame ends before that.
func (f *Framer) grown(n int) int {
	size := max(firstBuffer, 2*n)
	if size <= keepBuffer {
		return size
	}
	whole := FrameHeader + uint64(binary.BigEndian.Uint32(f.buf[f.r:]))
	if uint64(n) < whole && whole < uint64(size) {
		return int(whole)
	}
	return size
}

// Filled says that n bytes have been read into what Buffer returned.
func (f *Framer) Filled(n int) { f.w += n }

// Next takes off the next frame and returns its payload, which is valid until the
// next call of Buffer. It may be empty. Without a whole frame ok is false. A
// payload over the limit is ErrTooBig as soon as its length is there, and stays
// so: the stream has no next frame then.
func (f *Framer) Next() (payload []byte, ok bool, err error) {
	rest := f.buf[f.r:f.w]
	if len(rest) < FrameHeader {
		f.giveBack()
		return nil, false, nil
	}
	n := binary.BigEndian.Uint32(rest)
	if uint64(n) > uint64(max(f.Limit, 0)) {
		return nil, false, ErrTooBig
	}
	if uint64(len(rest)) < FrameHeader+uint64(n) {
		f.giveBack()
		return nil, false, nil
	}
	end := FrameHeader + int(n)
	f.r += end
	return rest[FrameHeader:end:end], true, nil
}

// giveBack lets go of a big buffer behind the frames that it was for; they keep
// its memory alive as long as they are used.
func (f *Framer) giveBack() {
	if f.r == 0 || len(f.buf) <= keepBuffer {
		return
	}
	f.moveTo(make([]byte, max(firstBuffer, 2*(f.w-f.r))))
}

// moveTo moves what was not taken off to the start of buf.
func (f *Framer) moveTo(buf []byte) {
	rest := f.buf[f.r:f.w]
	f.buf, f.r, f.w = buf, 0, copy(buf, rest)
}

// Pending tells whether bytes have arrived that Next has not taken off: at the end
// of the stream, a frame that was cut short.
func (f *Framer) Pending() bool { return f.r < f.w }

// AppendFrame appends a payload with its length before it. A payload is shorter
// than 4 GiB.
func AppendFrame(dst, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}
