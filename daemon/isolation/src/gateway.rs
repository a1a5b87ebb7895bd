//! The Gateway that tenants share: one a host cluster, with a ListenerSet for each tenant's names in its own namespace.
//!
//! The ListenerSet is ours: a tenant attaches routes to it, and can't listen for names that are not its own. Routes of
//! other namespaces are not let in, and the Gateway admits no other namespaces' ListenerSets than tenants'. Where the
//! cluster's Gateway API knows no ListenerSet, the tenant's listener is in the Gateway itself (`listener`).

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use landlord_core::{
    isolation::{Certificate, GatewayRef, SharedGateway, SharedTarget},
    ports::DeployTarget,
    stage::RemovedObject,
};
use serde_json::{Value, json};

use crate::{
    listener::{self, HOST_ROLE, Keeper},
    marked::metadata,
};
use landlord_kube::{
    Doing as _, Error, Result,
    absent::{exactly, gone_is_fine, known},
    apply::apply_all,
    gateway_api::{self, GROUP, Routing, accepted},
    markers::{self, LEVEL_LABEL, LISTENERS},
    object::Wanted,
};

/// Secret that cert-manager writes the tenant's certificate into.
const TLS_SECRET: &str = "landlord-tls";

/// Makes the Gateway, the tenant's listeners and what lets them read the certificate exist.
pub(crate) async fn ensure(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    shared: &SharedGateway,
    gateway: &GatewayRef,
) -> crate::Result<()> {
    let routing = gateway_api::routing(client).await?;
    if routing == Routing::Unknown {
        return Err(Error::Lacking {
            what: "the host cluster knows no Gateway API".into(),
            remedy: "bring it along (deploy.gateway_api_crds), or leave gateway out of the class's guardrails",
        }
        .into());
    }
    ensure_namespace(client, target, &gateway.namespace).await?;
    let sets = routing == Routing::ListenerSets;
    let keeper = listener::ensure_gateway(client, target, &shared_gateway(target, shared, gateway, sets)).await?;
    if !sets {
        if matches!(keeper, Keeper::Operator) {
            return Err(Error::Lacking {
                what: format!(
                    "Gateway {}/{} is not landlord's to change, and its Gateway API knows no ListenerSet",
                    gateway.namespace, gateway.name
                ),
                remedy: "bring the Gateway API 1.5 or newer along, leave gateway out of the class's guardrails, or name \
                         another gateway in the stack, which landlord then makes",
            }
            .into());
        }
        return listener::ensure(client, target, place, shared, gateway).await;
    }
    if let Keeper::Us(Some(found)) = keeper
        && listener::has_listener(&found, place.namespace.as_str())
    {
        // The Gateway API has been renewed since.
        listener::remove(client, target, place).await?;
    }
    let mut wanted = vec![listeners(target, place, shared, gateway)];
    wanted.extend(grant(target, place, shared, gateway));
    let ours = markers::selector(target);
    apply_all(client, &wanted, &ours, true).await?;
    refuse_conflict(client, place).await
}

/// A controller that refuses the tenant's listeners, or gives their names to another's, shows it with the set.
async fn refuse_conflict(client: &Client, place: &SharedTarget) -> crate::Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "ListenerSet"));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), place.namespace.as_str(), &resource);
    let what = || format!("ListenerSet {}/{LISTENERS}", place.namespace);
    let found = api.get_opt(LISTENERS).await.doing(|| format!("reading {}", what()))?;
    let refusal = found.and_then(|set| accepted::listeners_refusal(&serde_json::to_value(&set).unwrap_or_default()));
    match refusal {
        None => Ok(()),
        Some(why) => Err(crate::Error::Refused { what: format!("{} is refused: {why}", what()) }),
    }
}

/// Made if it is missing, never changed: the Gateway's controller may have made it.
async fn ensure_namespace(client: &Client, target: &DeployTarget, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_metadata_opt(name).await.doing(|| format!("reading namespace {name}"))?.is_some() {
        return Ok(());
    }
    let body = json!({ "metadata": { "name": name, "labels": host_labels(target) } });
    let body: Namespace = serde_json::from_value(body).unwrap_or_default();
    match namespaces.create(&PostParams::default(), &body).await {
        // Another tenant's pass was first.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).doing(|| format!("making namespace {name}")),
    }
}

fn host_labels(target: &DeployTarget) -> Value {
    json!({ "landlord-installation": target.installation, "landlord-role": HOST_ROLE })
}

/// The Gateway without any tenant's part.
fn shared_gateway(target: &DeployTarget, shared: &SharedGateway, gateway: &GatewayRef, sets: bool) -> Wanted {
    let mut body = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway",
        "metadata": { "name": gateway.name, "namespace": gateway.namespace, "labels": host_labels(target) },
        "spec": {
            "gatewayClassName": shared.class,
            // A Gateway must have one; no tenant's route attaches to it.
            "listeners": [{
                "name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": { "namespaces": { "from": "Same" } },
            }],
        },
    });
    if sets {
        body["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "Selector", "selector": {
            "matchLabels": { "landlord-installation": target.installation },
            "matchExpressions": [{ "key": LEVEL_LABEL, "operator": "Exists" }],
        } } });
    }
    Wanted::new(body)
}

/// The names below the tenant's domain.
fn listeners(target: &DeployTarget, place: &SharedTarget, shared: &SharedGateway, gateway: &GatewayRef) -> Wanted {
    let mut metadata = metadata(target, place, LISTENERS, "listeners");
    let mut certificate = json!({ "group": "", "kind": "Secret", "name": TLS_SECRET });
    match &shared.certificate {
        // <https://cert-manager.io/docs/usage/gateway/>
        Certificate::ClusterIssuer(issuer) => {
            metadata["annotations"] = json!({ "cert-manager.io/cluster-issuer": issuer });
        }
        Certificate::Secret(secret) => {
            certificate["name"] = json!(secret);
            certificate["namespace"] = json!(gateway.namespace);
        }
    }
    Wanted::new(json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ListenerSet",
        "metadata": metadata,
        "spec": {
            "parentRef": { "group": GROUP, "kind": "Gateway", "name": gateway.name, "namespace": gateway.namespace },
            "listeners": [{
                "name": "web", "hostname": format!("*.{}", target.spec.domain.as_str()), "port": 443, "protocol": "HTTPS",
                "allowedRoutes": { "namespaces": { "from": "Same" } },
                "tls": { "mode": "Terminate", "certificateRefs": [certificate] },
            }],
        },
    }))
}

/// Lets the tenant's listeners use the operator's certificate; the tenant itself can't read it.
fn grant(target: &DeployTarget, place: &SharedTarget, shared: &SharedGateway, gateway: &GatewayRef) -> Option<Wanted> {
    let Certificate::Secret(secret) = &shared.certificate else { return None };
    Some(Wanted::new(json!({
        "apiVersion": format!("{GROUP}/v1beta1"), "kind": "ReferenceGrant",
        "metadata": {
            "name": place.namespace, "namespace": gateway.namespace, "labels": markers::labels(target, "listeners"),
        },
        "spec": {
            "from": [{ "group": GROUP, "kind": "ListenerSet", "namespace": place.namespace }],
            "to": [{ "group": "", "kind": "Secret", "name": secret }],
        },
    })))
}

/// Takes a tenant off the Gateway again, whose class keeps none any more.
pub(crate) async fn remove(client: &Client, target: &DeployTarget, place: &SharedTarget) -> Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "ListenerSet"));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), place.namespace.as_str(), &resource);
    let ours = markers::selector(target);
    let found = known(api.list(&ListParams::default().labels(&ours)).await).doing(|| "listing listener sets".into())?;
    let Some(found) = found else { return Ok(()) };
    for set in found {
        gone_is_fine(api.delete(&set.name_any(), &exactly(set.uid())).await)
            .doing(|| format!("deleting ListenerSet {}/{}", place.namespace, set.name_any()))?;
    }
    remove_elsewhere(client, target, place).await.map(drop)
}

/// Removes what is kept for a tenant outside of its namespace.
pub(crate) async fn remove_elsewhere(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
) -> Result<Vec<RemovedObject>> {
    listener::remove(client, target, place).await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1beta1", "ReferenceGrant"));
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let ours = markers::selector(target);
    let found =
        known(all.list(&ListParams::default().labels(&ours)).await).doing(|| "listing reference grants".into())?;
    let mut removed = Vec::new();
    for grant in found.into_iter().flatten() {
        let (namespace, name) = (grant.namespace().unwrap_or_default(), grant.name_any());
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
        gone_is_fine(api.delete(&name, &exactly(grant.uid())).await)
            .doing(|| format!("deleting ReferenceGrant {namespace}/{name}"))?;
        let id = grant.uid().unwrap_or_default();
        removed.push(RemovedObject { r#type: "ReferenceGrant".into(), id, name: format!("{namespace}/{name}") });
    }
    Ok(removed)
}
