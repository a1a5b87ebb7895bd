//go:build tools

// Package tools pins what is built: an ACME server that really validates.
package tools

import _ "github.com/letsencrypt/pebble/v2/cmd/pebble"
