package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// How often a file is looked for, and how long: images are gigabytes, which take
// many minutes to unpack on a machine that compiles with all its processors.
const (
	lookInterval = 20 * time.Millisecond
	filePatience = 15 * time.Minute
)

// waitFor returns when the file is there.
func waitFor(path string, asked <-chan os.Signal) error {
	deadline := time.Now().Add(filePatience)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-asked:
			return fmt.Errorf("asked to end while %s was awaited", path)
		case <-time.After(lookInterval):
		}
	}
	return fmt.Errorf("%s was not made within %s", path, filePatience)
}

// reap tells who ended, for as long as this process lives. Containers' shims
// become children of the node's first process, so there is always one later.
func reap(ends chan<- ended) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err == syscall.ECHILD:
			time.Sleep(lookInterval)
		case err == nil && (status.Exited() || status.Signaled()):
			ends <- ended{pid, status}
		}
	}
}
