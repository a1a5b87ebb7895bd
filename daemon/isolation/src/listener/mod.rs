//! The shared Gateway itself, and a tenant's listeners in it where the cluster's Gateway API knows no ListenerSet (before
//! 1.5).
//!
//! Listeners are a list of the Gateway that is keyed by name
//! (<https://gateway-api.sigs.k8s.io/reference/spec/#gatewayspec>): each tenant's is applied by a field manager of its own,
//! so the API server merges what tenants' passes write at the same moment, and takes one away without inspecting the
//! others. The Gateway's own part is ours under our usual name; a listener that neither we nor a tenant's pass made goes. Whose
//! certificates do not go together with whose is `issuer`'s to say.

mod issuer;

use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    isolation::{GatewayNames, GatewayRef, SharedGateway, SharedTarget, TenantNamespace},
    ports::DeployTarget,
};
use serde_json::{Value, json};

use crate::{
    issue,
    served::{LISTENERS_MAX, Name, own_secret, secret_beside},
};
use issuer::ISSUER_ANNOTATION;
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
/// The Gateway's own listener, on port 80.
pub(crate) const ENTRANCE: &str = "http";
/// How often the Gateway is read again because it changed before the version that was read could be written to. Others who come in at
/// the same moment are one write each, and so is what their listeners have the Gateway's controller write: two for each of its places.
const READS_MAX: usize = 2 * LISTENERS_MAX;

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

pub(crate) fn gateways(client: &Client, namespace: &str) -> Api<DynamicObject> {
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

/// Whether a Gateway has a listener of that tenant.
pub(crate) fn has_any(gateway: &DynamicObject, tenant: &TenantNamespace) -> bool {
    listeners(&gateway.data).iter().any(|listener| is_of(listener, tenant))
}

/// Listeners of a Gateway, or of a ListenerSet.
pub(crate) fn listeners(object: &Value) -> &[Value] {
    object.pointer("/spec/listeners").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn name_of(listener: &Value) -> &str {
    listener["name"].as_str().unwrap_or_default()
}

/// Whose a listener of a Gateway is: it is named after the tenant's namespace, one of several names with the name's label behind it.
fn tenant_of(listener: &Value) -> Option<TenantNamespace> {
    let name = name_of(listener);
    name.split_once('.').map_or(name, |(namespace, _)| namespace).parse().ok()
}

/// Whether a listener of a Gateway is that tenant's.
pub(crate) fn is_of(listener: &Value, tenant: &TenantNamespace) -> bool {
    tenant_of(listener).is_some_and(|of| of == *tenant)
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
            None if tenant_of(listener).is_some() => all.push(listener.clone()),
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

/// One of the tenant's names, for routes of its own namespace.
fn listener(place: &SharedTarget, shared: &SharedGateway, name: &Name) -> Value {
    let namespace = place.namespace.as_str();
    let secret = secret_beside(place, shared).unwrap_or_else(|| own_secret(&place.namespace));
    let listener = match shared.names {
        GatewayNames::Wildcard => namespace.to_owned(),
        GatewayNames::Listed => format!("{namespace}.{}", name.listener),
    };
    json!({
        "name": listener, "hostname": name.host, "port": 443, "protocol": "HTTPS",
        "allowedRoutes": { "namespaces": { "from": "Selector", "selector": {
            "matchLabels": { "kubernetes.io/metadata.name": namespace },
        } } },
        "tls": { "mode": "Terminate", "certificateRefs": [{ "group": "", "kind": "Secret", "name": secret }] },
    })
}

/// What a tenant's pass wants of our Gateway.
struct Part<'a> {
    api: Api<DynamicObject>,
    at: &'a GatewayRef,
    tenant: &'a TenantNamespace,
    names: &'a [Name],
    listeners: Vec<Value>,
    /// The annotation that makes their certificate; `None`: they need none.
    issuer: Option<&'a str>,
}

/// How far a pass came with the version of the Gateway that it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    All,
    /// What comes next is judged by what the Gateway is now.
    ReadAgain,
}

/// Makes the tenant's listeners exist in our Gateway, and no others of it.
pub(crate) async fn ensure(
    client: &Client,
    place: &SharedTarget,
    shared: &SharedGateway,
    gateway: &GatewayRef,
    names: &[Name],
) -> crate::Result<()> {
    let part = Part {
        api: gateways(client, &gateway.namespace),
        at: gateway,
        tenant: &place.namespace,
        names,
        listeners: names.iter().map(|name| listener(place, shared, name)).collect(),
        issuer: issuer::annotated(shared),
    };
    for _ in 0..READS_MAX {
        if part.write().await? == Written::All {
            return Ok(());
        }
    }
    let what = format!("Gateway {}/{} is written to by others all the time", gateway.namespace, gateway.name);
    let remedy =
        "landlord tries again by itself; if it lasts, whoever operates the host cluster finds out who writes to it";
    Err(Error::Lacking { what, remedy }.into())
}

impl Part<'_> {
    fn doing(&self) -> String {
        format!("adding the listeners of {} to Gateway {}/{}", self.tenant, self.at.namespace, self.at.name)
    }

    /// First what is refused, before anything is written. Then in the order in which an operator's Secret and the annotation never meet: of
    /// those that this tenant has itself, as its class had it before, the one goes before the other comes.
    async fn write(&self) -> crate::Result<Written> {
        let found = self.api.get(&self.at.name).await.doing(|| self.doing())?;
        let (own, others): (Vec<&Value>, Vec<&Value>) =
            listeners(&found.data).iter().partition(|listener| is_of(listener, self.tenant));
        let wanted = &self.listeners;
        if own.len() < wanted.len() && others.len() + wanted.len() > LISTENERS_MAX {
            return Err(full(self.at, wanted.len()));
        }
        issuer::refuse(self, &found)?;
        let leaves = self.issuer.is_some() && own.iter().any(|listener| issuer::operators(listener).is_some());
        match self.issuer {
            Some(_) if leaves => {}
            Some(name) if issuer::ensure(self, &found, name).await? == Written::ReadAgain => {
                return Ok(Written::ReadAgain);
            }
            Some(_) => {}
            None if withdraw(&self.api, &found, self.at, &issuer::manager(self.tenant.as_str())).await? => {
                return Ok(Written::ReadAgain);
            }
            None => {}
        }
        if own.len() == wanted.len() && wanted.iter().all(|wanted| own.contains(&wanted)) {
            return Ok(Written::All);
        }
        let written = self.apply(&found).await?;
        Ok(if leaves { Written::ReadAgain } else { written })
    }

    async fn apply(&self, found: &DynamicObject) -> crate::Result<Written> {
        let (gateway, wanted) = (self.at, &self.listeners);
        let mut body = applied(gateway, &json!({ "spec": { "listeners": wanted } }));
        if wanted.iter().any(|listener| issuer::operators(listener).is_some()) {
            body["metadata"]["resourceVersion"] = json!(found.resource_version());
        }
        let params = PatchParams::apply(&manager(self.tenant.as_str())).force();
        let patched = match self.api.patch(&gateway.name, &params, &Patch::Apply(&body)).await {
            // Other tenants took the last places since it was read.
            Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains("Too many") => {
                return Err(full(gateway, wanted.len()));
            }
            // Every name belongs to one listener.
            Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains("must be unique") => {
                let hosts: Vec<&str> = self.names.iter().map(|name| name.host.as_str()).collect();
                let what =
                    format!("a listener for {} in Gateway {}/{}", hosts.join(", "), gateway.namespace, gateway.name);
                return Err(Error::NameTaken { what }.into());
            }
            Err(kube::Error::Api(status)) if issuer::has_changed(&status) => return Ok(Written::ReadAgain),
            other => other.doing(|| self.doing())?,
        };
        let kept: Vec<&str> = wanted.iter().map(name_of).collect();
        take_out(&self.api, patched, self.tenant, &kept).await.doing(|| self.doing())?;
        Ok(Written::All)
    }
}

/// Takes listeners of a tenant out that are not kept, though somebody edited them and has parts of them now. The version that was read
/// keeps what others write meanwhile.
async fn take_out(
    api: &Api<DynamicObject>,
    mut gateway: DynamicObject,
    tenant: &TenantNamespace,
    kept: &[&str],
) -> Result<(), kube::Error> {
    let Some(all) = gateway.data.pointer_mut("/spec/listeners").and_then(Value::as_array_mut) else { return Ok(()) };
    let before = all.len();
    all.retain(|listener| !is_of(listener, tenant) || kept.contains(&name_of(listener)));
    if all.len() == before {
        return Ok(());
    }
    gateway.metadata.managed_fields = None;
    api.replace(&gateway.name_any(), &PostParams::default(), &gateway).await.map(drop)
}

/// What a manager of a tenant's had applied, and nobody else has, goes.
async fn withdraw(api: &Api<DynamicObject>, found: &DynamicObject, at: &GatewayRef, manager: &str) -> Result<bool> {
    if !found.managed_fields().iter().any(|field| field.manager.as_deref() == Some(manager)) {
        return Ok(false);
    }
    let params = PatchParams::apply(manager).force();
    gone_is_fine(api.patch(&at.name, &params, &Patch::Apply(&applied(at, &json!({})))).await)
        .doing(|| format!("taking what {manager} applied out of Gateway {}/{}", at.namespace, at.name))?;
    Ok(true)
}

fn full(gateway: &GatewayRef, wanted: usize) -> crate::Error {
    let what = format!(
        "Gateway {}/{} can have {LISTENERS_MAX} listeners: no room for the {wanted} of this tenant's names",
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

/// Takes the tenant's listeners out of every Gateway of this installation, with the certificate that was made for them.
pub(crate) async fn remove(client: &Client, target: &DeployTarget, place: &SharedTarget) -> Result<()> {
    let namespace = place.namespace.as_str();
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
    let ours = role_selector(&target.installation, HOST_ROLE);
    let found = known(all.list(&ListParams::default().labels(&ours)).await).doing(|| "listing Gateways".into())?;
    for gateway in found.into_iter().flatten() {
        let at = GatewayRef { name: gateway.name_any(), namespace: gateway.namespace().unwrap_or_default() };
        let doing = || format!("taking the listeners of {namespace} out of Gateway {}/{}", at.namespace, at.name);
        let api = gateways(client, &at.namespace);
        let mut changed = false;
        for manager in [manager(namespace), issuer::manager(namespace)] {
            changed |= withdraw(&api, &gateway, &at, &manager).await?;
        }
        let left = if changed { api.get_opt(&at.name).await.doing(doing)? } else { Some(gateway) };
        if let Some(left) = left {
            take_out(&api, left, &place.namespace, &[]).await.doing(doing)?;
        }
        issue::remove(client, &at.namespace, &own_secret(&place.namespace)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_listeners_stay_and_others_go() {
        let tenant = "tenant-00000000000000000000000000000007";
        let listed = "tenant-00000000000000000000000000000008.chat";
        let wanted = json!({ "spec": { "listeners": [{ "name": "http", "port": 80 }] } });
        let found: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "annotations": { ISSUER_ANNOTATION: "a", "else": "b" } },
            "spec": { "listeners": [
                { "name": tenant }, { "name": "open" }, { "name": listed }, { "name": "open.chat" }, { "name": "http", "port": 81 },
            ] },
        }))
        .unwrap();
        let whole = with_tenants(&wanted, &found);
        let expected = [json!({ "name": tenant }), json!({ "name": listed }), json!({ "name": "http", "port": 80 })];
        assert_eq!(listeners(&whole), expected);
        assert_eq!(whole["metadata"]["annotations"], json!({ ISSUER_ANNOTATION: "a" }));
    }
}
