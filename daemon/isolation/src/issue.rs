//! The Certificate of names that are listed: one for all of a tenant's, beside the Gateway, where its challenges are answered too.
//!
//! It is landlord's own object and in no tenant's namespace, on purpose. cert-manager answers a challenge with a pod, a Service and a
//! route in the Certificate's namespace. In the tenant's these would need a way through its quota, its policies and, at the level NODE,
//! onto its nodes, and port 80 of the Gateway would be open to routes of tenants. Here only the Gateway's own namespace is let in there,
//! and the tenant reads neither the key nor a challenge's answer.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use landlord_core::{
    isolation::{Certificate, GatewayNames, GatewayRef, SharedGateway, SharedTarget},
    ports::DeployTarget,
    stage::RemovedObject,
};
use landlord_kube::{
    Doing as _, Result,
    absent::{exactly, gone_is_fine, known, since},
    apply::apply_all,
    markers,
    object::Wanted,
};
use serde_json::json;

use crate::served::{Served, listed_secret};

/// How long names of a tenant that was never READY stay with the certificate that they had, while another setting's is not issued: they may
/// lead nowhere yet, and can't be proven by HTTP-01 before its apps are there. The names of one that works for its customer lead to the
/// Gateway as they are: they are not closed for a certificate that does not come, however long a daemon was away meanwhile.
const ISSUE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How far the certificate is that a tenant's setting needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Issue {
    /// There, or not landlord's to order.
    There,
    /// What is waited for.
    Pending(String),
    /// Not there, and waited for long enough.
    Late,
}

fn certificates() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate"))
}

/// Labels of the Certificate, which its order has too, and of its Secret.
pub(crate) fn labels(target: &DeployTarget) -> BTreeMap<String, String> {
    markers::labels(target, "certificate")
}

/// `None`: listeners have another one.
fn wanted(target: &DeployTarget, place: &SharedTarget, shared: &SharedGateway, served: &Served) -> Option<Wanted> {
    let (Certificate::ClusterIssuer(issuer), GatewayNames::Listed) = (&shared.certificate, shared.names) else {
        return None;
    };
    let (name, labels) = (listed_secret(place), labels(target));
    let hosts: Vec<String> = served.names(target, shared).into_iter().map(|name| name.host).collect();
    Some(Wanted::new(json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": { "name": name, "namespace": served.gateway.namespace, "labels": labels },
        "spec": {
            "secretName": name,
            "secretTemplate": { "labels": labels },
            "dnsNames": hosts,
            "issuerRef": { "group": "cert-manager.io", "kind": "ClusterIssuer", "name": issuer },
        },
    })))
}

/// Orders the certificate, if the names are listed and an issuer makes it, and says how far it is.
pub(crate) async fn ensure(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    shared: &SharedGateway,
    served: &Served,
) -> Result<Issue> {
    let Some(wanted) = wanted(target, place, shared, served) else { return Ok(Issue::There) };
    apply_all(client, std::slice::from_ref(&wanted), &markers::selector(target), true).await?;
    let (namespace, name) = (served.gateway.namespace.as_str(), wanted.name.as_str());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let doing = || format!("reading the certificate {namespace}/{name}");
    if secrets.get_metadata_opt(name).await.doing(doing)?.is_some() {
        return Ok(Issue::There);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &certificates());
    let made = known(api.get_metadata(name).await).doing(doing)?.and_then(|found| found.metadata.creation_timestamp);
    if !target.was_ready && made.is_some_and(|made| since(&made) > ISSUE_TIMEOUT) {
        return Ok(Issue::Late);
    }
    Ok(Issue::Pending(format!(
        "Certificate {namespace}/{name} is being issued; until then the tenant's names are served as before; if it lasts, its Order beside \
         it says why to whoever operates the host cluster"
    )))
}

/// Takes away what another setting had ordered beside a Gateway: all of it, but what is wanted now.
pub(crate) async fn remove_unwanted(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    wanted_at: Option<&GatewayRef>,
) -> Result<Vec<RemovedObject>> {
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &certificates());
    let ours = ListParams::default().labels(&markers::selector(target));
    let found = known(all.list_metadata(&ours).await).doing(|| "listing certificates".into())?;
    let mut removed = Vec::new();
    for certificate in found.into_iter().flatten().filter(|found| found.name_any() == listed_secret(place)) {
        let namespace = certificate.namespace().unwrap_or_default();
        if wanted_at.is_some_and(|gateway| gateway.namespace == namespace) {
            continue;
        }
        let name = certificate.name_any();
        remove(client, &namespace, &name).await?;
        let id = certificate.uid().unwrap_or_default();
        removed.push(RemovedObject { r#type: "Certificate".into(), id, name: format!("{namespace}/{name}") });
    }
    Ok(removed)
}

/// The same with Secrets whose Certificate is gone already: cert-manager leaves them.
pub(crate) async fn remove_all(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
) -> Result<Vec<RemovedObject>> {
    let removed = remove_unwanted(client, target, place, None).await?;
    let all: Api<Secret> = Api::all(client.clone());
    let ours = ListParams::default().labels(&markers::selector(target));
    let found = all.list_metadata(&ours).await.doing(|| "listing certificates' Secrets".into())?;
    for secret in found.into_iter().filter(|found| found.name_any() == listed_secret(place)) {
        remove(client, &secret.namespace().unwrap_or_default(), &secret.name_any()).await?;
    }
    Ok(removed)
}

/// A Certificate and the Secret of its name. The Certificate first, or cert-manager would write the Secret again.
pub(crate) async fn remove(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &certificates());
    let doing = || format!("deleting the certificate {namespace}/{name}");
    // A cluster without cert-manager does not know the kind.
    if let Some(found) = known(api.get_metadata(name).await).doing(doing)? {
        gone_is_fine(api.delete(name, &exactly(found.uid())).await).doing(doing)?;
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if let Some(found) = secrets.get_metadata_opt(name).await.doing(doing)? {
        gone_is_fine(secrets.delete(name, &exactly(found.uid())).await).doing(doing)?;
    }
    Ok(())
}
