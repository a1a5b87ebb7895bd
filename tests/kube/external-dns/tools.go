//go:build tools

// ExternalDNS, as the platform installs it.
package tools

import _ "sigs.k8s.io/external-dns"
