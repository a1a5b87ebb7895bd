//! Whether the environment answers: every release ready, every Service with endpoints, every
//! load balancer with an address, every route there. Changes nothing, but that it ends rotations of credentials that were killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::try_join_all;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use landlord_core::{
    environment::Endpoint,
    ports::{AccessFacts, CheckOutcome, CheckResult, DeployTarget, ROTATION_TIME_MAX, StageProgress, Verified},
};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    apply::{self, Judged},
    checks::{By, Checks, Extent, rotate},
    driver::{Delivered, DeliveryState, Driver},
    listeners, render,
    stack::{EntryPoint, Manifest, Stack},
};
use landlord_kube::{
    Doing as _, Result,
    client::ClusterClients,
    gateway_api::accepted,
    object::{self, ObjectRef},
    progress::pending,
    ready,
};

/// How soon checks are run again of which one failed: each run loads a model.
const FAILED_POLL: Duration = Duration::from_secs(30);
/// Rotations that were killed have so long to end: with the checks that follow it is within the deadline of a stage's call.
const ROTATIONS_TIMEOUT: Duration = Duration::from_secs(45);

/// Judges everything; `None`: the checks have to wait for those of other environments, and nothing is known of them.
pub(crate) async fn verify(
    clients: &ClusterClients,
    driver: &dyn Driver,
    checks: &Checks,
    target: &DeployTarget,
    stack: &Stack,
) -> Result<Option<Verified>> {
    let unready = |detail: String| Verified {
        progress: pending(detail),
        endpoints: Vec::new(),
        pending: Vec::new(),
        checks: Vec::new(),
    };
    let waiting = |detail: String| Some(unready(detail));
    let namespace = render::namespace(target, &stack.manifest);
    let client = &clients.tenant;
    let releases =
        stack.manifest.releases.iter().map(|release| judged(client, driver, release.name.as_str(), namespace));
    let (mut services, mut routes) = (BTreeSet::new(), BTreeSet::new());
    for release in try_join_all(releases).await? {
        match release {
            Release::Ready { services: own, routes: of_release } => {
                services.extend(own);
                routes.extend(of_release);
            }
            Release::Unready(why) => return Ok(waiting(why)),
        }
    }
    if let Some(why) = service_without_endpoints(client, namespace, &services).await? {
        return Ok(waiting(why));
    }
    let (mut endpoints, mut missing) = (Vec::new(), Vec::new());
    let refusals = if routes.is_empty() { BTreeMap::new() } else { refusals(client, namespace, &routes).await? };
    let addresses = addresses(clients, target, &stack.manifest).await?;
    for (entry, address) in &addresses {
        let name = &entry.endpoint.name;
        let refusal = refusals.get(&format!("{}.{}", entry.record, target.spec.domain.as_str()));
        match (address, refusal) {
            (Some(_), Some(Some(why))) => missing.push(format!("{name}: {why}")),
            (Some(_), Some(None) | None) => {
                let url = render::replace(&entry.endpoint.url, target);
                endpoints.push(Endpoint { name: name.clone(), url, health_path: entry.endpoint.health_path.clone() });
            }
            (None, _) if required(target, entry, checks) => {
                return Ok(waiting(match entry.service {
                    Some(_) => format!("the load balancer of {} has no address", entry.record),
                    None => without_address(target, &stack.manifest, entry),
                }));
            }
            (None, _) => missing.push(format!("{name}: {}", without_address(target, &stack.manifest, entry))),
        }
    }
    let addressed = addresses.into_iter().filter_map(|(entry, address)| Some((entry.record.clone(), address?)));
    let addressed: BTreeMap<_, _> = addressed.collect();
    if let Some(why) = listeners::without_certificate(clients, target, &stack.manifest).await? {
        return unserved(clients, checks, target, stack, (addressed, why)).await.map(Some);
    }
    checks.is_served(target);
    finish_rotations(clients, checks, target, &stack.manifest).await;
    let results = checks.run((By::Reconciling, Extent::All), clients, target, stack, addressed).await?;
    let Some(results) = results else { return Ok(None) };
    if results.iter().any(|result| result.outcome == CheckOutcome::Failed) {
        let progress = StageProgress::Pending { poll_after: FAILED_POLL, detail: CheckResult::summary(&results) };
        return Ok(Some(Verified { progress, checks: results, ..unready(String::new()) }));
    }
    Ok(Some(Verified { progress: StageProgress::Done, endpoints, pending: missing, checks: results }))
}

/// The Gateway does not serve the environment's names, for a reason that it states. A certificate takes its time; after that what
/// keeps it away is looked for, which only the parent zone's operator may be able to mend.
async fn unserved(
    clients: &ClusterClients,
    checks: &Checks,
    target: &DeployTarget,
    stack: &Stack,
    (addressed, why): (BTreeMap<String, String>, String),
) -> Result<Verified> {
    let none = Verified { progress: pending(&why), endpoints: Vec::new(), pending: Vec::new(), checks: Vec::new() };
    if !checks.is_overdue(target) {
        return Ok(none);
    }
    let run = checks.run((By::Reconciling, Extent::Unserved(&why)), clients, target, stack, addressed);
    let results = run.await?.unwrap_or_default();
    let failed: Vec<CheckResult> =
        results.iter().filter(|result| result.outcome == CheckOutcome::Failed).cloned().collect();
    let detail = if failed.is_empty() { why } else { format!("{why}; {}", CheckResult::summary(&failed)) };
    let progress = StageProgress::Pending { poll_after: FAILED_POLL, detail };
    Ok(Verified { progress, checks: results, ..none })
}

/// Ends rotations that were killed. One that can't be ended keeps nobody from READY: whoever reads the credential, or rotates it again,
/// sees it.
async fn finish_rotations(clients: &ClusterClients, checks: &Checks, target: &DeployTarget, manifest: &Manifest) {
    let all = async {
        let mut read = rotate::Read::new();
        for credential in &manifest.access {
            let of = (credential, ROTATION_TIME_MAX);
            let ended = rotate::finish(checks, clients, target, manifest, of, &mut read).await;
            if let Err(error) = ended {
                tracing::warn!(tenant = %target.name, credential = credential.name, %error, "a rotation that was killed has not ended");
            }
        }
    };
    if timeout(ROTATIONS_TIMEOUT, all).await.is_err() {
        tracing::warn!(tenant = %target.name, "rotations that were killed have not ended in time; they go on with the next resync");
    }
}

/// The checks alone; `None`: too many others run theirs.
pub(crate) async fn check(
    clients: &ClusterClients,
    checks: &Checks,
    target: &DeployTarget,
    stack: &Stack,
) -> Result<Option<Vec<CheckResult>>> {
    let addressed = addressed(clients, target, stack).await?;
    checks.run((By::Request, Extent::All), clients, target, stack, addressed).await
}

/// Address by record, of entry points that have one.
async fn addressed(clients: &ClusterClients, target: &DeployTarget, stack: &Stack) -> Result<BTreeMap<String, String>> {
    let addresses = addresses(clients, target, &stack.manifest).await?.into_iter();
    Ok(addresses.filter_map(|(entry, address)| Some((entry.record.clone(), address?))).collect())
}

/// What a customer needs to know of its servers; `None`: too many others ask.
pub(crate) async fn facts(
    clients: &ClusterClients,
    checks: &Checks,
    target: &DeployTarget,
    stack: &Stack,
) -> Result<Option<AccessFacts>> {
    let addressed = addressed(clients, target, stack).await?;
    Ok(checks.facts(clients, target, &stack.manifest, addressed).await)
}

/// What an address that is not there waits for, and whose work that is.
fn without_address(target: &DeployTarget, manifest: &Manifest, entry: &EntryPoint) -> String {
    match source(target, manifest, entry) {
        Some(source) if entry.service.is_none() => format!(
            "{} {}/{} has no address; whoever operates the cluster provides it and its controller",
            source.object.kind, source.object.namespace, source.object.name
        ),
        Some(source) => format!("Service {} has no load balancer: the class allows none", source.object.name),
        None => "the stack names no Gateway".into(),
    }
}

/// Of the releases' own routes by host name: why a Gateway does not serve it, `None` if it does. Routes that a customer adds
/// decide nothing.
async fn refusals(
    client: &Client,
    namespace: &str,
    own: &BTreeSet<String>,
) -> Result<BTreeMap<String, Option<String>>> {
    let resource = object::resource("gateway.networking.k8s.io/v1", "HTTPRoute");
    let routes: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let found = routes.list(&ListParams::default()).await.doing(|| format!("listing routes in {namespace}"))?;
    let mut refusals = BTreeMap::new();
    for route in found.items.into_iter().filter(|route| own.contains(&route.name_any())) {
        let name = route.name_any();
        let route = serde_json::to_value(&route).unwrap_or_default();
        let refusal = accepted::route_refusal(&route).map(|why| format!("HTTPRoute {name}: {why}"));
        let hosts = route.pointer("/spec/hostnames").and_then(Value::as_array);
        for host in hosts.into_iter().flatten().filter_map(Value::as_str) {
            refusals.insert(host.to_owned(), refusal.clone());
        }
    }
    Ok(refusals)
}

/// Names and addresses for DNS; `None` while a load balancer of our own has no address.
pub(crate) async fn entry_points(
    clients: &ClusterClients,
    checks: &Checks,
    target: &DeployTarget,
    stack: &Stack,
) -> Result<Option<BTreeMap<String, String>>> {
    let mut records = BTreeMap::new();
    for (entry, address) in addresses(clients, target, &stack.manifest).await? {
        match address {
            Some(address) => {
                records.insert(format!("{}.{}", entry.record, target.spec.domain.as_str()), address);
            }
            None if required(target, entry, checks) => return Ok(None),
            None => {}
        }
    }
    Ok(Some(records))
}

/// Where landlord does not see to the Gateway the environment has no web addresses without it, but stands: the class may order
/// otherwise. So it does without load balancers where the class allows none.
fn required(target: &DeployTarget, entry: &EntryPoint, checks: &Checks) -> bool {
    match entry.service {
        Some(_) => target.cluster.shared().is_none_or(|place| place.settings.load_balancers() > 0),
        None => entry.gateway && checks.outside_only(target),
    }
}

/// How a release stands.
enum Release {
    /// Everything of it is as it should be; names of its Services and routes.
    Ready { services: Vec<String>, routes: Vec<String> },
    /// Why not.
    Unready(String),
}

async fn judged(client: &Client, driver: &dyn Driver, release: &str, namespace: &str) -> Result<Release> {
    let found = driver.delivered(client, namespace, release).await?;
    let Some(delivered) = found.filter(|found| found.state == DeliveryState::Delivered) else {
        return Ok(Release::Unready(format!("release {release} is not deployed")));
    };
    Ok(match apply::judge(client, &delivered).await? {
        Judged::Ready => Release::Ready {
            services: names_of(&delivered, "Service", namespace),
            routes: names_of(&delivered, "HTTPRoute", namespace),
        },
        Judged::Waiting(why) | Judged::Missing(why) => Release::Unready(why),
    })
}

fn names_of(delivered: &Delivered, kind: &str, namespace: &str) -> Vec<String> {
    let objects = delivered.objects.iter().flatten();
    let of_kind = objects.filter(|object| object.kind == kind && object.namespace == namespace);
    of_kind.map(|object| object.name.clone()).collect()
}

/// The address of each entry point, if it has one. What several have in common is read once.
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
        assert_eq!(names_of(&delivered, "Service", "n"), ["own"]);
        assert!(names_of(&Delivered { objects: None, ..delivered }, "Service", "n").is_empty());
    }
}
