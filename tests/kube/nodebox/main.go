// Command nodebox holds what a real node is made of besides its container
// runtime, in one binary:
//
//	nodebox init SPEC.json     # the node's first process: network, mounts, then its parts
//	nodebox relay FROM TO      # copies connections: unix:PATH or tcp:ADDRESS on both sides
//	nodebox kubelet|kube-proxy ARGS
//
// `init` must be started in new network, mount and process namespaces. When it
// ends, in whatever way, the kernel ends everything else in the node and takes
// its mounts and its network with it.
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if len(os.Args) < 2 {
		fail("name a part: init, relay, kubelet or kube-proxy")
	}
	part := os.Args[1]
	os.Args = append([]string{part}, os.Args[2:]...)
	switch part {
	case "init":
		must(begin(argument(1)))
	case "relay":
		must(relay(argument(1), argument(2)))
	case "kubelet":
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	default:
		fail("no part called " + part)
	}
}

func argument(index int) string {
	if len(os.Args) <= index {
		fail("too few arguments for " + os.Args[0])
	}
	return os.Args[index]
}

func must(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "nodebox:", message)
	os.Exit(2)
}
