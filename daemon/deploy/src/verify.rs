//! Whether the environment answers: every release ready, every Service with endpoints, every
//! load balancer with an address, every route there. Changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::try_join_all;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, api::ListParams};
use landlord_core::{
    environment::Endpoint,
    ports::{DeployTarget, StageProgress, Verified},
};
use serde_json::Value;

use crate::{
    apply::{self, Judged},
    checks::{self, Outcome},
    driver::{Delivered, DeliveryState, Driver},
    render,
    stack::{EntryPoint, Manifest, Stack},
};
use landlord_kube::{Doing as _, Result, client::ClusterClients, object::ObjectRef, progress::pending, ready};

/// How soon checks are asked again of which one did not hold.
const BROKEN_POLL: Duration = Duration::from_secs(30);

/// Judges everything.
pub(crate) async fn verify(
    clients: &ClusterClients,
    driver: &dyn Driver,
    target: &DeployTarget,
    stack: &Stack,
) -> Result<Verified> {
    let waiting = |detail: String| Verified { progress: pending(detail), detail: String::new(), endpoints: Vec::new() };
    let namespace = render::namespace(target, &stack.manifest);
    let client = &clients.tenant;
    let releases =
        stack.manifest.releases.iter().map(|release| judged(client, driver, release.name.as_str(), namespace));
    let mut services = BTreeSet::new();
    for release in try_join_all(releases).await? {
        match release {
            Release::Ready { services: own } => services.extend(own),
            Release::Unready(why) => return Ok(waiting(why)),
        }
    }
    if let Some(why) = service_without_endpoints(client, namespace, &services).await? {
        return Ok(waiting(why));
    }
    let mut endpoints = Vec::new();
    for (entry, address) in addresses(clients, target, &stack.manifest).await? {
        match address {
            Some(_) => endpoints.push(Endpoint {
                name: entry.endpoint.name.clone(),
                url: render::replace(&entry.endpoint.url, target),
            }),
            None if required(target, entry) => {
                return Ok(waiting(format!("the load balancer of {} has no address", entry.record)));
            }
            None => {}
        }
    }
    if let Some(why) = listener_without_certificate(clients, target, &stack.manifest).await? {
        return Ok(waiting(why));
    }
    match checks::run(&clients.admin, target, &stack.manifest).await? {
        Outcome::Hold(detail) => Ok(Verified { progress: StageProgress::Done, detail, endpoints }),
        // Asked less often: what refuses wrong passwords counts them.
        Outcome::Broken(detail) => {
            let progress = StageProgress::Pending { poll_after: BROKEN_POLL, detail };
            Ok(Verified { progress, detail: String::new(), endpoints: Vec::new() })
        }
    }
}

/// In a cluster of the tenant's own: why its Gateway does not serve one of the tenant's names, as it itself says. A Gateway
/// that has no listeners for them is somebody else's.
async fn listener_without_certificate(
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &Manifest,
) -> Result<Option<String>> {
    let (None, Some(gateway)) = (target.cluster.shared(), &manifest.gateway) else { return Ok(None) };
    let object = ObjectRef {
        api_version: "gateway.networking.k8s.io/v1".into(),
        kind: "Gateway".into(),
        name: gateway.name.clone(),
        namespace: gateway.namespace.clone(),
    };
    let Some(found) = ready::get(&clients.admin, &object).await? else { return Ok(None) };
    let served = manifest.entry_points.iter().filter(|entry| entry.gateway);
    let mut hosts = served.map(|entry| format!("{}.{}", entry.record, target.spec.domain.as_str()));
    Ok(hosts.find_map(|host| unprogrammed(&found, &host)))
}

/// Why a Gateway's listener for a host is not programmed; `None`: it is, or there is none.
fn unprogrammed(gateway: &Value, host: &str) -> Option<String> {
    let list = |pointer: &str| gateway.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let name = list("/spec/listeners").find(|listener| listener["hostname"] == host)?["name"].clone();
    let status = list("/status/listeners").find(|listener| listener["name"] == name);
    let conditions = || status.and_then(|status| status["conditions"].as_array()).into_iter().flatten();
    let is = |kind: &str, value: &str| conditions().find(|c| c["type"] == kind && c["status"] == value);
    if is("Programmed", "True").is_some() && is("ResolvedRefs", "False").is_none() {
        return None;
    }
    let why = is("ResolvedRefs", "False").or(is("Programmed", "False"));
    let why = why.and_then(|condition| condition["message"].as_str()).unwrap_or("its controller has not seen it yet");
    Some(format!("the Gateway does not serve https://{host} yet: {why}"))
}

/// Names and addresses for DNS; `None` while a load balancer of our own has no address.
pub(crate) async fn entry_points(
    clients: &ClusterClients,
    target: &DeployTarget,
    stack: &Stack,
) -> Result<Option<BTreeMap<String, String>>> {
    let mut records = BTreeMap::new();
    for (entry, address) in addresses(clients, target, &stack.manifest).await? {
        match address {
            Some(address) => {
                records.insert(format!("{}.{}", entry.record, target.spec.domain.as_str()), address);
            }
            None if required(target, entry) => return Ok(None),
            None => {}
        }
    }
    Ok(Some(records))
}

/// The Gateway is the operator's: without it the environment has no web addresses, but stands. So it does without load
/// balancers where the class allows none.
fn required(target: &DeployTarget, entry: &EntryPoint) -> bool {
    entry.service.is_some() && target.cluster.shared().is_none_or(|place| place.guardrails.load_balancers() > 0)
}

/// How a release stands.
enum Release {
    /// Everything of it is as it should be; names of its Services.
    Ready { services: Vec<String> },
    /// Why not.
    Unready(String),
}

async fn judged(client: &Client, driver: &dyn Driver, release: &str, namespace: &str) -> Result<Release> {
    let found = driver.delivered(client, namespace, release).await?;
    let Some(delivered) = found.filter(|found| found.state == DeliveryState::Delivered) else {
        return Ok(Release::Unready(format!("release {release} is not deployed")));
    };
    Ok(match apply::judge(client, &delivered).await? {
        Judged::Ready => Release::Ready { services: services_of(&delivered, namespace) },
        Judged::Waiting(why) | Judged::Missing(why) => Release::Unready(why),
    })
}

fn services_of(delivered: &Delivered, namespace: &str) -> Vec<String> {
    let objects = delivered.objects.iter().flatten();
    let services = objects.filter(|object| object.kind == "Service" && object.namespace == namespace);
    services.map(|service| service.name.clone()).collect()
}

/// The address of each entry point, if it has one. What several have in common is asked once.
async fn addresses<'a>(
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &'a Manifest,
) -> Result<Vec<(&'a EntryPoint, Option<String>)>> {
    let mut known: Vec<(ObjectRef, Option<String>)> = Vec::new();
    let mut all = Vec::new();
    for entry in &manifest.entry_points {
        let Some(source) = source(target, manifest, entry) else {
            all.push((entry, None));
            continue;
        };
        let address = match known.iter().find(|(object, _)| *object == source.object) {
            Some((_, address)) => address.clone(),
            None => {
                let address = address(clients, &source).await?;
                known.push((source.object, address.clone()));
                address
            }
        };
        all.push((entry, address));
    }
    Ok(all)
}

/// Where an address is read.
struct Source {
    object: ObjectRef,
    /// The shared Gateway is not the tenant's to read.
    of_tenant: bool,
    pointer: &'static str,
    fields: &'static [&'static str],
}

fn source(target: &DeployTarget, manifest: &Manifest, entry: &EntryPoint) -> Option<Source> {
    let object = |api_version: &str, kind: &str, name: &str, namespace: &str| ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        namespace: namespace.into(),
    };
    if let Some(service) = &entry.service {
        let object = object("v1", "Service", service, render::namespace(target, manifest));
        let pointer = "/status/loadBalancer/ingress/0";
        return Some(Source { object, of_tenant: true, pointer, fields: &["hostname", "ip"] });
    }
    let gateway = manifest.gateway.as_ref()?;
    let object = object("gateway.networking.k8s.io/v1", "Gateway", &gateway.name, &gateway.namespace);
    Some(Source { object, of_tenant: false, pointer: "/status/addresses/0", fields: &["value"] })
}

async fn address(clients: &ClusterClients, source: &Source) -> Result<Option<String>> {
    let client = if source.of_tenant { &clients.tenant } else { &clients.admin };
    let Some(found) = ready::get(client, &source.object).await? else { return Ok(None) };
    let first = found.pointer(source.pointer);
    let text = |field: &&str| first.and_then(|first| first[*field].as_str()).filter(|text| !text.is_empty());
    Ok(source.fields.iter().find_map(text).map(str::to_owned))
}

/// The releases' own Services only: what a customer adds never decides whether the environment is ready.
async fn service_without_endpoints(client: &Client, namespace: &str, own: &BTreeSet<String>) -> Result<Option<String>> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let services = services.list(&ListParams::default()).await.doing(|| format!("listing services in {namespace}"))?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let slices = slices.list(&ListParams::default()).await.doing(|| format!("listing endpoints in {namespace}"))?;
    let slices = serde_json::to_value(&slices.items).unwrap_or_default();
    for service in services.items {
        let name = service.metadata.name.unwrap_or_default();
        let selects = service.spec.and_then(|spec| spec.selector).is_some_and(|selector| !selector.is_empty());
        if own.contains(&name) && selects && !has_endpoint(&slices, &name) {
            return Ok(Some(format!("Service {name} has no ready endpoint")));
        }
    }
    Ok(None)
}

fn has_endpoint(slices: &Value, service: &str) -> bool {
    let slices = slices.as_array().into_iter().flatten();
    let own = slices.filter(|slice| {
        slice.pointer("/metadata/labels/kubernetes.io~1service-name").and_then(Value::as_str) == Some(service)
    });
    own.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
        // An unset condition means ready.
        .any(|endpoint| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listener_without_its_certificate_is_named() {
        let gateway = |programmed: &str, resolved: &str| {
            json!({
                "spec": { "listeners": [{ "name": "http" }, { "name": "https-0", "hostname": "chat.a.example.com" }] },
                "status": { "listeners": [{ "name": "https-0", "conditions": [
                    { "type": "Programmed", "status": programmed, "message": "invalid" },
                    { "type": "ResolvedRefs", "status": resolved, "message": "Secret landlord-tls does not exist." },
                ] }] },
            })
        };
        assert_eq!(unprogrammed(&gateway("True", "True"), "chat.a.example.com"), None);
        assert_eq!(unprogrammed(&gateway("False", "False"), "files.a.example.com"), None, "nobody's name");
        let why = unprogrammed(&gateway("False", "False"), "chat.a.example.com").unwrap();
        assert!(why.contains("landlord-tls does not exist"), "{why}");
        let why = unprogrammed(&json!({ "spec": gateway("", "")["spec"] }), "chat.a.example.com").unwrap();
        assert!(why.contains("has not seen"), "{why}");
    }

    #[test]
    fn endpoints_count_when_ready() {
        let slice = |ready: Option<bool>| json!([{ "metadata": { "labels": { "kubernetes.io/service-name": "a" } }, "endpoints": [{ "conditions": { "ready": ready } }] }]);
        assert!(has_endpoint(&slice(Some(true)), "a"));
        assert!(has_endpoint(&slice(None), "a"));
        assert!(!has_endpoint(&slice(Some(false)), "a"));
        assert!(!has_endpoint(&slice(Some(true)), "b"));
    }

    #[test]
    fn only_a_releases_own_services_decide() {
        let object = |kind: &str, name: &str, namespace: &str| ObjectRef {
            api_version: "v1".into(),
            kind: kind.into(),
            name: name.into(),
            namespace: namespace.into(),
        };
        let delivered = Delivered {
            state: DeliveryState::Delivered,
            digest: String::new(),
            objects: Some(vec![
                object("Service", "own", "n"),
                object("Service", "elsewhere", "kube-system"),
                object("ConfigMap", "c", "n"),
            ]),
            record: String::new(),
        };
        assert_eq!(services_of(&delivered, "n"), ["own"]);
        assert!(services_of(&Delivered { objects: None, ..delivered }, "n").is_empty());
    }
}
