package test

import (
	"strings"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// A client that is there but does not read cannot keep an agent that was told to end.
func TestTerminatedWhileTheClientDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]proto.OrphanPolicy{"kill": {GraceMS: 300}, "linger": {Linger: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			host := s.launch(proto.Request{Argv: []string{"/usr/bin/yes"}, Stdio: proto.Stdio{PTY: true}, Orphan: policy})
			switches := ""
			eventually(t, "the workload waits in its write", func() bool {
				before := switches
				switches = ofProcess(t, host, "voluntary_ctxt_switches")
				return switches == before && strings.HasPrefix(ofProcess(t, host, "State"), "S")
			})
			if err := unix.Kill(s.AgentPID(), unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.exits(1)
			eventually(t, "the workload is gone, with its terminal at the latest", func() bool { return !alive(host) })
		})
	}
}

// How a workload ended that waitid(2) does not tell of is not made up.
func TestExitThatCannotBeLearned(t *testing.T) {
	t.Parallel()
	withoutWaitid := refusal{unix.SYS_WAITID, unix.ECHILD, anyArgs, 0}
	s := start(t, func(o *client.Options) { o.Path = refusing(t, withoutWaitid) })
	s.launch(sh("exit 7"))
	s.ends("{:error, 10, :exec_outcome}", 4)
}
