//! The shared Gateway itself, and a tenant's listener in it where the cluster's Gateway API knows no ListenerSet (before
//! 1.5).
//!
//! Listeners are a list of the Gateway that is keyed by name
//! (<https://gateway-api.sigs.k8s.io/reference/spec/#gatewayspec>): each tenant's is applied by a field manager of its own,
//! so the API server merges what tenants' passes write at the same moment, and takes one away without inspecting the
//! others. The Gateway's own part is ours under our usual name; a listener that neither we nor a tenant's pass made goes.

use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    isolation::{Certificate, GatewayRef, SharedGateway, SharedTarget, TenantNamespace},
    ports::DeployTarget,
};
use serde_json::{Value, json};

use landlord_kube::{
    Doing as _, Error, Result,
    absent::{gone_is_fine, known},
    differs,
    gateway_api::GROUP,
    markers::{FIELD_MANAGER, INSTALLATION, role_selector},
    object::Wanted,
};

/// Marks the shared Gateway and a namespace that was made for it.
pub(crate) const HOST_ROLE: &str = "host-gateway";
/// Most listeners of a Gateway; its first is not a tenant's. `maxItems` of `spec.listeners` in every version.
const LISTENERS_MAX: usize = 64;
/// <https://cert-manager.io/docs/usage/gateway/>
const ISSUER_ANNOTATION: &str = "cert-manager.io/cluster-issuer";

/// Whose Gateway it is.
#[derive(Debug, Clone)]
pub(crate) enum Keeper {
    /// This installation; how it was found.
    Us(Option<Box<DynamicObject>>),
    /// Whoever runs the cluster.
    Operator,
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Gateway"))
}

fn gateways(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource())
}

/// Brings the Gateway to `wanted`, which has no tenant's listener, unless it is the operator's. Tenants' listeners stay.
pub(crate) async fn ensure_gateway(client: &Client, target: &DeployTarget, wanted: &Wanted) -> Result<Keeper> {
    let api = gateways(client, wanted.namespace.as_deref().unwrap_or_default());
    let doing = || format!("applying {}", wanted.what());
    let found = api.get_opt(&wanted.name).await.doing(doing)?;
    if let Some(found) = &found {
        match found.labels().get(INSTALLATION) {
            None => return Ok(Keeper::Operator),
            Some(other) if *other != target.installation => {
                // Its tenants' listeners would not be admitted: say so before anything waits for them.
                let what = format!("{} of the installation {other}", wanted.what());
                return Err(Error::NameTaken { what });
            }
            Some(_) if !differs(&with_tenants(&wanted.body, found), &value(found)) => {
                return Ok(Keeper::Us(Some(Box::new(found.clone()))));
            }
            Some(_) => {}
        }
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patched = api.patch(&wanted.name, &params, &Patch::Apply(&wanted.body)).await.doing(doing)?;
    let mut whole = with_tenants(&wanted.body, &patched);
    if differs(&whole, &value(&patched)) {
        // What another manager added to a list or map; the version keeps a listener that was made meanwhile.
        whole["metadata"]["resourceVersion"] = json!(patched.resource_version());
        let whole = serde_json::from_value(whole)
            .map_err(|_| Error::Stuck { what: format!("{} can't be written", wanted.what()) })?;
        api.replace(&wanted.name, &PostParams::default(), &whole).await.doing(doing)?;
    }
    Ok(Keeper::Us(found.map(Box::new)))
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Whether a Gateway has a listener of that name.
pub(crate) fn has_listener(gateway: &DynamicObject, name: &str) -> bool {
    let all = gateway.data.pointer("/spec/listeners").and_then(Value::as_array);
    all.into_iter().flatten().any(|listener| name_of(listener) == name)
}

fn listeners(gateway: &Value) -> &[Value] {
    gateway.pointer("/spec/listeners").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn name_of(listener: &Value) -> &str {
    listener["name"].as_str().unwrap_or_default()
}

/// The wanted Gateway in the order and with the tenants' listeners that it has.
fn with_tenants(wanted: &Value, found: &DynamicObject) -> Value {
    let found = value(found);
    let mut whole = wanted.clone();
    let mut all = Vec::new();
    for listener in listeners(&found) {
        let own = listeners(wanted).iter().find(|own| name_of(own) == name_of(listener));
        match own {
            Some(own) => all.push(own.clone()),
            None if name_of(listener).parse::<TenantNamespace>().is_ok() => all.push(listener.clone()),
            None => {}
        }
    }
    let missing = listeners(wanted).iter().filter(|own| !all.iter().any(|has| name_of(has) == name_of(own)));
    let missing: Vec<Value> = missing.cloned().collect();
    all.extend(missing);
    whole["spec"]["listeners"] = Value::Array(all);
    // Listeners bring their certificates' issuer along.
    if let Some(issuer) = found.pointer("/metadata/annotations").and_then(|all| all.get(ISSUER_ANNOTATION)) {
        whole["metadata"]["annotations"][ISSUER_ANNOTATION] = issuer.clone();
    }
    whole
}

/// Whom the API server takes a tenant's pass for. Two installations on one cluster have two Gateways.
fn manager(namespace: &str) -> String {
    format!("landlord-{namespace}")
}

/// Name of the Secret beside the Gateway that a tenant's own certificate is written into.
fn own_secret(namespace: &str) -> String {
    format!("{namespace}-tls")
}

/// The tenant's names, for routes of its own namespace.
fn listener(target: &DeployTarget, place: &SharedTarget, shared: &SharedGateway) -> Value {
    let namespace = place.namespace.as_str();
    let secret = match &shared.certificate {
        Certificate::ClusterIssuer(_) => own_secret(namespace),
        Certificate::Secret(secret) => secret.to_string(),
    };
    json!({
        "name": namespace, "hostname": format!("*.{}", target.spec.domain.as_str()), "port": 443, "protocol": "HTTPS",
        "allowedRoutes": { "namespaces": { "from": "Selector", "selector": {
            "matchLabels": { "kubernetes.io/metadata.name": namespace },
        } } },
        "tls": { "mode": "Terminate", "certificateRefs": [{ "group": "", "kind": "Secret", "name": secret }] },
    })
}

/// Makes the tenant's listener exist in our Gateway.
pub(crate) async fn ensure(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    shared: &SharedGateway,
    gateway: &GatewayRef,
) -> crate::Result<()> {
    let namespace = place.namespace.as_str();
    let api = gateways(client, &gateway.namespace);
    let doing = || format!("adding the listener {namespace} to Gateway {}/{}", gateway.namespace, gateway.name);
    let found = value(&api.get(&gateway.name).await.doing(doing)?);
    let wanted = listener(target, place, shared);
    let known = listeners(&found).iter().find(|listener| name_of(listener) == namespace);
    if known.is_none() && listeners(&found).len() >= LISTENERS_MAX {
        return Err(full(gateway));
    }
    if let Certificate::ClusterIssuer(issuer) = &shared.certificate {
        ensure_issuer(&api, namespace, issuer.as_str(), gateway).await?;
    }
    if known == Some(&wanted) {
        return Ok(());
    }
    let body = applied(gateway, &json!({ "spec": { "listeners": [wanted] } }));
    let params = PatchParams::apply(&manager(namespace)).force();
    match api.patch(&gateway.name, &params, &Patch::Apply(&body)).await {
        // Other tenants took the last places since it was read.
        Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains("Too many") => {
            Err(full(gateway))
        }
        // Every name belongs to one listener.
        Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains("must be unique") => {
            let domain = target.spec.domain.as_str();
            let what = format!("a listener for *.{domain} in Gateway {}/{}", gateway.namespace, gateway.name);
            Err(Error::NameTaken { what }.into())
        }
        other => Ok(other.map(drop).doing(doing)?),
    }
}

fn full(gateway: &GatewayRef) -> crate::Error {
    let what = format!(
        "Gateway {}/{} has {LISTENERS_MAX} listeners, the most there can be: no room for this tenant's names",
        gateway.namespace, gateway.name
    );
    crate::Error::Full { what }
}

/// Part of the Gateway as a field manager applies it.
fn applied(gateway: &GatewayRef, part: &Value) -> Value {
    let mut body = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway",
        "metadata": { "name": gateway.name, "namespace": gateway.namespace },
    });
    for (key, value) in part.as_object().into_iter().flatten() {
        match (key.as_str(), value.as_object()) {
            ("metadata", Some(more)) => {
                for (key, value) in more {
                    body["metadata"][key.as_str()] = value.clone();
                }
            }
            _ => body[key.as_str()] = value.clone(),
        }
    }
    body
}

/// One issuer for all of a Gateway: it is an annotation. Not forced, so that another's is reported instead of replaced.
async fn ensure_issuer(api: &Api<DynamicObject>, namespace: &str, issuer: &str, gateway: &GatewayRef) -> Result<()> {
    let part = json!({ "metadata": { "annotations": { ISSUER_ANNOTATION: issuer } } });
    let params = PatchParams::apply(&format!("{}-issuer", manager(namespace)));
    match api.patch(&gateway.name, &params, &Patch::Apply(&applied(gateway, &part))).await {
        Err(kube::Error::Api(status)) if status.code == 409 && status.message.contains(ISSUER_ANNOTATION) => {
            let (of, name) = (&gateway.namespace, &gateway.name);
            let what = format!("Gateway {of}/{name} has another cluster issuer than {issuer}, and can have only one");
            Err(Error::Lacking {
                what,
                remedy: "let all classes of this host cluster name the same cluster issuer, or bring the Gateway API 1.5 \
                         or newer along",
            })
        }
        other => other.map(drop).doing(|| format!("naming the issuer {issuer} for the listener of {namespace}")),
    }
}

/// Takes the tenant's listener out of every Gateway of this installation, with its certificate.
pub(crate) async fn remove(client: &Client, target: &DeployTarget, place: &SharedTarget) -> Result<()> {
    let namespace = place.namespace.as_str();
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
    let ours = role_selector(&target.installation, HOST_ROLE);
    let found = known(all.list(&ListParams::default().labels(&ours)).await).doing(|| "listing Gateways".into())?;
    for gateway in found.into_iter().flatten() {
        let at = GatewayRef { name: gateway.name_any(), namespace: gateway.namespace().unwrap_or_default() };
        let mut mine = vec![manager(namespace), format!("{}-issuer", manager(namespace))];
        mine.retain(|name| gateway.managed_fields().iter().any(|field| field.manager.as_ref() == Some(name)));
        let doing = || format!("taking the listener {namespace} out of Gateway {}/{}", at.namespace, at.name);
        let api = gateways(client, &at.namespace);
        for manager in &mine {
            // Nothing is applied any more: what this manager alone had goes.
            let params = PatchParams::apply(manager).force();
            let body = applied(&at, &json!({}));
            gone_is_fine(api.patch(&at.name, &params, &Patch::Apply(&body)).await).doing(doing)?;
        }
        let left = if mine.is_empty() { Some(gateway) } else { api.get_opt(&at.name).await.doing(doing)? };
        if let Some(mut left) = left.filter(|left| has_listener(left, namespace)) {
            // Somebody edited it, and has parts of it now. The version that was read keeps what others write meanwhile.
            if let Some(all) = left.data.pointer_mut("/spec/listeners").and_then(Value::as_array_mut) {
                all.retain(|listener| name_of(listener) != namespace);
            }
            left.metadata.managed_fields = None;
            api.replace(&at.name, &PostParams::default(), &left).await.doing(doing)?;
        }
        remove_secret(client, &at.namespace, namespace).await?;
    }
    Ok(())
}

/// The certificate that was made for the listener; its name holds the tenant's uid.
async fn remove_secret(client: &Client, gateway_namespace: &str, namespace: &str) -> Result<()> {
    use k8s_openapi::api::core::v1::Secret;
    let api: Api<Secret> = Api::namespaced(client.clone(), gateway_namespace);
    let name = own_secret(namespace);
    gone_is_fine(api.delete(&name, &kube::api::DeleteParams::default()).await)
        .doing(|| format!("deleting Secret {gateway_namespace}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_listeners_stay_and_others_go() {
        let tenant = "tenant-00000000000000000000000000000007";
        let wanted = json!({ "spec": { "listeners": [{ "name": "http", "port": 80 }] } });
        let found: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "annotations": { ISSUER_ANNOTATION: "a", "else": "b" } },
            "spec": { "listeners": [{ "name": tenant }, { "name": "open" }, { "name": "http", "port": 81 }] },
        }))
        .unwrap();
        let whole = with_tenants(&wanted, &found);
        assert_eq!(listeners(&whole), [json!({ "name": tenant }), json!({ "name": "http", "port": 80 })]);
        assert_eq!(whole["metadata"]["annotations"], json!({ ISSUER_ANNOTATION: "a" }));
    }
}
