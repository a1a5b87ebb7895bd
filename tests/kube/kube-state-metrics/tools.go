//go:build tools

// Kube-state-metrics, as the platform installs it.
package tools

import _ "k8s.io/kube-state-metrics/v2"
