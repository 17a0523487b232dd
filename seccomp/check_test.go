package seccomp

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	ldImm  = unix.BPF_LD | unix.BPF_IMM
	ldAbs  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	ldMem  = unix.BPF_LD | unix.BPF_MEM
	ldxMem = unix.BPF_LDX | unix.BPF_MEM
	st     = unix.BPF_ST
	stx    = unix.BPF_STX
	ja     = unix.BPF_JMP | unix.BPF_JA
	jeq    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	retA   = unix.BPF_RET | unix.BPF_A
)

var checks = map[string]struct {
	filter []byte
	errno  syscall.Errno
	text   string // part of the error
}{
	"nothing":                 {nil, unix.EINVAL, "filter of 0 bytes"},
	"a return":                {encode(allow), 0, ""},
	"return of A":             {encode(ins{Code: retA}), 0, ""},
	"half an instruction":     {encode(allow)[:4], unix.EINVAL, "filter of 4 bytes"},
	"one and a half":          {append(encode(allow), 0, 0, 0, 0), unix.EINVAL, "filter of 12 bytes"},
	"4,096 instructions":      {encode(straight(4096)...), 0, ""},
	"4,097 instructions":      {encode(straight(4097)...), unix.EINVAL, "filter of 4097 instructions: more than 4096"},
	"65,535 instructions":     {encode(straight(65535)...), unix.EINVAL, "filter of 65535 instructions: more than 4096"},
	"65,536 instructions":     {encode(straight(65536)...), unix.E2BIG, "filter of 65536 instructions: more than 65535"},
	"no return":               {encode(ins{Code: ldImm}), unix.EINVAL, "instruction 0 (code 0x00, jt 0, jf 0, k 0x0): the last instruction is no return"},
	"return not at the end":   {encode(allow, ins{Code: ldImm}), unix.EINVAL, "instruction 1 (code 0x00, jt 0, jf 0, k 0x0): the last instruction is no return"},
	"return of X":             {encode(ins{Code: unix.BPF_RET | unix.BPF_X}), unix.EINVAL, "no such opcode"},
	"opcode of 16 bits":       {encode(ins{Code: 0x106}), unix.EINVAL, "instruction 0 (code 0x106, jt 0, jf 0, k 0x0): no such opcode"},
	"first of several faults": {encode(ins{Code: ldImm}, ins{Code: ldAbs, K: 2}, ins{Code: 0xff}), unix.EINVAL, "instruction 1 (code 0x20, jt 0, jf 0, k 0x2): not the offset"},

	"modulo":             {encode(ins{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: 3}, allow), unix.EINVAL, "no such opcode"},
	"load of a half":     {encode(ins{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS}, allow), unix.EINVAL, "no such opcode"},
	"indirect load":      {encode(ins{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_IND}, allow), unix.EINVAL, "no such opcode"},
	"first field":        {encode(ins{Code: ldAbs}, allow), 0, ""},
	"last field":         {encode(ins{Code: ldAbs, K: 60}, allow), 0, ""},
	"behind the fields":  {encode(ins{Code: ldAbs, K: 64}, allow), unix.EINVAL, "not the offset"},
	"askew":              {encode(ins{Code: ldAbs, K: 6}, allow), unix.EINVAL, "not the offset"},
	"ancillary load":     {encode(ins{Code: ldAbs, K: 0xfffff000}, allow), unix.EINVAL, "not the offset"},
	"length":             {encode(ins{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN}, ins{Code: unix.BPF_LDX | unix.BPF_W | unix.BPF_LEN}, allow), 0, ""},
	"division by 0":      {encode(ins{Code: unix.BPF_ALU | unix.BPF_DIV | unix.BPF_K}, allow), unix.EINVAL, "division by zero"},
	"division by X":      {encode(ins{Code: unix.BPF_ALU | unix.BPF_DIV | unix.BPF_X}, allow), 0, ""},
	"shift by 31":        {encode(ins{Code: unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K, K: 31}, allow), 0, ""},
	"left shift by 32":   {encode(ins{Code: unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K, K: 32}, allow), unix.EINVAL, "shift by 32"},
	"right shift by 32":  {encode(ins{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 32}, allow), unix.EINVAL, "shift by 32"},
	"shift by X":         {encode(ins{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_X, K: 32}, allow), 0, ""},
	"last cell":          {encode(ins{Code: st, K: 15}, ins{Code: ldMem, K: 15}, allow), 0, ""},
	"no such cell":       {encode(ins{Code: stx, K: 16}, allow), unix.EINVAL, "no such cell"},
	"no such cell, load": {encode(ins{Code: ldxMem, K: 16}, allow), unix.EINVAL, "may not have been stored"},

	"jump to the last":       {encode(ins{Code: ja, K: 1}, ins{Code: ldImm}, allow), 0, ""},
	"jump to the end":        {encode(ins{Code: ja, K: 2}, ins{Code: ldImm}, allow), unix.EINVAL, "jump past the end"},
	"jump around":            {encode(ins{Code: ja, K: 0xffffffff}, ins{Code: ldImm}, allow), unix.EINVAL, "jump past the end"},
	"jump at the end":        {encode(ins{Code: ja}), unix.EINVAL, "jump past the end"},
	"branch to the last":     {encode(ins{Code: jeq, Jt: 1, Jf: 0}, ins{Code: ldImm}, allow), 0, ""},
	"true branch to the end": {encode(ins{Code: jeq, Jt: 2, Jf: 0}, ins{Code: ldImm}, allow), unix.EINVAL, "branch past the end"},
	"false to the end":       {encode(ins{Code: jeq, Jt: 0, Jf: 2}, ins{Code: ldImm}, allow), unix.EINVAL, "branch past the end"},

	"loaded before stored":  {encode(ins{Code: ldMem, K: 1}, ins{Code: st, K: 1}, allow), unix.EINVAL, "instruction 0 (code 0x60, jt 0, jf 0, k 0x1): a cell"},
	"another cell stored":   {encode(ins{Code: st, K: 2}, ins{Code: ldMem, K: 1}, allow), unix.EINVAL, "instruction 1"},
	"stored on one branch":  {encode(ins{Code: jeq, Jt: 1}, ins{Code: st}, ins{Code: ldMem}, allow), unix.EINVAL, "instruction 2"},
	"stored on both":        {encode(ins{Code: jeq, Jt: 2}, ins{Code: st}, ins{Code: ja, K: 1}, ins{Code: stx}, ins{Code: ldMem}, allow), 0, ""},
	"jumped over":           {encode(ins{Code: ja, K: 1}, ins{Code: st}, ins{Code: ldMem}, allow), unix.EINVAL, "instruction 2"},
	"never reached":         {encode(ins{Code: ja, K: 1}, ins{Code: ldMem}, allow), 0, ""},
	"behind a return":       {encode(ins{Code: jeq, Jt: 1}, allow, ins{Code: ldMem}, allow), unix.EINVAL, "instruction 2"},
	"as if returns went on": {encode(ins{Code: jeq, Jt: 2}, ins{Code: ldImm}, allow, ins{Code: st}, ins{Code: ldMem}, allow), 0, ""},
	"unset by a return":     {encode(ins{Code: jeq, Jt: 1, Jf: 0}, allow, ins{Code: jeq, Jt: 1, Jf: 0}, ins{Code: st}, ins{Code: ldMem}, allow), unix.EINVAL, "instruction 4"},
}

func TestCheck(t *testing.T) {
	for name, c := range checks {
		t.Run(name, func(t *testing.T) {
			err := Check(c.filter)
			if got := errnoOf(t, err); got != c.errno {
				t.Fatalf("%v, want %v", err, c.errno)
			}
			if err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q does not say %q", err, c.text)
			}
		})
	}
}

// errnoOf is the errno in an error of this package, which has one.
func errnoOf(t *testing.T, err error) syscall.Errno {
	t.Helper()
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) {
		t.Fatalf("%v has no errno", err)
	}
	return errno
}

// TestCheckIsTheKernels holds Check to this kernel.
func TestCheckIsTheKernels(t *testing.T) {
	k := newKernel(t, judgeByCheck)
	everything := []rule{plain, field, divisor, shift, store, load, jump, branch, ret}
	flow := []rule{store, load, load, jump, branch, branch, ret}
	for name, c := range map[string]struct {
		filters  func() [][]byte
		accepted float64 // the share that the kernel takes, at least; it never takes all
	}{
		"the cases by hand": {func() (all [][]byte) {
			for _, c := range checks {
				if len(c.filter)/unix.SizeofSockFilter <= math.MaxUint16 && len(c.filter)%unix.SizeofSockFilter == 0 {
					all = append(all, c.filter)
				}
			}
			return all
		}, 0.2},
		"every opcode": {func() (all [][]byte) {
			for code := range 1 << 16 {
				all = append(all, encode(ins{Code: uint16(code)}, allow))
			}
			return all
		}, 0},
		"every opcode, last": {func() (all [][]byte) {
			for code := range 1 << 8 {
				all = append(all, encode(ins{Code: uint16(code), K: 1}))
			}
			return all
		}, 0},
		"every edge of k": {func() (all [][]byte) {
			var stored []ins
			for cell := range unix.BPF_MEMWORDS {
				stored = append(stored, ins{Code: st, K: uint32(cell)})
			}
			for code := range 1 << 8 {
				for _, k := range edges {
					i := ins{Code: uint16(code), Jt: uint8(k), Jf: uint8(k >> 1), K: k}
					all = append(all, encode(i, allow),
						encode(append(append(stored[:len(stored):len(stored)], i), straight(17)...)...))
				}
			}
			return all
		}, 0.1},
		"every jump": {func() (all [][]byte) {
			for _, n := range []int{2, 3, 255, 256, 257, 258, 300} {
				for d := range 260 {
					for _, i := range []ins{
						{Code: ja, K: uint32(d)},
						{Code: jeq, Jt: uint8(d)},
						{Code: jeq, Jf: uint8(d)},
					} {
						all = append(all, encode(append([]ins{i}, straight(n)...)...))
					}
				}
			}
			return all
		}, 0.3},
		"every length": {func() (all [][]byte) {
			for _, n := range []int{1, 2, 255, 256, 1000, 4094, 4095, 4096, 4097, 4098, 8192, 32767, 32768, 65535} {
				all = append(all, encode(straight(n)...))
			}
			return all
		}, 0.3},
		"noise": {func() (all [][]byte) {
			g := newGenerator(1)
			for range 10_000 {
				all = append(all, g.noise())
			}
			return all
		}, 0},
		"random": {func() (all [][]byte) {
			g := newGenerator(2)
			for range 30_000 {
				all = append(all, encode(g.program(40, everything...)...))
			}
			return all
		}, 0.3},
		"random and long": {func() (all [][]byte) {
			g := newGenerator(3)
			for range 100 {
				p := g.program(4100, plain, field, divisor, shift, jump, branch, ret)
				all = append(all, encode(p...), g.mutate(p))
			}
			return all
		}, 0.5},
		"mutated": {func() (all [][]byte) {
			g := newGenerator(4)
			for range 30_000 {
				all = append(all, g.mutate(g.program(20, everything...)))
			}
			return all
		}, 0.2},
		"stores and loads": {func() (all [][]byte) {
			g := newGenerator(5)
			for range 30_000 {
				all = append(all, encode(g.program(14, flow...)...))
			}
			return all
		}, 0.2},
		"stores and loads of two cells": {func() (all [][]byte) {
			g := newGenerator(6)
			for range 30_000 {
				p := g.program(14, flow...)
				for i := range p {
					if r := rules[p[i].Code]; r == store || r == load {
						p[i].K &= 1
					}
				}
				all = append(all, encode(p...))
			}
			return all
		}, 0.2},
	} {
		t.Run(name, func(t *testing.T) {
			filters := c.filters()
			accepted := 0
			for i, kernel := range k.verdicts(t, filters...) {
				err := Check(filters[i])
				if errnoOf(t, err) != kernel {
					t.Errorf("filter %d: Check says %v, the kernel %v\n%s", i, err, kernel, listing(filters[i]))
				}
				if kernel == 0 {
					accepted++
				}
			}
			share := float64(accepted) / float64(len(filters))
			t.Logf("%d filters, of which the kernel takes %.3f", len(filters), share)
			if accepted == len(filters) || share < c.accepted {
				t.Errorf("the kernel takes %d of %d: too few, or all", accepted, len(filters))
			}
		})
	}
}

func listing(filter []byte) string {
	var b strings.Builder
	for pc := range len(filter) / unix.SizeofSockFilter {
		fmt.Fprintf(&b, "%4d %+v\n", pc, at(filter, pc))
	}
	return b.String()
}

// TestCheckIsTheKernelsWhenItInstalls shows that the kernel takes for good what
// it takes in TestCheckIsTheKernels, on filters that do no harm.
func TestCheckIsTheKernelsWhenItInstalls(t *testing.T) {
	g := newGenerator(7)
	var filters [][]byte
	for range 2_000 {
		p := g.program(20, plain, field, divisor, shift, store, load, jump, branch, ret)
		if g.IntN(2) == 0 {
			i := &p[g.IntN(len(p))]
			i.K = pick(g, edges...)
			i.Jt = uint8(pick(g, edges...))
		}
		for i := range p {
			switch p[i].Code {
			case unix.BPF_RET | unix.BPF_K, retA:
				p[i] = allow
			case unix.BPF_ALU | unix.BPF_DIV | unix.BPF_X: // ends in 0, SECCOMP_RET_KILL_THREAD, where X is 0
				p[i].Code = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X
			}
		}
		filters = append(filters, encode(p...))
	}
	verdicts := newKernel(t, judgeByInstall).verdicts(t, filters...)
	count := map[syscall.Errno]int{}
	for i, dry := range newKernel(t, judgeByCheck).verdicts(t, filters...) {
		if err := Check(filters[i]); errnoOf(t, err) != verdicts[i] || dry != verdicts[i] {
			t.Errorf("filter %d: Check says %v, the kernel %v and, installing, %v\n%s",
				i, err, dry, verdicts[i], listing(filters[i]))
		}
		count[verdicts[i]]++
	}
	if count[0] < 500 || count[unix.EINVAL] < 500 || len(count) != 2 {
		t.Errorf("verdicts: %v", count)
	}
}

// TestRandomFiltersBreakEveryRule shows that the random ones leave no rule out.
func TestRandomFiltersBreakEveryRule(t *testing.T) {
	g := newGenerator(4)
	broken := map[string]bool{}
	for range 30_000 {
		if err := Check(g.mutate(g.program(20, plain, field, divisor, shift, store, load, jump, branch, ret))); err != nil {
			for _, reason := range reasons {
				if reason != "" && strings.Contains(err.Error(), reason) {
					broken[reason] = true
				}
			}
		}
	}
	for r, reason := range reasons {
		if reason != "" && !broken[reason] {
			t.Errorf("rule %d, %s: never broken", r, reason)
		}
	}
}

// FuzzCheck compares with the kernel too.
func FuzzCheck(f *testing.F) {
	for _, c := range checks {
		if len(c.filter) <= 1024 {
			f.Add(c.filter)
		}
	}
	k := newKernel(f, judgeByCheck)
	f.Fuzz(func(t *testing.T, filter []byte) {
		err := Check(filter)
		if again := Check(filter); fmt.Sprint(err) != fmt.Sprint(again) {
			t.Fatalf("%v, then %v", err, again)
		}
		errno := errnoOf(t, err)
		switch n := len(filter) / unix.SizeofSockFilter; {
		case len(filter)%unix.SizeofSockFilter != 0:
			if errno != unix.EINVAL {
				t.Errorf("%d bytes: %v", len(filter), err)
			}
		case n > math.MaxUint16:
			if errno != unix.E2BIG {
				t.Errorf("%d instructions: %v", n, err)
			}
		default:
			if kernel := k.verdicts(t, filter)[0]; errno != kernel {
				t.Errorf("Check says %v, the kernel %v\n%s", err, kernel, listing(filter))
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{10, 300, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			filter := encode(straight(n)...)
			b.SetBytes(int64(len(filter)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Check(filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
