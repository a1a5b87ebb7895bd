// Command certmanager runs cert-manager's own packages: `certmanager controller` its control loops, `webhook` its admission
// webhook, `cainjector` the injector of its certificate authority, `acmesolver` what answers an HTTP-01 challenge. Each
// takes the flags that cert-manager's chart and controller give, and uses its pod's own service account.
//
// cert-manager's own commands are modules of their own that the module proxy does not serve. This module's path lies under
// cert-manager's, so that its package internal/webhook may be imported.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "certmanager:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("usage: certmanager controller|webhook|cainjector|acmesolver FLAGS")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx = logf.NewContext(ctx, logf.Log, arguments[0])
	flags := parse(arguments[1:])
	switch arguments[0] {
	case "controller":
		return controllers(ctx, flags)
	case "webhook":
		return serveWebhook(ctx, flags)
	case "cainjector":
		return injectAuthority(ctx)
	case "acmesolver":
		answering := &solver.HTTP01Solver{
			ListenPort: 8089, Domain: flags.one("domain"), Token: flags.one("token"), Key: flags.one("key"),
		}
		go func() {
			<-ctx.Done()
			_ = answering.Close()
		}()
		return answering.Listen(logf.Log)
	}
	return fmt.Errorf("no command %q", arguments[0])
}

// options are flags as they were given; those that nobody asks for are left alone.
type options map[string][]string

func parse(arguments []string) options {
	flags := options{}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		flags[name] = append(flags[name], value)
	}
	return flags
}

// one is the last value of a flag, empty if it was not given.
func (flags options) one(name string) string {
	values := flags[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
