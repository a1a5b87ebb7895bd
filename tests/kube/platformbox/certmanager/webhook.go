package main

import (
	"context"
	"time"

	admissionreg "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	apireg "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/cert-manager/cert-manager/internal/apis/config/shared"
	config "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	"github.com/cert-manager/cert-manager/internal/webhook"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// Ports that cert-manager's chart names.
const (
	webhookPort = 10250
	healthPort  = 6080
)

func serveWebhook(ctx context.Context, flags options) error {
	ctrl.SetLogger(logf.Log)
	server, err := webhook.NewCertManagerWebhookServer(logf.Log, config.WebhookConfiguration{
		SecurePort: webhookPort, HealthzPort: healthPort, MetricsListenAddress: "0",
		TLSConfig: shared.TLSConfig{Dynamic: shared.DynamicServingConfig{
			SecretNamespace: flags.one("dynamic-serving-ca-secret-namespace"),
			SecretName:      flags.one("dynamic-serving-ca-secret-name"),
			DNSNames:        flags["dynamic-serving-dns-names"],
			LeafDuration:    7 * 24 * time.Hour,
		}},
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

func injectAuthority(ctx context.Context) error {
	ctrl.SetLogger(logf.Log)
	access, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	access.UserAgent = "cert-manager-cainjector/local" // names the field manager; without it the injector's apply is refused
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, cmapi.AddToScheme, admissionreg.AddToScheme, apiext.AddToScheme, apireg.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	manager, err := ctrl.NewManager(access, ctrl.Options{Scheme: scheme, Metrics: metrics.Options{BindAddress: "0"}})
	if err != nil {
		return err
	}
	enabled := map[string]bool{}
	for _, name := range []string{
		cainjector.MutatingWebhookConfigurationName, cainjector.ValidatingWebhookConfigurationName,
		cainjector.APIServiceName, cainjector.CustomResourceDefinitionName,
	} {
		enabled[name] = true
	}
	options := cainjector.SetupOptions{EnableCertificatesDataSource: true, EnabledReconcilersFor: enabled}
	if err := cainjector.RegisterAllInjectors(ctx, manager, options); err != nil {
		return err
	}
	return manager.Start(ctx)
}
