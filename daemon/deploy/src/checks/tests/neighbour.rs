//! A neighbour that tries to get in: what it runs, where, and how often.

use async_trait::async_trait;
use kube::Client;
use landlord_core::{
    ports::{CheckOutcome, DeployTarget},
    revision::RevisionId,
};
use serde_json::{Value, json};

use super::{Broken, Lab, World, target};
use crate::driver::{Content, Delivered, Driver, ReleaseRef, Removal};

/// A pod of the stack.
pub(super) fn stacks_pod() -> Value {
    json!({
        "metadata": { "name": "vectors-0", "labels": { "app": "vectors" } },
        "spec": { "containers": [{ "name": "vectors", "image": "vectors:1" }] },
        "status": { "podIP": "10.245.0.9", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// One that its customer made, with the same labels; it is not ready.
pub(super) fn customers_pod() -> Value {
    json!({
        "metadata": { "name": "evil", "labels": { "app": "vectors" } },
        "spec": { "containers": [{ "name": "evil", "image": "evil:1" }] },
        "status": { "podIP": "10.245.0.66" },
    })
}

/// One that a killed run made, and will never let go.
pub(super) fn abandoned_job() -> Value {
    json!({
        "metadata": {
            "name": "abandoned", "uid": "u0", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "suspend": true, "template": {} },
    })
}

/// Renders every release to the same workload.
pub(crate) struct Rendering;

#[async_trait]
impl Driver for Rendering {
    async fn manifest(&self, release: ReleaseRef<'_>, content: Content<'_>) -> crate::Result<String> {
        assert!(content.values.get("evil").is_none(), "a tenant's own values");
        Ok(format!(
            "kind: Deployment\nspec: {{ template: {{ spec: {{ containers: [{{ image: '{}:pinned' }}] }} }} }}\n",
            release.release
        ))
    }

    async fn deliver(&self, _: &Client, _: ReleaseRef<'_>, _: Content<'_>) -> crate::Result<()> {
        unreachable!("checks deliver nothing")
    }

    async fn delivered(&self, _: &Client, _: &str, _: &str) -> landlord_kube::Result<Option<Delivered>> {
        unreachable!("checks deliver nothing")
    }

    async fn remove(&self, _: &Client, _: ReleaseRef<'_>) -> crate::Result<Removal> {
        unreachable!("checks remove nothing")
    }
}

impl World {
    /// The neighbour's pod, which has ended.
    pub(super) fn neighbour(&self) -> Value {
        let open = if self.is(Broken::Engine) { "open" } else { "closed" };
        let lines = format!("closed 10.100.0.7 5432\n{open} 10.245.0.9 5432\nopen 10.96.0.1 443\n");
        let ended = match self.is(Broken::Program) {
            true => json!({ "exitCode": 1, "message": "Traceback (most recent call last):\nImportError: socket\n" }),
            false => json!({ "exitCode": 0, "message": lines }),
        };
        let status = json!({
            "name": "neighbour", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
            "state": { "terminated": ended },
        });
        json!({ "metadata": { "name": "neighbour-0" }, "status": { "containerStatuses": [status] } })
    }

    /// What is written into the namespace of checks.
    pub(super) fn written(&self, method: &http::Method, path: &str, body: &[u8]) -> Option<(u16, Value)> {
        let of_checks = path.contains("/landlord-test-checks");
        if !of_checks || matches!(*method, http::Method::GET) {
            return None;
        }
        let mut object: Value = serde_json::from_slice(body).unwrap_or_default();
        let kind = path.split('/').find(|part| ["jobs", "networkpolicies"].contains(part)).unwrap_or_default();
        if path.ends_with("/jobs") {
            self.jobs.lock().push(object.clone());
            object["metadata"]["uid"] = json!("u1");
        }
        let owner = object["metadata"]["ownerReferences"][0]["uid"].clone();
        let suspended = object["spec"]["suspend"].clone();
        if !kind.is_empty() && !path.ends_with("/default-deny") {
            let what = path.rsplit('/').next().filter(|name| name.contains("abandoned")).unwrap_or(kind);
            self.writes.lock().push(format!("{method} {what}, suspended: {suspended}, of: {owner}"));
        }
        if self.is(Broken::NoPolicies) && path.ends_with("/networkpolicies") {
            return Some((403, json!({ "code": 403, "reason": "Forbidden", "message": "no", "status": "Failure" })));
        }
        Some((200, object))
    }
}

#[tokio::test]
async fn a_neighbour_runs_what_the_stack_renders_in_a_namespace_of_its_own() {
    let mut lab = Lab::start().await;
    let mut target = target();
    target.spec.stack_values = json!({ "vectors": { "evil": true } }).as_object().cloned().unwrap();
    let results = lab.run(Broken::Nothing, &target).await;
    let detail = &results["attempt"].detail;
    assert!(detail.starts_with("2 addresses, tried from a pod in the namespace landlord-test-checks"), "{detail}");
    let jobs = lab.world.jobs.lock().clone();
    let pod = &jobs[0]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "vectors:pinned", "not what a pod of a customer's runs");
    assert_eq!(container["args"], json!(["10.100.0.7 5432", "10.245.0.9 5432", "10.96.0.1 443"]));
    assert!(container["resources"]["limits"]["cpu"].is_string() && pod["automountServiceAccountToken"] == false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    lab.servers.shutdown().await;
}

/// Whoever is killed in between leaves nothing that does not go with the Job, and a Job that the next run removes.
#[tokio::test]
async fn a_policy_is_its_jobs_from_the_beginning_and_a_job_without_one_runs_nothing() {
    let mut lab = Lab::start().await;
    lab.run(Broken::Nothing, &target()).await;
    let writes = lab.world.writes.lock().split_off(0);
    let expected = [
        "DELETE abandoned, suspended: null, of: null",
        "POST jobs, suspended: true, of: null",
        "POST networkpolicies, suspended: null, of: \"u1\"",
        "PATCH jobs, suspended: false, of: null",
        "DELETE jobs, suspended: null, of: null",
    ];
    assert_eq!(writes, expected);
    lab.checks.seldom = super::Seldom::default();
    let results = lab.run(Broken::NoPolicies, &target()).await;
    assert_eq!(results["attempt"].outcome, CheckOutcome::NotRun, "{:?}", results["attempt"]);
    let writes = lab.world.writes.lock().split_off(0);
    assert_eq!(writes.last().unwrap(), "DELETE jobs, suspended: null, of: null", "{writes:?}");
    assert!(!writes.iter().any(|write| write.starts_with("PATCH")), "{writes:?}");
    lab.servers.shutdown().await;
}

#[tokio::test]
async fn what_can_not_be_tried_is_not_tried_again_at_once_and_another_generation_is() {
    let mut lab = Lab::start().await;
    let tried = |lab: &Lab| lab.world.jobs.lock().len();
    for _ in 0..2 {
        let results = lab.run(Broken::Program, &target()).await;
        let attempt = &results["attempt"];
        assert_eq!(attempt.outcome, CheckOutcome::NotRun, "{attempt:?}");
        assert!(attempt.detail.contains("ended with 1: ImportError"), "{attempt:?}");
        assert_eq!(tried(&lab), 1);
    }
    let changed = DeployTarget { generation: 2, ..target() };
    assert_eq!(lab.run(Broken::Nothing, &changed).await["attempt"].outcome, CheckOutcome::Passed);
    let revised = DeployTarget { revision: Some(RevisionId::of_digest(&"a".repeat(64)).unwrap()), ..target() };
    assert_eq!(lab.run(Broken::Engine, &revised).await["attempt"].outcome, CheckOutcome::Failed);
    assert_eq!(tried(&lab), 3);
    lab.servers.shutdown().await;
}
