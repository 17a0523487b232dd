package test

import (
	"testing"

	"github.com/linxprocess/linx-process/client"
)

// The frames of an ordinary session come in their order, over either transport.
func TestOrderOfFrames(t *testing.T) {
	for name, socketpair := range map[string]bool{"pipes": false, "socketpair": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(o *client.Options) { o.Socketpair = socketpair })
			host := s.launch(sh("echo hello; exit 7"))
			if host <= 0 {
				t.Errorf("host pid %d", host)
			}
			s.ends("{:status, :exited, 7}", 0)
			if got := s.out.String(); got != "hello\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}
