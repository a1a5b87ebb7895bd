//! Makes the isolation exist and stay, and observes whether the API server refuses what it shall refuse.

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{Namespace, Pod, ResourceQuota},
    scheduling::v1::PriorityClass,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    isolation::SharedTarget,
    ports::{DeployTarget, StageProgress},
};
use serde_json::{Value, json};

use crate::{
    admission::{self, Host},
    gateway,
    namespace::{self, ROUTES_QUOTA},
    network, rbac,
    served::Served,
};
use landlord_kube::{
    Doing as _, Error, Result,
    absent::{exactly, gone_is_fine, since},
    apply::apply_all,
    differs,
    gateway_api::{self, Crds, Routing},
    markers::{FIELD_MANAGER, POOL_KEY, is_ours, selector},
    object::Wanted,
    progress::pending,
};

/// A quota is counted within a second or two of its making, if at all.
const RECOUNT_AFTER: Duration = Duration::from_secs(5);

/// Everything in its order: the cluster's policies, the namespace with its labels, what stands in it, an observation, then rights.
pub(crate) async fn ensure(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    served: Option<&Served>,
    crds: Option<&Crds>,
) -> crate::Result<StageProgress> {
    match observe_and_apply(client, target, place, served, crds).await {
        Err(error) if error.is_initializing() => Ok(pending("the API server is getting ready to store new kinds")),
        other => other,
    }
}

async fn observe_and_apply(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    served: Option<&Served>,
    crds: Option<&Crds>,
) -> crate::Result<StageProgress> {
    // First, since the quota counts routes only where they are known.
    if let Some(detail) = gateway_api::ensure(client, target, crds).await? {
        return Ok(pending(detail));
    }
    let routing = gateway_api::routing(client).await?;
    let routes = routing != Routing::Unknown;
    let host = host(client, &target.installation).await?;
    apply_all(client, &admission::policies(host), &format!("landlord-installation={}", target.installation), true)
        .await?;
    if let Some(ending) = ensure_namespace(client, target, place).await? {
        return Ok(pending(ending));
    }
    let from = served.map(|served| served.gateway.namespace.as_str());
    apply_all(client, &objects(target, place, from, routes), &selector(target), true).await?;
    let mut unissued = None;
    if let (Some(shared), Some(served)) = (place.settings.gateway(), served) {
        unissued = gateway::ensure(client, target, place, (shared, served), routing).await?;
    } else if routes {
        gateway::remove(client, target, place).await?;
    }
    if let Some(detail) = not_yet_enforced(client, target, place).await? {
        return Ok(pending(detail));
    }
    // Nobody gets in before the isolation is seen to stand.
    apply_all(client, &rbac::roles(target, place), &selector(target), true).await?;
    Ok(unissued.map_or(StageProgress::Done, pending))
}

/// All of it as one YAML file (JSON is YAML).
pub(crate) fn manifest(target: &DeployTarget, place: &SharedTarget, gateway: Option<&str>) -> String {
    let host = Host { installation: &target.installation, priority_max: 0, mutating: true };
    let mut all = admission::policies(host);
    all.push(namespace::namespace(target, place));
    all.extend(objects(target, place, gateway, true));
    all.extend(rbac::roles(target, place));
    all.into_iter().map(|wanted| format!("---\n{}\n", wanted.body)).collect()
}

/// What stands in the namespace.
fn objects(target: &DeployTarget, place: &SharedTarget, gateway: Option<&str>, routes: bool) -> Vec<Wanted> {
    let mut all = vec![
        namespace::quota(target, place),
        namespace::affinity_quota(target, place),
        namespace::limits(target, place),
    ];
    all.extend(routes.then(|| namespace::routes_quota(target, place)));
    all.extend(network::policies(target, place, gateway));
    all.extend(namespace::accounts(target, place));
    all
}

async fn host<'a>(client: &Client, installation: &'a str) -> Result<Host<'a>> {
    let classes: Api<PriorityClass> = Api::all(client.clone());
    let classes = classes.list(&ListParams::default()).await.doing(|| "listing priority classes".into())?;
    let default = classes.items.iter().find(|class| class.global_default == Some(true));
    let group = "admissionregistration.k8s.io/v1";
    let resources =
        client.list_api_group_resources(group).await.doing(|| format!("asking for the resources of {group}"))?;
    let known = |plural: &str| resources.resources.iter().any(|resource| resource.name == plural);
    if !known("validatingadmissionpolicies") {
        return Err(Error::Lacking {
            what: "the host cluster knows no validating admission policies".into(),
            remedy: "upgrade it to Kubernetes 1.30 or newer: without them tenants can't be kept apart",
        });
    }
    let priority_max = default.and_then(|class| class.value).map_or(0, i64::from);
    Ok(Host { installation, priority_max, mutating: known("mutatingadmissionpolicies") })
}

/// Names, markers and labels in one call. Says what is being waited for while an earlier namespace of that name ends.
async fn ensure_namespace(client: &Client, target: &DeployTarget, place: &SharedTarget) -> Result<Option<String>> {
    let wanted = namespace::namespace(target, place);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let name = place.namespace.as_str();
    let doing = || format!("making namespace {name}");
    let Some(found) = namespaces.get_opt(name).await.doing(|| format!("reading namespace {name}"))? else {
        let body = serde_json::from_value(wanted.body).unwrap_or_default();
        return namespaces.create(&PostParams::default(), &body).await.map(|_| None).doing(doing);
    };
    if !is_ours(found.metadata.labels.as_ref(), target) {
        return Err(Error::NameTaken { what: format!("namespace {name}") });
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(Some(format!("namespace {name} is ending; it is made again when it is gone")));
    }
    if differs(&wanted.body, &serde_json::to_value(&found).unwrap_or_default()) {
        tracing::info!(namespace = name, "the namespace's labels are reconciled");
        let params = PatchParams::apply(FIELD_MANAGER).force();
        namespaces.patch(name, &params, &Patch::Apply(&wanted.body)).await.doing(doing)?;
    }
    Ok(None)
}

/// What the API server does not refuse or count yet: it learns of policies, labels and quotas a moment after they are
/// written. Probed by pods that are never made.
async fn not_yet_enforced(client: &Client, target: &DeployTarget, place: &SharedTarget) -> Result<Option<String>> {
    let name = place.namespace.as_str();
    let api: Api<ResourceQuota> = Api::namespaced(client.clone(), name);
    let quotas = api.list(&ListParams::default()).await.doing(|| format!("reading the quota of {name}"))?;
    for quota in &quotas.items {
        let Some(missing) = uncounted(quota) else { continue };
        count_again(&api, quota).await?;
        // Reported, since half a minute is long for a namespace; it is once a cluster.
        let why =
            if quota.name_any() == ROUTES_QUOTA { "; Kubernetes checks every 30 s which kinds there are" } else { "" };
        return Ok(Some(format!("the quota of {name} is being counted: {missing}{why}")));
    }
    let elsewhere = json!({ POOL_KEY: "somebody-elses" });
    let policy = admission::pods_policy(&target.installation);
    if !refused(client, name, &probe(&json!({ "nodeSelector": elsewhere })), &policy).await? {
        return Ok(Some(format!("the API server is learning the policy {policy}")));
    }
    if !refused(client, name, &probe(&json!({ "hostNetwork": true })), "PodSecurity").await? {
        return Ok(Some(format!("the API server is learning the Pod Security level of {name}")));
    }
    Ok(None)
}

/// What of a quota has no figure yet; what has none is refused.
fn uncounted(quota: &ResourceQuota) -> Option<String> {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    let status = quota.status.as_ref();
    let taken = status.is_some_and(|status| status.hard.as_ref() == hard);
    let used = status.and_then(|status| status.used.as_ref());
    let missing = |key: &&String| !taken || used.is_none_or(|used| !used.contains_key(*key));
    hard.into_iter().flatten().map(|(key, _)| key).find(missing).cloned()
}

/// The quota of routes is recreated if it is not counted: Kubernetes checks every 30 seconds which kinds there are, and
/// afterwards counts a quota that it saw earlier only every 5 minutes.
async fn count_again(quotas: &Api<ResourceQuota>, quota: &ResourceQuota) -> Result<()> {
    let name = quota.name_any();
    let made = quota.metadata.creation_timestamp.as_ref().map(since).unwrap_or_default();
    if name != ROUTES_QUOTA || made < RECOUNT_AFTER {
        return Ok(());
    }
    gone_is_fine(quotas.delete(&name, &exactly(quota.uid())).await).doing(|| format!("recreating quota {name}"))
}

/// A pod that is fine but for `what`.
fn probe(what: &Value) -> Value {
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "probe", "image": "registry.k8s.io/pause:3.10",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    });
    for (key, value) in what.as_object().into_iter().flatten() {
        spec[key.as_str()] = value.clone();
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "landlord-probe-" }, "spec": spec })
}

async fn refused(client: &Client, namespace: &str, pod: &Value, by: &str) -> Result<bool> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap_or_default();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&dry_run, &pod).await {
        Ok(_) => Ok(false),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(status.message.contains(by)),
        Err(source) => Err(source).doing(|| format!("asking whether {namespace} is isolated")),
    }
}
