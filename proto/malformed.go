package proto

import (
	"errors"
	"fmt"
)

// ErrMalformed says that a frame, or a value that was to become one, is none that
// the protocol has. The errors of this package that wrap it say what is wrong.
var ErrMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// notATerm is what Guard's errors become.
func notATerm(err error) error { return fmt.Errorf("%w: %w", ErrMalformed, err) }
