//go:build tools

// Karpenter with its provider of kwok nodes: a real autoscaler of nodes
// without a cloud. It is a module apart, since it pins its own Kubernetes
// libraries.
package tools

import _ "sigs.k8s.io/karpenter/kwok"
