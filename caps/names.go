package caps

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/moby/sys/capability"
)

// ErrUnknown is a name that no capability has.
var ErrUnknown = errors.New("no such capability")

// Parse is the number of a capability, 0 … 63, from its name as capabilities(7)
// and cap_from_text(3) write it, with or without "cap_" before it, in either
// case; or from that number, as Names writes what has no name. The error matches
// ErrUnknown.
func Parse(name string) (uint, error) {
	if n, err := strconv.ParseUint(name, 10, 6); err == nil {
		return uint(n), nil
	}
	want := strings.TrimPrefix(strings.ToLower(name), "cap_")
	for _, c := range capability.ListKnown() {
		if c.String() == want {
			return uint(c), nil
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrUnknown, name)
}

// Mask is the mask of a list of names with commas between them. "all" among them
// is every capability of the running kernel, "none" is no capability. The error
// is that of Parse; an empty name is one too, so that an empty list is never
// taken for a wish.
func Mask(list string) (uint64, error) {
	var mask uint64
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); strings.ToLower(name) {
		case "all":
			mask |= All()
		case "none":
		default:
			n, err := Parse(name)
			if err != nil {
				return 0, err
			}
			mask |= 1 << n
		}
	}
	return mask, nil
}

// Names is the names of the capabilities in mask, as cap_to_text(3) writes them:
// "cap_chown". A capability without a name that is known here has its number.
func Names(mask uint64) []string {
	var names []string
	for n := range each(mask) {
		names = append(names, name(n))
	}
	return names
}

func name(n uint) string {
	for _, c := range capability.ListKnown() {
		if uint(c) == n {
			return "cap_" + c.String()
		}
	}
	return strconv.FormatUint(uint64(n), 10)
}
