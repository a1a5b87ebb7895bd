//go:build tools

// The LLM server of the app stack, from its own module.
package main

import _ "github.com/ollama/ollama"
