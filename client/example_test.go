package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

// A workload in a PID and a UTS namespace of its own, from the request to its end.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := client.Start(ctx, client.Options{Path: client.AgentPath(), Stdout: os.Stdout})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	err = s.Request(proto.Request{
		Argv:       []string{"/bin/sh", "-c", "echo this is process $$; exit 3"},
		Namespaces: []proto.Namespace{proto.User, proto.PID},
		Orphan:     proto.DefaultOrphan,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	host, inner, err := s.AwaitReady(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Here is the place for what is done from outside, by the pid: id maps, a
	// cgroup, a network device.
	fmt.Println("parked:", host > 0, inner)

	if err := s.Proceed(); err != nil {
		fmt.Println(err)
		return
	}
	result, err := s.Wait(ctx)
	fmt.Println(result, err)
	// Output:
	// parked: true 1
	// this is process 1
	// exited with status 3 <nil>
}

// An error of the session has its stage and matches its errno.
func ExampleError() {
	ctx := context.Background()
	s, err := client.Start(ctx, client.Options{Path: client.AgentPath()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	// A client need not wait for anything before it sends on.
	err = errors.Join(s.Request(proto.Request{Argv: []string{"/no/such/file"}}), s.Proceed())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = s.Wait(ctx)
	var failed *client.Error
	fmt.Println(errors.Is(err, unix.ENOENT), errors.As(err, &failed) && failed.Stage == proto.StageExecve)
	// Output: true true
}
