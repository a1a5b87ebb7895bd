//go:build tools

// Cyclonus evaluates network policies by an engine of its own. It is a module
// apart: its Kubernetes libraries are years older than the control plane's.
package tools

import _ "github.com/mattfenwick/cyclonus/cmd/cyclonus"
