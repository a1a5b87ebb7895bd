//! Whether a neighbour's pod gets in, tried from one: a Job in another namespace opens connections to the stack's ports. What the
//! policies say is [`closed`](super::closed)'s to judge; here the cluster's network has to enforce them.
//!
//! # Guarantees
//! The Job sends nothing, has no token, and goes by itself a minute after its end, also when this daemon is killed meanwhile.
//!
//! # Assumptions
//! The namespace `default` is no tenant's, and its pods may reach the API server: a pod that does not even reach that one has
//! proved nothing.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Container, Pod, Service},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, LogParams, PostParams},
};
use landlord_kube::markers;
use serde_json::json;
use tokio::time::timeout;

use super::{Ended, Scene, route};
use crate::check::Attempt;

/// Nobody's, and there in every cluster.
const NAMESPACE: &str = "default";
/// The Job's role among a tenant's objects.
const ROLE: &str = "neighbour";
/// A pod that starts, waits for connections that nobody accepts, and ends; its image is on most nodes already.
const JOB_TIMEOUT: Duration = Duration::from_secs(45);
/// How long it stays when nobody deletes it.
const KEPT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Every pod knows where the API server is; the kubelet fills this in.
const API_SERVER: &str = "$(KUBERNETES_SERVICE_HOST) $(KUBERNETES_SERVICE_PORT)";
/// Of the pod's output: a line for each address.
const OUTPUT_BYTES_MAX: i64 = 64 * 1024;
/// Who must do what where a neighbour gets in.
const REMEDY: &str = "see the check of the network policies; where they are right, the cluster's network does not enforce them: \
                      switch its policy engine on";

/// What was tried, of one Service's port.
struct Target {
    /// `HOST PORT`, as the pod gets it.
    address: String,
    /// In words.
    what: String,
}

/// Tries all of them.
pub(super) async fn run(scene: &Scene<'_>, attempt: &Attempt) -> Ended {
    match tried(scene, attempt).await {
        Ok(Outcome::Refused(count)) => {
            Ended::Passed(format!("{count} addresses, tried from a pod in the namespace {NAMESPACE}: none is open"))
        }
        Ok(Outcome::Open(what)) => Ended::failed(format!("a pod in the namespace {NAMESPACE} gets in: {what}"), REMEDY),
        // Whether it holds is not known: `ChecksNotRun` says so.
        Ok(Outcome::NotTried(why)) | Err(why) => Ended::NotRun(why),
    }
}

enum Outcome {
    Refused(usize),
    Open(String),
    NotTried(String),
}

async fn tried(scene: &Scene<'_>, attempt: &Attempt) -> Result<Outcome, String> {
    let (targets, image) = targets(scene, attempt).await?;
    let Some(image) = image else {
        return Ok(Outcome::NotTried(format!("no pod of Service {} has an image to try it with", attempt.image_of)));
    };
    let jobs: Api<Job> = Api::namespaced(scene.clients.admin.clone(), NAMESPACE);
    let made = jobs.create(&PostParams::default(), &job(scene, attempt, &image, &targets)).await;
    let name = made.map_err(|error| format!("no Job can be made in {NAMESPACE}: {error}"))?.name_any();
    let output = timeout(JOB_TIMEOUT, output(scene, &jobs, &name)).await;
    // Its pod goes with it. If this fails it goes by itself.
    let _ = jobs.delete(&name, &DeleteParams::background()).await;
    let output = output.unwrap_or_else(|_| Err(format!("Job {name} has no end within {} s", JOB_TIMEOUT.as_secs())))?;
    Ok(judge(&output, &targets))
}

/// What the lines that the pod has printed say: one for each address that took a connection.
fn judge(output: &str, targets: &[Target]) -> Outcome {
    let open: BTreeSet<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(target) = targets.iter().find(|target| open.contains(target.address.as_str())) {
        return Outcome::Open(target.what.clone());
    }
    // Whatever else is open is the API server.
    if open.is_empty() {
        return Outcome::NotTried("the pod that was to try it reaches not even the API server".into());
    }
    Outcome::Refused(targets.len())
}

/// Each Service's address and each of its pods', and the container whose image can try them.
async fn targets(scene: &Scene<'_>, attempt: &Attempt) -> Result<(Vec<Target>, Option<Container>), String> {
    let (client, namespace) = (&scene.clients.admin, scene.namespace);
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let (mut targets, mut image) = (Vec::new(), None);
    for own in &attempt.ports {
        let service = services.get_opt(&own.name).await;
        let service = service.map_err(|error| format!("reading Service {namespace}/{}: {error}", own.name))?;
        let Some(spec) = service.and_then(|service| service.spec) else { continue };
        let what = format!("port {} of {}", own.port, own.name);
        let mut add = |host: &str, port: u16, by: &str| {
            targets.push(Target { address: format!("{host} {port}"), what: format!("{what}, by {by}") });
        };
        if let Some(address) = spec.cluster_ip.as_deref().filter(|address| !matches!(*address, "" | "None")) {
            add(address, own.port, "its Service's address");
        }
        let target = route::target(&spec, own.port).unwrap_or(IntOrString::Int(own.port.into()));
        for pod in route::pods(client, namespace, &spec.selector.unwrap_or_default()).await? {
            let number = route::number(&pod, &target).unwrap_or(own.port);
            if let Some(address) = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()) {
                add(address, number, &format!("the address of pod {}", pod.name_any()));
            }
            if own.name == attempt.image_of {
                image = image.or(pod.spec.and_then(|spec| spec.containers.into_iter().next()));
            }
        }
    }
    Ok((targets, image))
}

fn job(scene: &Scene<'_>, attempt: &Attempt, image: &Container, targets: &[Target]) -> Job {
    let arguments: Vec<&str> = targets.iter().map(|target| target.address.as_str()).chain([API_SERVER]).collect();
    let labels = markers::labels(scene.target, ROLE);
    let job = json!({
        "metadata": { "generateName": "landlord-neighbour-", "labels": labels },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": JOB_TIMEOUT.as_secs(),
            "ttlSecondsAfterFinished": KEPT.as_secs(),
            "template": { "metadata": { "labels": labels }, "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "neighbour",
                    "image": image.image,
                    "imagePullPolicy": image.image_pull_policy,
                    "command": attempt.command,
                    "args": arguments,
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": { "drop": ["ALL"] },
                    },
                    "resources": {
                        "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "64Mi" },
                    },
                }],
            } },
        },
    });
    serde_json::from_value(job).unwrap_or_default()
}

/// What the Job's pod has printed, once it has ended.
async fn output(scene: &Scene<'_>, jobs: &Api<Job>, name: &str) -> Result<String, String> {
    loop {
        let job = jobs.get(name).await.map_err(|error| format!("reading Job {name}: {error}"))?;
        let status = job.status.unwrap_or_default();
        if status.succeeded.unwrap_or_default() > 0 {
            break;
        }
        if status.failed.unwrap_or_default() > 0 {
            return Err(format!("Job {name} failed: its image cannot run what the stack's check says"));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let pods: Api<Pod> = Api::namespaced(scene.clients.admin.clone(), NAMESPACE);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}")).limit(1);
    let found = pods.list(&of_job).await.map_err(|error| format!("listing the pods of Job {name}: {error}"))?;
    let pod = found.items.first().ok_or_else(|| format!("Job {name} has no pod"))?.name_any();
    let bounded = LogParams { limit_bytes: Some(OUTPUT_BYTES_MAX), ..LogParams::default() };
    pods.logs(&pod, &bounded).await.map_err(|error| format!("reading what pod {pod} printed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_pod_printed_says_what_is_open_and_nothing_at_all_says_nothing() {
        let target = |address: &str| Target { address: address.into(), what: format!("port of {address}") };
        let targets = [target("10.0.0.1 5432"), target("10.0.0.2 8080")];
        let api_server = "10.96.0.1 443\n";
        assert!(matches!(judge(api_server, &targets), Outcome::Refused(2)));
        let open = judge(&format!("{api_server}10.0.0.2 8080\n"), &targets);
        assert!(matches!(open, Outcome::Open(what) if what == "port of 10.0.0.2 8080"));
        assert!(matches!(judge("", &targets), Outcome::NotTried(_)));
    }
}
