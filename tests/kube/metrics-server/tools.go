//go:build tools

// Metrics-server, as the platform installs it.
package tools

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"
