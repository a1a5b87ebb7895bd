//! Who issues a tenant's certificate: an issuer that is not there, or can't prove a wildcard, is reported before anything waits for it. The
//! kind is cert-manager's by its name; no controller of it is here.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    CertificateOrder, Failure,
    ports::{DeployTarget, Isolation as _},
};
use serde_json::{Value, json};

use super::{support::eventually, world::World};

pub(crate) const SERVER: &str = "https://acme.example.com/directory";

fn plural(kind: &str) -> String {
    format!("{}s", kind.to_lowercase())
}

fn definition(kind: &str) -> String {
    format!("{}.cert-manager.io", plural(kind))
}

impl World {
    fn definitions(&self) -> Api<CustomResourceDefinition> {
        Api::all(self.scene.client.clone())
    }

    /// A kind of cert-manager's by its name, which takes whatever is written, as soon as it is served.
    pub(crate) async fn define(&self, kind: &str, scope: &str) -> Result<()> {
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = json!({
            "metadata": { "name": definition(kind) },
            "spec": {
                "group": "cert-manager.io", "scope": scope, "names": { "kind": kind, "plural": plural(kind) },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": open } }],
            },
        });
        self.definitions().create(&PostParams::default(), &serde_json::from_value(definition)?).await?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", kind));
        let all: Api<DynamicObject> = Api::all_with(self.scene.client.clone(), &resource);
        eventually("the kind is served", async || {
            Ok(all.list(&ListParams::default()).await.map(drop).map_err(|error| error.to_string()))
        })
        .await
    }

    pub(crate) async fn undefine(&self, kind: &str) -> Result<()> {
        self.definitions().delete(&definition(kind), &DeleteParams::default()).await?;
        Ok(())
    }

    async fn certificate(&self, tenant: &DeployTarget) -> Result<Option<CertificateOrder>, Failure> {
        self.scene.deployer.isolation.certificate(tenant).await
    }

    pub(crate) async fn issuer(&self, spec: Value) -> Result<()> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer"));
        let issuers: Api<DynamicObject> = Api::all_with(self.scene.client.clone(), &resource);
        let body = json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": { "name": "letsencrypt" }, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        eventually("an issuer is written", async || {
            let written = issuers.patch("letsencrypt", &params, &Patch::Apply(&body)).await;
            Ok(written.map(drop).map_err(|error| error.to_string()))
        })
        .await
    }

    pub(crate) async fn an_issuer_that_can_never_issue_is_named(&self) -> Result<()> {
        let [acme, globex, initech] = &self.tenants;
        let failure = self.certificate(acme).await.err().context("without the kind")?;
        ensure!(failure.message.contains("no ClusterIssuer letsencrypt"), "{failure:?}");
        self.define("ClusterIssuer", "Cluster").await?;

        let of = |solvers: Value| json!({ "acme": { "server": SERVER, "solvers": solvers } });
        self.issuer(of(json!([{ "http01": { "gatewayHTTPRoute": {} } }]))).await?;
        let failure = self.certificate(acme).await.err().context("by HTTP-01 alone")?;
        let wildcard = format!("*.{}", acme.spec.domain.as_str());
        ensure!(failure.message.contains(&format!("no solver by DNS-01 for {wildcard}")), "{failure:?}");
        ensure!(
            failure.remedy.contains("solver by DNS-01")
                && failure.remedy.contains("guardrails.gateway.names = \"listed\""),
            "{failure:?}"
        );

        self.issuer(of(json!([{ "dns01": { "rfc2136": { "nameserver": "203.0.113.1" } } }]))).await?;
        let expected = CertificateOrder { authority: SERVER.into(), names: [wildcard].into() };
        ensure!(self.certificate(acme).await.map_err(|failure| anyhow::anyhow!("{failure}"))? == Some(expected));
        // Who has the operator's certificate, or no Gateway of ours, orders none.
        for tenant in [globex, initech] {
            ensure!(self.certificate(tenant).await.map_err(|failure| anyhow::anyhow!("{failure}"))?.is_none());
        }
        Ok(())
    }
}
