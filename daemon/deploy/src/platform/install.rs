//! One release of a platform: brought into a cluster, judged, and taken away again.

use k8s_openapi::{
    api::core::v1::{Namespace, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, PostParams},
};
use landlord_core::{
    AppName, Chain,
    ports::{PlatformTarget, StageProgress},
    stage::RemovedObject,
};
use landlord_kube::{
    Doing as _,
    absent::{exactly, gone_is_fine, known},
    gateway_api::{self, Crds},
    markers::{FIELD_MANAGER, INSTALLATION, ROLE},
    object::resource,
    progress::pending,
};
use serde_json::json;

use super::{
    DriverKind, Platform, Release, in_use, injection,
    left::{self, Left, PLATFORM_ROLE},
    values,
};
use crate::{
    apply::{self, Judged},
    driver::{Content, Driver, ReleaseRef},
    error::{Error, Result},
    render,
    stack::Stack,
};

/// The API server's response to a create of what is there.
const CONFLICT: u16 = 409;
/// Objects named in a detail line.
const NAMED_MAX: usize = 3;

/// Makes a release exist, and returns whether it is ready.
pub(crate) async fn ensure(
    client: &Client,
    driver: &dyn Driver,
    target: &PlatformTarget,
    (platform, stack): (&Platform, Option<&Stack>),
    crds: Option<&Crds>,
    name: &AppName,
) -> Result<StageProgress> {
    let (release, chart) = platform.release(name)?;
    // The Gateway API is landlord's in a cluster that it made: a chart of the platform brings none along.
    if let Some(detail) = gateway_api::ensure_own(client, &target.installation, crds).await? {
        return Ok(pending(detail));
    }
    ensure_namespace(client, target, &release.namespace).await?;
    let values = values(target, release, stack);
    let digest = render::digest(chart, &values);
    let content = Content { chart, values: &values, digest: &digest };
    let place = ReleaseRef { access: &target.kube, namespace: &release.namespace, release: name.as_str() };
    let found = driver.delivered(client, place.namespace, place.release).await?;
    if let Some(judged) = apply::up_to_date(client, found.as_ref(), &digest).await? {
        match judged {
            Judged::Ready => return Ok(StageProgress::Done),
            Judged::Waiting(detail) => return Ok(pending(detail)),
            Judged::Missing(what) => tracing::info!(release = %name, what, "an object is missing; applying again"),
        }
    }
    if found.is_none() && release.driver == DriverKind::Helm {
        hand_over_accounts(client, &release.namespace, name.as_str()).await?;
    }
    let delivered = apply::deliver(client, driver, place, content, found).await;
    if let Err(error) = &delivered
        && injection::is_untrusted(error)
        && let Err(other) = injection::ask_again(client).await
    {
        tracing::warn!(error = %Chain(&other), "webhooks without an authority are not looked for");
    }
    delivered
}

/// Takes a release away; done when nothing of the cloud is left in its namespace.
pub(crate) async fn remove(
    client: &Client,
    driver: &dyn Driver,
    target: &PlatformTarget,
    platform: &Platform,
    name: &AppName,
) -> Result<(StageProgress, Vec<RemovedObject>)> {
    let (release, _) = platform.release(name)?;
    let namespace = release.namespace.as_str();
    let mut removed = Vec::new();
    if let Some(gateway) = shared_gateway(client, &target.installation, namespace, &mut removed).await? {
        return Ok((pending(format!("waiting until Gateway {gateway} is gone")), removed));
    }
    if let Some(waiting) = remove_delivered(client, driver, target, release, &mut removed).await? {
        return Ok((waiting, removed));
    }
    let releases: Vec<&str> = platform.manifest.releases.iter().map(|release| release.name.as_str()).collect();
    let left = left::of_the_cloud(client, name.as_str(), namespace, &releases).await?;
    if let Some(what) = left.iter().find_map(Left::stuck) {
        return Err(landlord_kube::Error::Stuck { what }.into());
    }
    for one in &left {
        removed.extend(one.release(client).await?);
    }
    if left.is_empty() {
        return Ok((StageProgress::Done, removed));
    }
    let named = left.iter().take(NAMED_MAX).map(Left::what).collect::<Vec<_>>().join(", ");
    Ok((pending(format!("waiting until {} objects are gone: {named}", left.len())), removed))
}

/// Takes one release away while the rest of the platform stays; done at once if it is not there. Volumes of the release stay
/// until the cluster goes: they may hold what was measured. What something in the cluster needs stays as long as that is there (`in_use`).
pub(crate) async fn withdraw(
    client: &Client,
    driver: &dyn Driver,
    target: &PlatformTarget,
    platform: &Platform,
    name: &AppName,
) -> Result<(StageProgress, Vec<RemovedObject>)> {
    let (release, _) = platform.release(name)?;
    let mut removed = Vec::new();
    let part = platform.part(release).and_then(|part| part.capability);
    if let Some(part) = part
        && driver.delivered(client, &release.namespace, name.as_str()).await?.is_some()
        && let Some(needed) = in_use::any(client, &part).await?
    {
        return Err(Error::InUse { what: format!("release {name} {needed}") });
    }
    let waiting = remove_delivered(client, driver, target, release, &mut removed).await?;
    Ok((waiting.unwrap_or(StageProgress::Done), removed))
}

/// Removes what was delivered; returns what is waited for.
async fn remove_delivered(
    client: &Client,
    driver: &dyn Driver,
    target: &PlatformTarget,
    release: &Release,
    removed: &mut Vec<RemovedObject>,
) -> Result<Option<StageProgress>> {
    let (namespace, name) = (release.namespace.as_str(), release.name.as_str());
    if driver.delivered(client, namespace, name).await?.is_none() {
        return Ok(None);
    }
    let left = driver.remove(client, ReleaseRef { access: &target.kube, namespace, release: name }).await?;
    if !left.ending.is_empty() {
        return Ok(Some(pending(format!("waiting until it is gone: {}", left.ending.join(", ")))));
    }
    let r#type = release.driver.object_type().to_owned();
    removed.push(RemovedObject { r#type, id: format!("{namespace}/{name}"), name: name.to_owned() });
    // Logged once: the next call finds the release gone.
    let kept = Some(left.kept).filter(|kept| !kept.is_empty());
    Ok(kept.map(|kept| pending(format!("kept, since others use it: {}", kept.join(", ")))))
}

/// Takes away the Gateway that tenants of a host cluster shared, while its controller runs: no release made it, and its load balancer
/// goes with it. Returns the one that is still there.
async fn shared_gateway(
    client: &Client,
    installation: &str,
    namespace: &str,
    removed: &mut Vec<RemovedObject>,
) -> Result<Option<String>> {
    let gateways: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource("gateway.networking.k8s.io/v1", "Gateway"));
    let ours = ListParams::default().labels(&format!("{INSTALLATION}={installation}"));
    let doing = || format!("removing Gateways in {namespace}");
    let found = known(gateways.list(&ours).await).doing(doing)?;
    let mut left = None;
    for gateway in found.into_iter().flatten() {
        let name = gateway.name_any();
        if gateway.metadata.deletion_timestamp.is_none() {
            gone_is_fine(gateways.delete(&name, &exactly(gateway.uid())).await).doing(doing)?;
            let id = gateway.uid().unwrap_or_default();
            removed.push(RemovedObject { r#type: "Gateway".into(), id, name: format!("{namespace}/{name}") });
        }
        left = Some(name);
    }
    Ok(left)
}

/// Service accounts that landlord made for an identity in the cloud, before there was a release: Helm takes over what bears its marks,
/// and refuses all else that is there already. <https://helm.sh/docs/helm/helm_upgrade>, `--take-ownership`
async fn hand_over_accounts(client: &Client, namespace: &str, release: &str) -> landlord_kube::Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let doing = || format!("handing over service accounts in {namespace} to Helm");
    let found = accounts.list(&ListParams::default()).await.doing(doing)?;
    let marks = json!({ "metadata": {
        "labels": { "app.kubernetes.io/managed-by": "Helm" },
        "annotations": { "meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace },
    } });
    for account in found.items.into_iter().filter(|account| is_ours_alone(&account.metadata)) {
        let name = account.metadata.name.unwrap_or_default();
        let change = kube::api::Patch::Merge(&marks);
        accounts.patch(&name, &kube::api::PatchParams::default(), &change).await.doing(doing)?;
    }
    Ok(())
}

/// Whether nobody else has written an object, nor has Helm taken it over.
fn is_ours_alone(metadata: &ObjectMeta) -> bool {
    let mut managers = metadata.managed_fields.iter().flatten().filter_map(|fields| fields.manager.as_deref());
    let ours = metadata.managed_fields.as_ref().is_some_and(|all| !all.is_empty());
    ours && managers.all(|manager| manager == FIELD_MANAGER)
}

/// Made if it is missing: with an identity in the cloud it is there already.
async fn ensure_namespace(client: &Client, target: &PlatformTarget, name: &str) -> landlord_kube::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces.get_metadata_opt(name).await.doing(|| format!("reading namespace {name}"))?;
    let labels = json!({ INSTALLATION: target.installation, ROLE: PLATFORM_ROLE });
    let has_role = |found: &kube::core::PartialObjectMeta<Namespace>| {
        found.metadata.labels.as_ref().and_then(|labels| labels.get(ROLE)).is_some_and(|role| role == PLATFORM_ROLE)
    };
    match found {
        Some(found) if has_role(&found) => Ok(()),
        Some(_) => {
            let change = kube::api::Patch::Merge(json!({ "metadata": { "labels": labels } }));
            let patched = namespaces.patch_metadata(name, &kube::api::PatchParams::default(), &change).await;
            patched.map(drop).doing(|| format!("marking namespace {name}"))
        }
        None => {
            let namespace: Namespace =
                serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap_or_default();
            match namespaces.create(&PostParams::default(), &namespace).await {
                // Another stage was faster.
                Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(()),
                created => created.map(drop).doing(|| format!("making namespace {name}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_handed_over_when_nobody_else_wrote_it() {
        let by = |managers: &[&str]| -> ObjectMeta {
            let fields: Vec<_> = managers.iter().map(|manager| json!({ "manager": manager })).collect();
            serde_json::from_value(json!({ "managedFields": fields })).unwrap()
        };
        assert!(is_ours_alone(&by(&[FIELD_MANAGER])));
        assert!(!is_ours_alone(&by(&[FIELD_MANAGER, "helm"])) && !is_ours_alone(&by(&[])));
        assert!(!is_ours_alone(&ObjectMeta::default()), "whoever made it is not known");
    }
}
