// Package relay owns the bounded byte buffers between descriptors and frames:
// the output queue and the two directions of a PTY. It knows nothing of the
// states of a session.
package relay

import "golang.org/x/sys/unix"

// Buffer is a queue of bytes in one piece of memory that grows as it is used.
// Its limit is the caller's to respect: Room tells what is left of it.
type Buffer struct {
	mem        []byte
	start, end int
	limit      int
}

// NewBuffer makes a buffer meant for at most limit bytes. It takes no memory
// before it is used.
func NewBuffer(limit int) *Buffer { return &Buffer{limit: limit} }

// Len is the number of bytes in the queue.
func (b *Buffer) Len() int { return b.end - b.start }

// Room is how many bytes may come in before the limit; never negative.
func (b *Buffer) Room() int { return max(0, b.limit-b.Len()) }

// Reserve returns n bytes of memory behind the queue, to be filled and taken in
// by Commit. They are valid until the next call of any method.
func (b *Buffer) Reserve(n int) []byte {
	if len(b.mem)-b.end < n {
		b.makeSpace(n)
	}
	return b.mem[b.end : b.end+n]
}

func (b *Buffer) makeSpace(n int) {
	to := b.mem
	if len(b.mem) < b.Len()+n {
		to = make([]byte, max(2*len(b.mem), b.Len()+n, 4096))
	}
	copy(to, b.mem[b.start:b.end])
	b.mem, b.start, b.end = to, 0, b.Len()
}

// Commit takes the first n bytes of what Reserve returned into the queue.
func (b *Buffer) Commit(n int) { b.end += n }

// Push puts all of data into the queue, or none of it where it does not fit.
func (b *Buffer) Push(data []byte) bool {
	if len(data) > b.Room() {
		return false
	}
	copy(b.Reserve(len(data)), data)
	b.Commit(len(data))
	return true
}

// Drop forgets what is in the queue, and its memory.
func (b *Buffer) Drop() { b.mem, b.start, b.end = nil, 0, 0 }

// Flush writes to the non-blocking descriptor until the queue is empty (nil) or
// a write fails. unix.EAGAIN: the descriptor takes no more for now.
func (b *Buffer) Flush(fd int) error {
	for b.Len() > 0 {
		n, err := unix.Write(fd, b.mem[b.start:b.end])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b.start += n
	}
	b.start, b.end = 0, 0
	return nil
}
