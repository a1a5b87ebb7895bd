//! Where a neighbour's pod runs: a namespace of landlord's own, one in each cluster, under Pod Security `restricted`. A policy of
//! each run lets its pod out to what it tries, and to nothing else.
//!
//! # Guarantees
//! Nothing in the namespace is a tenant's. A run's policy is made as its Job's, and goes with it; the namespace stays until the
//! installation leaves the cluster.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use k8s_openapi::api::{
    batch::v1::Job, core::v1::Service, discovery::v1::EndpointSlice, networking::v1::NetworkPolicy,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use landlord_core::isolation::PodSecurityVersion;
use landlord_kube::{
    absent::since,
    apply::apply_all,
    markers::{self, CHECKS_ROLE, INSTALLATION, ROLE},
    object::Wanted,
};
use serde_json::{Value, json};

use super::Scene;

/// The API server as every pod knows it.
const API_SERVER: (&str, &str) = ("default", "kubernetes");
/// Between making a Job and letting it go lie two requests; clocks may differ.
const LETTING_GO_AT_MOST: Duration = Duration::from_secs(60);
/// The role of a run's objects.
pub(super) const RUN_ROLE: &str = "neighbour";

/// Where connections may go: an address, and the port there.
pub(super) type Place = (IpAddr, u16);

/// The cluster's API server.
pub(super) struct ApiServer {
    /// Its Service's.
    pub(super) address: Place,
    /// Its own: whatever leads to a Service writes these into packets, before or after policies are asked.
    pub(super) behind: Vec<Place>,
}

/// Where the cluster's API server is.
pub(super) async fn api_server(client: &Client) -> Result<ApiServer, String> {
    let (namespace, name) = API_SERVER;
    let failed = |error: kube::Error| format!("reading the Service of the API server: {error}");
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let spec = services.get(name).await.map_err(failed)?.spec.unwrap_or_default();
    let port = spec.ports.iter().flatten().find_map(|port| u16::try_from(port.port).ok());
    let host = spec.cluster_ip.and_then(|address| address.parse().ok());
    let address = host.zip(port).ok_or("the Service of the API server has no address")?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let slice = slices.get_opt(name).await.map_err(failed)?;
    Ok(ApiServer { address, behind: slice.iter().flat_map(places).collect() })
}

fn places(slice: &EndpointSlice) -> Vec<Place> {
    let ports = || slice.ports.iter().flatten().filter_map(|port| u16::try_from(port.port?).ok());
    let hosts = slice.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.addresses);
    let hosts = hosts.filter_map(|address| address.parse::<IpAddr>().ok());
    hosts.flat_map(|host| ports().map(move |port| (host, port))).collect()
}

/// Makes the namespace exist, closed both ways.
pub(super) async fn ensure(client: &Client, installation: &str) -> Result<(), String> {
    let selector = markers::role_selector(installation, CHECKS_ROLE);
    for wanted in objects(installation) {
        // One after the other: the policy lies in the namespace.
        let applied = apply_all(client, std::slice::from_ref(&wanted), &selector, false).await;
        applied.map_err(|error| format!("{}: {error}", wanted.what()))?;
    }
    Ok(())
}

fn objects(installation: &str) -> [Wanted; 2] {
    let name = markers::checks_namespace(installation);
    let mut labels = json!({ INSTALLATION: installation, ROLE: CHECKS_ROLE });
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "default-deny", "namespace": name, "labels": labels },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
    });
    for (key, value) in markers::pod_security(PodSecurityVersion::default()) {
        labels[key] = json!(value);
    }
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
    [Wanted::new(namespace), Wanted::new(policy)]
}

/// Removes Jobs that no run will let go any more, with their policies: whoever made one was killed before. Policies without a Job are of
/// earlier releases.
pub(super) async fn sweep(client: &Client, installation: &str) -> Result<(), String> {
    let namespace = markers::checks_namespace(installation);
    let of_runs = ListParams::default().labels(&markers::role_selector(installation, RUN_ROLE));
    let (jobs, policies): (Api<Job>, Api<NetworkPolicy>) =
        (Api::namespaced(client.clone(), &namespace), Api::namespaced(client.clone(), &namespace));
    let failed = |error: kube::Error| format!("removing what killed runs left in {namespace}: {error}");
    for job in jobs.list(&of_runs).await.map_err(failed)? {
        let is_suspended = job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true));
        if is_suspended && is_left(&job.metadata) {
            // By its uid: it may have been let go meanwhile, or be another one's.
            let only = DeleteParams::background().preconditions(Preconditions {
                uid: job.metadata.uid.clone(),
                resource_version: job.metadata.resource_version.clone(),
            });
            gone(jobs.delete(&job.name_any(), &only).await.map(drop)).map_err(failed)?;
        }
    }
    for policy in policies.list(&of_runs).await.map_err(failed)? {
        if policy.metadata.owner_references.iter().flatten().next().is_none() && is_left(&policy.metadata) {
            gone(policies.delete(&policy.name_any(), &DeleteParams::default()).await.map(drop)).map_err(failed)?;
        }
    }
    Ok(())
}

/// Somebody else may remove it at the same moment, or let it go.
fn gone(deleted: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match deleted {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other,
    }
}

/// Whether whoever made it can't be at work on it any more.
fn is_left(metadata: &ObjectMeta) -> bool {
    metadata.creation_timestamp.as_ref().is_some_and(|made| since(made) > LETTING_GO_AT_MOST)
}

/// Lets the pod of a Job out to `places`, and to these ports of any pod in the tenant's namespace: not every policy engine takes an
/// address for a pod, and what this policy closed the check would take for closed by the tenant's. The policy is the Job's, whoever
/// deletes that.
pub(super) async fn open(
    scene: &Scene<'_>,
    job: &Job,
    (api_server, places): (&ApiServer, &[Place]),
) -> Result<(), String> {
    let run = job.name_any();
    let mut policy = policy(scene, &run, (api_server, places));
    policy.metadata.owner_references = Some(vec![job.owner_ref(&()).ok_or("the API server gave a Job no uid")?]);
    let made = policies(scene).create(&PostParams::default(), &policy).await;
    made.map(drop).map_err(|error| format!("making NetworkPolicy {run}: {error}"))
}

fn policies(scene: &Scene<'_>) -> Api<NetworkPolicy> {
    Api::namespaced(scene.clients.admin.clone(), &markers::checks_namespace(&scene.target.installation))
}

fn policy(scene: &Scene<'_>, run: &str, (api_server, places): (&ApiServer, &[Place])) -> NetworkPolicy {
    let numbers: BTreeSet<u16> = places.iter().map(|(_, port)| *port).collect();
    let ports: Vec<Value> = numbers.iter().map(|port| json!({ "protocol": "TCP", "port": port })).collect();
    let tenant = json!({
        "to": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": scene.namespace } } }],
        "ports": ports,
    });
    let single = places.iter().chain([&api_server.address]).chain(&api_server.behind);
    let single = single.map(|(host, port)| {
        let bits = if host.is_ipv4() { 32 } else { 128 };
        let block = json!({ "ipBlock": { "cidr": format!("{host}/{bits}") } });
        json!({ "to": [block], "ports": [{ "protocol": "TCP", "port": port }] })
    });
    let policy = json!({
        "metadata": { "name": run, "labels": markers::labels(scene.target, RUN_ROLE) },
        "spec": {
            "podSelector": { "matchLabels": { "batch.kubernetes.io/job-name": run } },
            "policyTypes": ["Ingress", "Egress"],
            "egress": std::iter::once(tenant).chain(single).collect::<Vec<_>>(),
        },
    });
    serde_json::from_value(policy).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_restricted_and_closed_both_ways() {
        let [namespace, policy] = objects("acme");
        assert_eq!(namespace.name, "landlord-acme-checks");
        let labels = &namespace.body["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(labels["pod-security.kubernetes.io/enforce-version"], "v1.34");
        assert_eq!(labels[ROLE], CHECKS_ROLE);
        assert_eq!(policy.namespace.as_deref(), Some("landlord-acme-checks"));
        assert_eq!(
            policy.body["spec"],
            json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
            "nothing is let in or out"
        );
    }
}
