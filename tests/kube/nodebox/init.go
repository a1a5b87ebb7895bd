package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// spec says what a node consists of.
type spec struct {
	// Address of the node, in no network but its own.
	Address string `json:"address"`
	// Address of its DNS server for pods, which network policies do not govern.
	DNSAddress string `json:"dnsAddress"`
	// Connections to other addresses of the node and of its pods: HTTP CONNECT on this socket.
	Connect string `json:"connect"`
	// Port of the loopback interface in the node that leads to the socket below,
	// behind which somebody outside relays to the API server.
	APIServerPort   int    `json:"apiServerPort"`
	APIServerSocket string `json:"apiServerSocket"`
	// More ways out of the node, each to a socket behind which somebody relays.
	Relays []way `json:"relays"`
	// Programs, started in this order.
	Parts []part `json:"parts"`
}

type way struct {
	// tcp:ADDRESS in the node.
	Listen string `json:"listen"`
	// unix:PATH.
	To string `json:"to"`
}

type part struct {
	Name string `json:"name"`
	// A file that must be there first.
	After   string            `json:"after"`
	Command []string          `json:"command"`
	Env     map[string]string `json:"env"`
	Log     string            `json:"log"`
}

// begin prepares the node, starts its parts and returns when one of them has
// ended or somebody asks this process to end.
func begin(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var node spec
	if err := json.Unmarshal(text, &node); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("init must be the first process of new namespaces")
	}
	if err := mounts(); err != nil {
		return err
	}
	if err := network(node.Address, node.DNSAddress); err != nil {
		return err
	}
	if err := connect(node.Connect); err != nil {
		return err
	}
	if node.APIServerPort != 0 {
		go func() {
			must(relay(fmt.Sprintf("tcp:127.0.0.1:%d", node.APIServerPort), "unix:"+node.APIServerSocket))
		}()
	}
	for _, way := range node.Relays {
		go func() {
			must(relay(way.Listen, way.To))
		}()
	}
	return run(node.Parts)
}

// mounts makes what programs write outside of their folders the node's own.
func mounts() error {
	// First apart from the machine, then shared among the node's processes, as a kubelet needs it.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts in the node: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, folder := range []string{"/run", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount("node", folder, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", folder, err)
		}
	}
	return nil
}

// network gives the node an address and a way for packets that nobody takes:
// into a bridge without ports. Without a default route, connections to Service
// addresses would fail before kube-proxy's rules see them.
func network(address, dns string) error {
	for _, line := range []string{
		"link set lo up",
		"address add " + address + "/32 dev lo",
		"address add " + dns + "/32 dev lo",
		"link add nowhere type bridge",
		"link set nowhere up",
		"route add default dev nowhere src " + address,
	} {
		output, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, output)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

type ended struct {
	pid    int
	status syscall.WaitStatus
}

// run starts the parts and reaps, as a first process must.
func run(parts []part) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	children := map[int]string{}
	ends := make(chan ended)
	for _, part := range parts {
		if part.After != "" {
			if err := waitFor(part.After, asked); err != nil {
				return err
			}
		}
		process, err := start(part)
		if err != nil {
			return fmt.Errorf("start %s: %w", part.Name, err)
		}
		children[process] = part.Name
	}
	go reap(ends)
	for {
		select {
		case <-asked:
			return nil
		case end := <-ends:
			if name, known := children[end.pid]; known {
				return fmt.Errorf("%s ended by itself with status %d", name, end.status.ExitStatus())
			}
		}
	}
}

func start(part part) (int, error) {
	if err := os.MkdirAll(filepath.Dir(part.Log), 0o755); err != nil {
		return 0, err
	}
	log, err := os.Create(part.Log)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer nothing.Close()
	environment := []string{}
	for name, value := range part.Env {
		environment = append(environment, name+"="+value)
	}
	process, err := os.StartProcess(part.Command[0], part.Command, &os.ProcAttr{
		Env:   environment,
		Files: []*os.File{nothing, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	return process.Pid, nil
}
