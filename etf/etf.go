// Package etf owns the external term format: frames out of a stream, the guard
// that holds every length in a payload against the bytes that are there, and the
// way between terms and Go values in both directions. It knows nothing of what
// the terms mean.
//
//	read(2) ─▶ Framer ─▶ payload ─▶ Guard ─▶ Term ─┬─▶ views of the payload: Is, Uint64, Bytes, Tuple, List, Map
//	                                               └─▶ erlang_go: Text, Texts, Int, Atom
//	Value ─▶ erlang_go ─▶ payload ─▶ AppendFrame ─▶ write(2)
//
// The format is that of "External Term Format" in the ERTS user's guide. Package
// erlang_go reads and writes it; nothing else imports that package. On its own it
// trusts what it reads: six bytes can make it ask for 64 GiB, nested tuples
// exhaust the stack, and a map with the key undefined panics. So nothing reaches
// it that Guard has not passed, and of that only single strings, integers and
// atoms, never a whole term of the peer's choice. What runs while a session runs
// (a command) is read as views, which allocate nothing.
package etf
