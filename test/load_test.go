package test

import (
	"fmt"
	"os"
	"testing"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
)

// exiting is a request for a workload that ends with the code.
func exiting(code int) proto.Request { return sh(fmt.Sprintf("exit %d", code)) }

// Many sessions of all kinds stand at the checkpoint at once, and end as they
// should. Not parallel to other tests: it counts descriptors.
func TestFiftySessionsAtOnce(t *testing.T) {
	kinds := []func(proto.Request) (proto.Request, []proto.Command){
		func(r proto.Request) (proto.Request, []proto.Command) { return r, nil },
		func(r proto.Request) (proto.Request, []proto.Command) { return onTerminal(r), nil },
		func(r proto.Request) (proto.Request, []proto.Command) { return within(r, every...), nil },
		func(r proto.Request) (proto.Request, []proto.Command) {
			return onTerminal(within(r, proto.User, proto.PID, proto.Mount)), []proto.Command{allowAll}
		},
		func(r proto.Request) (proto.Request, []proto.Command) {
			return withStdio(inDirectory(r, "/"), proto.Directive{Kind: proto.Devnull}), []proto.Command{{Kind: proto.CapSetThread}}
		},
	}
	before := descriptors()
	var hosts []int
	t.Run("sessions", func(t *testing.T) {
		var sessions []*session
		for i := range 50 {
			s := start(t, nil)
			r, commands := kinds[i%len(kinds)](exiting(i))
			s.request(r)
			s.send(commands...)
			sessions = append(sessions, s)
		}
		for _, s := range sessions {
			host, _ := s.ready()
			hosts = append(hosts, host)
		}
		for _, s := range sessions {
			s.send(proceed)
		}
		for i, s := range sessions {
			s.ends(fmt.Sprintf("{:status, :exited, %d}", i), 0)
		}
	})
	if len(hosts) != 50 {
		t.Fatalf("%d sessions", len(hosts))
	}
	leavesNothing(t, before, hosts)
}

// Many sessions one after the other leave nothing that could grow.
func TestTwoHundredSessionsInARow(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	ctx := deadline(t)
	before := descriptors()
	var hosts []int
	for i := range 200 {
		s, err := client.Start(ctx, client.Options{Path: binary, Stdin: null, Socketpair: i%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := exiting(i)
		if i%3 == 0 {
			r = onTerminal(r)
		}
		if err := s.Request(r); err != nil {
			t.Fatal(err)
		}
		if err := s.Proceed(); err != nil {
			t.Fatal(err)
		}
		host, _, err := s.AwaitReady(ctx)
		if err != nil {
			t.Fatal(err)
		}
		result, err := s.Wait(ctx)
		if err != nil || result != (client.Result{Kind: proto.Exited, N: i}) {
			t.Fatalf("session %d: %v, %v", i, result, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, host)
	}
	leavesNothing(t, before, hosts)
}

// leavesNothing fails where there are descriptors that were not there before, or
// children, be it as zombies.
func leavesNothing(t *testing.T, before map[string]string, hosts []int) {
	t.Helper()
	for fd, target := range descriptors() {
		if _, ok := before[fd]; !ok {
			t.Errorf("descriptor %s to %s", fd, target)
		}
	}
	for _, host := range hosts {
		if !gone(host) {
			t.Errorf("child %d is still there", host)
		}
	}
}
