//go:build tools

// What the binaries are made of besides main.go: Helm and kwok are binaries of
// their own (kwok's flags clash with the API server's), and of the Gateway API
// only its manifests are used.
package main

import (
	_ "helm.sh/helm/v4/cmd/helm"
	_ "sigs.k8s.io/gateway-api/apis/v1"
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
