//! Whether a neighbour's pod gets in, tried from one: a Job in a namespace of landlord's own opens connections to the stack's ports.
//! What the policies say is [`closed`](super::closed)'s to judge; here the cluster's network has to enforce them.
//!
//! # Expected flow
//! What is tried is found out, the [image](super::image) rendered, the Job made, suspended, the [fence](super::fence) made for it, the
//! Job let go. Its program writes a line for each address, and is believed only where all of them are there, that of the API server says
//! `open`, and it ended with 0.
//!
//! # Guarantees
//! The Job sends nothing, has no token, and goes by itself a minute after its end, also when this daemon is killed meanwhile, and its
//! policy with it. One that was never let go the next run in the cluster removes. Nothing of what it runs is taken from the cluster.
//!
//! # Assumptions
//! Pods may reach the API server: one that does not even reach that has proved nothing.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerState, Pod, Service},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use landlord_kube::markers;
use serde_json::json;
use tokio::time::timeout;

use super::{
    Ended, Scene,
    fence::{self, ApiServer, Place, RUN_ROLE},
    image::{self, Image},
    route,
};
use crate::check::{Attempt, ServicePort};

/// A pod that starts, waits for connections that nobody accepts, and ends; its image is on most nodes already.
const JOB_TIMEOUT: Duration = Duration::from_secs(45);
/// How long it stays when nobody deletes it.
const KEPT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Where the program writes its lines, apart from whatever else it prints; Kubernetes keeps 4096 bytes of it.
const RESULT: &str = "/dev/termination-log";
/// Addresses tried: their lines fit into that, also when all of them are of IPv6.
const TARGETS_MAX: usize = 64;
/// What a container waits for that does not come by itself.
const HOPELESS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
];
/// Of what the program printed, in a cause.
const SHOWN_CHARS_MAX: usize = 200;
/// Who must do what where a neighbour gets in.
const REMEDY: &str = "see the check of the network policies; where they are right, the cluster's network does not enforce them: \
                      switch its policy engine on";

/// What was tried, of one Service's port.
struct Target {
    place: Place,
    /// In words.
    what: String,
}

/// How the pod ended.
struct Ran {
    exit_code: i32,
    /// Its lines; where it failed without any, the end of what it printed.
    result: String,
}

/// As the program gets it, and writes it.
fn address((host, port): Place) -> String {
    format!("{host} {port}")
}

/// Tries all of them.
pub(super) async fn run(scene: &Scene<'_>, attempt: &Attempt) -> Ended {
    let from = markers::checks_namespace(&scene.target.installation);
    match tried(scene, attempt).await {
        Ok(Outcome::Refused(count)) => {
            Ended::Passed(format!("{count} addresses, tried from a pod in the namespace {from}: none is open"))
        }
        Ok(Outcome::Open(what)) => Ended::failed(format!("a pod in the namespace {from} gets in: {what}"), REMEDY),
        // Whether it holds is not known: `ChecksNotRun` says so.
        Ok(Outcome::NotTried(why)) | Err(why) => Ended::NotRun(why),
    }
}

#[derive(Debug)]
enum Outcome {
    Refused(usize),
    Open(String),
    NotTried(String),
}

async fn tried(scene: &Scene<'_>, attempt: &Attempt) -> Result<Outcome, String> {
    let client = &scene.clients.admin;
    let image = image::of_release(scene, attempt).await?;
    let mut targets = Vec::new();
    for own in &attempt.ports {
        targets.extend(of_service(client, scene.namespace, own).await?);
    }
    if targets.is_empty() {
        return Err("none of the Services that it tries is there".into());
    }
    // Services' own addresses first: pods are as many as somebody likes.
    targets.sort_by_key(|(rank, _)| *rank);
    let targets: Vec<Target> = targets.into_iter().take(TARGETS_MAX).map(|(_, target)| target).collect();
    let api_server = fence::api_server(client).await?;
    fence::ensure(client, &scene.target.installation).await?;
    fence::sweep(client, &scene.target.installation).await?;
    let name = format!("neighbour-{:016x}", rand::random::<u64>());
    let places: Vec<Place> = targets.iter().map(|target| target.place).collect();
    let job = job(scene, attempt, &name, &image, (&api_server, &places));
    let ran = run_job(scene, &name, &job, (&api_server, &places)).await?;
    Ok(judge(&ran, &targets, &address(api_server.address)))
}

/// What the program's lines say.
fn judge(ran: &Ran, targets: &[Target], api_server: &str) -> Outcome {
    if ran.exit_code != 0 {
        let said = shown(ran.result.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing"));
        return Outcome::NotTried(format!("the pod that was to try it ended with {}: {said}", ran.exit_code));
    }
    let addresses: Vec<String> = targets.iter().map(|target| address(target.place)).collect();
    let mut seen = BTreeMap::new();
    for line in ran.result.lines() {
        let (said, of) = line.split_once(' ').unwrap_or((line, ""));
        let known = of == api_server || addresses.iter().any(|own| own == of);
        if !known || !matches!(said, "open" | "closed") {
            return Outcome::NotTried(format!("the pod that was to try it wrote {:?}", shown(line)));
        }
        seen.insert(of, said);
    }
    if seen.get(api_server) != Some(&"open") {
        return Outcome::NotTried("the pod that was to try it reaches not even the API server".into());
    }
    for (target, address) in targets.iter().zip(&addresses) {
        match seen.get(address.as_str()) {
            Some(&"closed") => {}
            Some(_) => return Outcome::Open(target.what.clone()),
            None => return Outcome::NotTried(format!("the pod that was to try it says nothing of {}", target.what)),
        }
    }
    Outcome::Refused(targets.len())
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// A Service's address and each of its ready pods', the Service's first. Where nobody listens, a closed port proves nothing. One that is
/// missing nobody gets in by: an environment may use a model server outside, and has none of its own.
async fn of_service(client: &Client, namespace: &str, own: &ServicePort) -> Result<Vec<(u8, Target)>, String> {
    let ServicePort { name, port } = own;
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = services.get_opt(name).await;
    let service = service.map_err(|error| format!("reading Service {namespace}/{name}: {error}"))?;
    let Some(spec) = service.and_then(|service| service.spec) else { return Ok(Vec::new()) };
    let target = route::target(&spec, *port).ok_or_else(|| format!("Service {name} has no port {port}"))?;
    let mut found = Vec::new();
    let mut add = |rank: u8, host: Option<&str>, port: u16, by: &str| {
        let Some(host) = host.and_then(|host| host.parse::<IpAddr>().ok()) else { return };
        let what = format!("port {} of {name}, by {by}", own.port);
        found.push((rank, Target { place: (host, port), what }));
    };
    add(0, spec.cluster_ip.as_deref(), *port, "its Service's address");
    let mut any = false;
    for pod in route::pods(client, namespace, &spec.selector.unwrap_or_default()).await? {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        if let Some(number) = route::number(&pod, &target).filter(|_| address.is_some() && route::is_ready(&pod)) {
            add(1, address, number, &format!("the address of pod {}", pod.name_any()));
            any = true;
        }
    }
    if any { Ok(found) } else { Err(format!("no pod of Service {name} is ready")) }
}

fn job(
    scene: &Scene<'_>,
    attempt: &Attempt,
    name: &str,
    image: &Image,
    (api_server, places): (&ApiServer, &[Place]),
) -> Job {
    let arguments: Vec<String> = places.iter().chain([&api_server.address]).copied().map(address).collect();
    let labels = markers::labels(scene.target, RUN_ROLE);
    let job = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            // Until its policy is there, which goes with it.
            "suspend": true,
            "backoffLimit": 0,
            "activeDeadlineSeconds": JOB_TIMEOUT.as_secs(),
            "ttlSecondsAfterFinished": KEPT.as_secs(),
            "template": { "metadata": { "labels": labels }, "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "hostNetwork": false, "hostPID": false, "hostIPC": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "neighbour",
                    "image": image.name,
                    "imagePullPolicy": image.pull_policy,
                    "command": attempt.command,
                    "args": arguments,
                    "env": [{ "name": "RESULT", "value": RESULT }],
                    "terminationMessagePath": RESULT,
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": { "drop": ["ALL"] },
                    },
                    "resources": {
                        "requests": { "cpu": "10m", "memory": "32Mi", "ephemeral-storage": "1Mi" },
                        "limits": { "cpu": "500m", "memory": "64Mi", "ephemeral-storage": "16Mi" },
                    },
                }],
            } },
        },
    });
    serde_json::from_value(job).unwrap_or_default()
}

/// Runs it, and takes it away again.
async fn run_job(scene: &Scene<'_>, name: &str, job: &Job, places: (&ApiServer, &[Place])) -> Result<Ran, String> {
    let namespace = markers::checks_namespace(&scene.target.installation);
    let jobs: Api<Job> = Api::namespaced(scene.clients.admin.clone(), &namespace);
    let made = jobs.create(&PostParams::default(), job).await;
    let made = made.map_err(|error| format!("no Job can be made in {namespace}: {error}"))?;
    let ran = async {
        fence::open(scene, &made, places).await?;
        let go = Patch::Merge(json!({ "spec": { "suspend": false } }));
        let gone = jobs.patch(name, &PatchParams::default(), &go).await;
        gone.map_err(|error| format!("Job {name} is not let go: {error}"))?;
        let pods: Api<Pod> = Api::namespaced(scene.clients.admin.clone(), &namespace);
        let ended = timeout(JOB_TIMEOUT, ended(&pods, name)).await;
        ended.unwrap_or_else(|_| Err(format!("Job {name} has no end within {} s", JOB_TIMEOUT.as_secs())))
    };
    let ran = ran.await;
    // Its pod and its policy go with it. If this fails they go by themselves.
    let _ = jobs.delete(name, &DeleteParams::background()).await;
    ran
}

/// How the Job's pod has ended, once it has.
async fn ended(pods: &Api<Pod>, name: &str) -> Result<Ran, String> {
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}")).limit(1);
    loop {
        let found = pods.list(&of_job).await.map_err(|error| format!("listing the pods of Job {name}: {error}"))?;
        if let Some(ran) = found.items.into_iter().next().map(end).transpose()?.flatten() {
            return Ok(ran);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// How a pod has ended; `None`: it has not. An error: it never starts.
fn end(pod: Pod) -> Result<Option<Ran>, String> {
    let name = pod.name_any();
    let status = pod.status.unwrap_or_default();
    let container = status.container_statuses.into_iter().flatten().next();
    let state = container.and_then(|container| container.state).unwrap_or_default();
    match state {
        ContainerState { terminated: Some(ended), .. } => {
            Ok(Some(Ran { exit_code: ended.exit_code, result: ended.message.unwrap_or_default() }))
        }
        ContainerState { waiting: Some(waiting), .. } => {
            let reason = waiting.reason.unwrap_or_default();
            if HOPELESS.contains(&reason.as_str()) {
                let why = shown(&waiting.message.unwrap_or_default());
                return Err(format!("pod {name} that was to try it can't start: {reason}: {why}"));
            }
            Ok(None)
        }
        _ if status.phase.as_deref() == Some("Failed") => {
            let why = shown(&status.message.or(status.reason).unwrap_or_default());
            Err(format!("pod {name} that was to try it has failed: {why}"))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API_SERVER: &str = "10.96.0.1 443";

    fn judged(exit_code: i32, result: &str) -> Outcome {
        let target =
            |host: &str, port: u16| Target { place: (host.parse().unwrap(), port), what: format!("port {port}") };
        let targets = [target("10.0.0.1", 5432), target("fd00::2", 8080)];
        judge(&Ran { exit_code, result: result.into() }, &targets, API_SERVER)
    }

    #[test]
    fn what_the_pod_wrote_says_what_is_open_and_nothing_at_all_says_nothing() {
        let both = "closed 10.0.0.1 5432\nclosed fd00::2 8080\n";
        assert!(matches!(judged(0, &format!("{both}open {API_SERVER}\n")), Outcome::Refused(2)));
        let open = format!("closed 10.0.0.1 5432\nopen fd00::2 8080\nopen {API_SERVER}\n");
        assert!(matches!(judged(0, &open), Outcome::Open(what) if what == "port 8080"));
        // Each of them proves nothing.
        for (exit_code, result, cause) in [
            (0, String::new(), "not even the API server"),
            (0, both.to_owned(), "not even the API server"),
            (0, format!("{both}closed {API_SERVER}\n"), "not even the API server"),
            (1, format!("{both}open {API_SERVER}\n"), "ended with 1"),
            (0, format!("open {API_SERVER}\n"), "says nothing of port 5432"),
            (0, format!("closed 10.0.0.1 5432\nopen {API_SERVER}\n"), "says nothing of port 8080"),
            (0, format!("{both}{API_SERVER}\n"), "wrote"),
            (0, format!("{both}open {API_SERVER}\nopen 10.0.0.1 54"), "wrote \"open 10.0.0.1 54\""),
            (0, format!("{both}open {API_SERVER} \n"), "wrote"),
        ] {
            let outcome = judged(exit_code, &result);
            assert!(matches!(&outcome, Outcome::NotTried(why) if why.contains(cause)), "{result:?}: {outcome:?}");
        }
    }

    #[test]
    fn a_program_that_broke_has_tried_nothing() {
        let traceback = "Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\n\
                         ModuleNotFoundError: No module named 'socket'\n";
        let outcome = judged(1, traceback);
        let said = "ended with 1: ModuleNotFoundError: No module named 'socket'";
        assert!(matches!(&outcome, Outcome::NotTried(why) if why.contains(said)), "{outcome:?}");
        // Of a thread of its own: the program ends well all the same.
        assert!(matches!(judged(0, traceback), Outcome::NotTried(why) if why.contains("wrote \"Traceback")));
        let both = format!("{traceback}closed 10.0.0.1 5432\nclosed fd00::2 8080\nopen {API_SERVER}\n");
        assert!(matches!(judged(0, &both), Outcome::NotTried(why) if why.contains("wrote \"Traceback")));
    }

    #[test]
    fn a_pod_that_never_starts_is_not_waited_for() {
        let pod = |status: serde_json::Value| -> Pod {
            serde_json::from_value(json!({ "metadata": { "name": "n" }, "status": status })).unwrap()
        };
        let state = |state: serde_json::Value| {
            pod(json!({ "containerStatuses": [{
            "name": "neighbour", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": state,
        }] }))
        };
        let ended = end(state(json!({ "terminated": { "exitCode": 3, "message": "m" } }))).unwrap().unwrap();
        assert_eq!((ended.exit_code, ended.result.as_str()), (3, "m"));
        assert!(end(pod(json!({ "phase": "Pending" }))).unwrap().is_none());
        assert!(end(state(json!({ "waiting": { "reason": "ContainerCreating" } }))).unwrap().is_none());
        let hopeless = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "401" } });
        assert!(end(state(hopeless)).err().unwrap().contains("ImagePullBackOff: 401"));
        let evicted = json!({ "phase": "Failed", "reason": "Evicted" });
        assert!(end(pod(evicted)).err().unwrap().contains("Evicted"));
    }
}
