// Command policybox enforces NetworkPolicy objects on a real node: kube-router's
// controller for them, without its router and its proxy.
//
//	policybox KUBECONFIG NODE DNS
//
// DNS is the address of the node's DNS server, which policies do not govern.
//
// It writes rules by `iptables` and `ipset`, which must be in PATH.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Heartbeats that nobody has taken yet; nobody judges them here.
const heartbeats = 16

// How long the first lists, and the node's own object, may take.
const startPatience = 3 * time.Minute
const startPoll = 200 * time.Millisecond

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: policybox KUBECONFIG NODE DNS")
		os.Exit(2)
	}
	if err := enforce(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "policybox:", err)
		os.Exit(1)
	}
}

// known says whether the node's object is there, with an address.
func known(client kubernetes.Interface, node string) bool {
	found, err := client.CoreV1().Nodes().Get(context.Background(), node, metav1.GetOptions{})
	return err == nil && len(found.Status.Addresses) > 0
}

// enforce runs until somebody asks this process to end.
func enforce(kubeconfig, node, dns string) error {
	access, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return err
	}
	config := options.NewKubeRouterConfig()
	config.HostnameOverride = node
	config.ExternalIPCIDRs = []string{dns + "/32"}
	config.EnableIPv4, config.EnableIPv6 = true, false
	iptables, ipset, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return err
	}
	all := informers.NewSharedInformerFactory(client, 0)
	pods := all.Core().V1().Pods().Informer()
	namespaces := all.Core().V1().Namespaces().Informer()
	policies := all.Networking().V1().NetworkPolicies().Informer()
	stop := make(chan struct{})
	all.Start(stop)
	deadline := time.AfterFunc(startPatience, func() {
		fmt.Fprintln(os.Stderr, "policybox: the API server does not list pods, namespaces, policies and the node")
		os.Exit(1)
	})
	cache.WaitForCacheSync(stop, pods.HasSynced, namespaces.HasSynced, policies.HasSynced)
	// The kubelet makes it; its addresses come a moment later.
	for !known(client, node) {
		time.Sleep(startPoll)
	}
	deadline.Stop()
	var sets sync.Mutex
	controller, err := netpol.NewNetworkPolicyController(
		client, config, pods, policies, namespaces, &sets, iptables, ipset)
	if err != nil {
		return err
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       controller.PodEventHandler,
		namespaces: controller.NamespaceEventHandler,
		policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	beats := make(chan *healthcheck.ControllerHeartbeat, heartbeats)
	go func() {
		for range beats {
		}
	}()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-asked
		close(stop)
	}()
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(beats, stop, &running)
	return nil
}
