package etf

// The tags of the external term format.
const (
	tagVersion = 131 // before the outermost term

	tagNewFloat      = 70
	tagBitBinary     = 77
	tagNewPID        = 88
	tagNewPort       = 89
	tagNewerRef      = 90
	tagSmallInteger  = 97
	tagInteger       = 98
	tagFloat         = 99
	tagAtom          = 100
	tagRef           = 101
	tagPort          = 102
	tagPID           = 103
	tagSmallTuple    = 104
	tagLargeTuple    = 105
	tagNil           = 106
	tagString        = 107
	tagList          = 108
	tagBinary        = 109
	tagSmallBig      = 110
	tagLargeBig      = 111
	tagNewFun        = 112
	tagExport        = 113
	tagNewRef        = 114
	tagSmallAtom     = 115
	tagMap           = 116
	tagFun           = 117
	tagAtomUTF8      = 118
	tagSmallAtomUTF8 = 119
	tagV4Port        = 120
)

// layout tells how many bytes, and then how many terms, belong to a term:
//
//	tag · count (count bytes) · node (an atom) · fixed + size × N bytes · more + terms × N terms
//
// where N is the value of the count, 0 if there is none.
type layout struct {
	known bool
	count uint8 // width of the count, 0, 1, 2 or 4 bytes, big-endian
	node  bool  // an atom, the name of a node, comes next
	fixed uint8 // bytes whatever the count is
	size  uint8 // bytes for each of the count
	more  uint8 // terms whatever the count is
	terms uint8 // terms for each of the count
}

// layouts has every tag that a BEAM writes to a port. What is missing is refused:
// a compressed term (80) has no bound, the atom cache (78, 82) and fragments
// belong to the distribution protocol, and LOCAL_EXT (121) is opaque.
var layouts = [256]layout{
	tagSmallInteger: {known: true, fixed: 1},
	tagInteger:      {known: true, fixed: 4},
	tagSmallBig:     {known: true, count: 1, fixed: 1, size: 1},
	tagLargeBig:     {known: true, count: 4, fixed: 1, size: 1},
	tagFloat:        {known: true, fixed: 31},
	tagNewFloat:     {known: true, fixed: 8},

	tagAtom:          {known: true, count: 2, size: 1},
	tagSmallAtom:     {known: true, count: 1, size: 1},
	tagAtomUTF8:      {known: true, count: 2, size: 1},
	tagSmallAtomUTF8: {known: true, count: 1, size: 1},

	tagSmallTuple: {known: true, count: 1, terms: 1},
	tagLargeTuple: {known: true, count: 4, terms: 1},
	tagMap:        {known: true, count: 4, terms: 2},
	tagNil:        {known: true},
	tagList:       {known: true, count: 4, terms: 1, more: 1}, // the tail
	tagString:     {known: true, count: 2, size: 1},
	tagBinary:     {known: true, count: 4, size: 1},
	tagBitBinary:  {known: true, count: 4, fixed: 1, size: 1}, // bits of the last byte

	tagPID:      {known: true, node: true, fixed: 4 + 4 + 1}, // id, serial, creation
	tagNewPID:   {known: true, node: true, fixed: 4 + 4 + 4},
	tagPort:     {known: true, node: true, fixed: 4 + 1}, // id, creation
	tagNewPort:  {known: true, node: true, fixed: 4 + 4},
	tagV4Port:   {known: true, node: true, fixed: 8 + 4},
	tagRef:      {known: true, node: true, fixed: 4 + 1}, // id, creation
	tagNewRef:   {known: true, count: 2, node: true, fixed: 1, size: 4},
	tagNewerRef: {known: true, count: 2, node: true, fixed: 4, size: 4},

	tagExport: {known: true, more: 3},                     // module, function, arity
	tagFun:    {known: true, count: 4, more: 4, terms: 1}, // pid, module, index, uniq, variables
	tagNewFun: {known: true, count: 4, size: 1},           // the count is of all but the tag
}

// newFunHead is the least count of a NEW_FUN_EXT: the count itself, arity, uniq,
// index, number of variables.
const newFunHead = 4 + 1 + 16 + 4 + 4
