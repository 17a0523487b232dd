package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/linxprocess/linx-process/caps"
	"github.com/linxprocess/linx-process/proto"
	"github.com/spf13/pflag"
)

// options is what the command line says.
type options struct {
	namespaces  []proto.Namespace // nil where none is named
	all         bool
	mapRoot     bool
	enter       int // 0 without --enter
	pty, noPTY  bool
	cwd         *string
	env         []string
	clearEnv    bool
	dropCaps    *uint64
	keepCaps    *uint64
	ambientCaps *uint64
	filters     []string
	noNewPrivs  bool
	orphan      proto.OrphanPolicy
	trace       bool
	explain     bool
	agent       string
	version     bool
	help        bool
	argv        []string
}

// parse reads the command line. Flags end at "--" or at the command.
func parse(args []string) (*options, error) {
	o := &options{orphan: proto.DefaultOrphan}
	f := pflag.NewFlagSet("linx-run", pflag.ContinueOnError)
	f.Usage = func() {}
	f.SetInterspersed(false)

	f.Func("ns", "", o.setNamespaces)
	f.BoolVar(&o.all, "all", false, "")
	f.BoolVar(&o.mapRoot, "map-root", false, "")
	f.Func("enter", "", o.setEnter)
	f.BoolVar(&o.pty, "pty", false, "")
	f.BoolVar(&o.noPTY, "no-pty", false, "")
	f.Func("cwd", "", o.setCwd)
	f.Func("env", "", o.addEnv)
	f.BoolVar(&o.clearEnv, "clear-env", false, "")
	f.Func("drop-caps", "", setCaps(&o.dropCaps))
	f.Func("keep-caps", "", setCaps(&o.keepCaps))
	f.Func("ambient-caps", "", setCaps(&o.ambientCaps))
	f.StringArrayVar(&o.filters, "seccomp-bpf", nil, "")
	f.BoolVar(&o.noNewPrivs, "no-new-privs", false, "")
	f.Func("orphan", "", o.setOrphan)
	f.BoolVar(&o.trace, "trace", false, "")
	f.BoolVar(&o.explain, "explain", false, "")
	f.StringVar(&o.agent, "agent", "", "")
	f.BoolVar(&o.version, "version", false, "")
	f.BoolVarP(&o.help, "help", "h", false, "")

	if err := f.Parse(args); err != nil {
		return nil, fmt.Errorf("%w; see linx-run --help", err)
	}
	o.argv = f.Args()
	if o.help || o.version {
		return o, nil
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("%w; see linx-run --help", err)
	}
	return o, nil
}

// check finds what is missing, and what does not go together.
func (o *options) check() error {
	dropped := o.dropped()
	for _, wrong := range []struct {
		is   bool
		text string
	}{
		{len(o.argv) == 0, "no command to run"},
		{len(o.argv) > 0 && o.argv[0] == "", "the command is empty"},
		{o.pty && o.noPTY, "--pty and --no-pty exclude each other"},
		{o.all && o.namespaces != nil, "--all and --ns exclude each other"},
		{o.mapRoot && o.enter != 0, "--map-root is for a new user namespace, --enter joins one that has its maps"},
		{o.dropCaps != nil && o.keepCaps != nil, "--drop-caps and --keep-caps exclude each other"},
		{o.ambientCaps != nil && *o.ambientCaps&dropped != 0, "--ambient-caps has a capability that is dropped"},
	} {
		if wrong.is {
			return errors.New(wrong.text)
		}
	}
	return nil
}

// dropped is the mask of the capabilities that the command shall not have.
func (o *options) dropped() uint64 {
	switch {
	case o.dropCaps != nil:
		return *o.dropCaps
	case o.keepCaps != nil:
		return caps.All() &^ *o.keepCaps
	default:
		return 0
	}
}

func (o *options) setNamespaces(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		n := slices.IndexFunc(allNamespaces(), func(n proto.Namespace) bool { return n.String() == name })
		if n < 0 {
			return fmt.Errorf("no such namespace: %q", name)
		}
		if !slices.Contains(o.namespaces, proto.Namespace(n)) {
			o.namespaces = append(o.namespaces, proto.Namespace(n))
		}
	}
	return nil
}

func allNamespaces() []proto.Namespace {
	all := make([]proto.Namespace, proto.NumNamespaces)
	for i := range all {
		all[i] = proto.Namespace(i)
	}
	return all
}

func (o *options) setEnter(s string) error {
	pid, err := strconv.ParseInt(s, 10, 32)
	if err != nil || pid <= 0 {
		return errors.New("a process id is a number greater than 0")
	}
	o.enter = int(pid)
	return nil
}

func (o *options) setCwd(dir string) error {
	o.cwd = &dir
	return nil
}

func (o *options) addEnv(s string) error {
	if strings.IndexByte(s, '=') < 1 {
		return errors.New("a variable is KEY=VALUE")
	}
	o.env = append(o.env, s)
	return nil
}

func setCaps(mask **uint64) func(string) error {
	return func(list string) error {
		m, err := caps.Mask(list)
		*mask = &m
		return err
	}
}

// setOrphan reads linger, kill or kill:MS.
func (o *options) setOrphan(s string) error {
	policy, grace, timed := strings.Cut(s, ":")
	switch {
	case s == "linger":
		o.orphan = proto.OrphanPolicy{Linger: true}
		return nil
	case policy != "kill":
		return errors.New("a policy is linger, kill or kill:MS")
	case !timed:
		o.orphan = proto.DefaultOrphan
		return nil
	}
	ms, err := strconv.ParseUint(grace, 10, 31)
	if err != nil {
		return fmt.Errorf("a grace is a number of milliseconds up to %d", math.MaxInt32)
	}
	o.orphan = proto.OrphanPolicy{GraceMS: uint32(ms)}
	return nil
}
