package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/linxprocess/linx-process/client"
	"github.com/linxprocess/linx-process/proto"
	"golang.org/x/sys/unix"
)

const (
	amount = 200 << 20 // bytes through a PTY
	passes = 3
)

var writer = []string{"/usr/bin/head", "-c", strconv.Itoa(amount), "/dev/zero"}

// terminal compares PTY output in frames with a bare loop of read(2) on a master.
func terminal(agent string) error {
	var bare, framed sample
	for range passes {
		if err := bare.take(readBare); err != nil {
			return err
		}
		if err := framed.take(func() error { return readFrames(agent) }); err != nil {
			return err
		}
	}
	rate := func(d time.Duration) float64 { return amount / d.Seconds() / 1e6 }
	fmt.Printf("PTY output, bare read loop    %.0f MB/s\n", rate(bare.median()))
	fmt.Printf("PTY output, frames            %.0f MB/s\n", rate(framed.median()))
	fmt.Printf("  frames to bare              %.2f\n", ratio(bare.median(), framed.median()))
	return nil
}

func readBare() error {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer master.Close()
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	cmd := exec.Command(writer[0], writer[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	slave.Close()
	total, buffer := 0, make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buffer)
		if errors.Is(err, unix.EIO) {
			break
		}
		if err != nil {
			return err
		}
		total += n
	}
	if total != amount {
		return fmt.Errorf("a bare loop read %d bytes of %d", total, amount)
	}
	return cmd.Wait()
}

// counter is an io.Writer that only counts.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func readFrames(agent string) error {
	ctx := context.Background()
	s, err := client.Start(ctx, client.Options{Path: agent})
	if err != nil {
		return err
	}
	defer s.Close()
	err = s.Request(proto.Request{Argv: writer, Stdio: proto.Stdio{PTY: true}, Orphan: proto.DefaultOrphan})
	if err != nil {
		return err
	}
	if err := s.Proceed(); err != nil {
		return err
	}
	var total counter
	if _, err := s.WaitOutput(ctx, &total); err != nil {
		return err
	}
	if total != amount {
		return fmt.Errorf("frames brought %d bytes of %d", total, amount)
	}
	return nil
}
