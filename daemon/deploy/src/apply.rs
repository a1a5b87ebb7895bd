//! One release: brought to what is wanted, then judged. Finds out by itself what an earlier,
//! killed call left behind.

use std::{borrow::Cow, time::Duration};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use landlord_core::{
    AppName,
    ports::{DeployTarget, KubeCredentials, StageProgress},
};
use serde_json::json;

use crate::{
    chart_policy,
    driver::{
        helm::{DIGEST_LABEL, Helm, ReleaseRef},
        records::{self, Revision, Status},
    },
    error::Result,
    render,
    stack::Stack,
};
use landlord_kube::{
    Doing as _,
    absent::gone_is_fine,
    client::ClusterClients,
    gateway_api::{self, Routing},
    markers::DEPLOYER,
    progress::pending,
    ready::{self, Found},
    token,
};

/// Life of Helm's token: the shortest that the API server issues, and three times the longest run of Helm.
const DEPLOYER_TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Makes a release exist as rendered, and says whether it is ready.
pub(crate) async fn ensure(
    clients: &ClusterClients,
    helm: &Helm,
    target: &DeployTarget,
    stack: &Stack,
    app: &AppName,
) -> Result<StageProgress> {
    let spec = stack.release(app)?;
    let client = &clients.tenant;
    let namespace = render::namespace(target, &stack.manifest);
    let chart = stack.chart(spec);
    let routing = if spec.gateway { gateway_api::routing(&clients.admin).await? } else { Routing::Unknown };
    let rendered = render::release(target, &stack.manifest, spec, &chart, routing)?;

    let newest = recovered(clients, helm, target, namespace, app).await?;
    if let Some(revision) = newest.filter(|r| r.status == Status::Deployed && r.digest == rendered.digest) {
        match judge(client, &revision, namespace).await? {
            Judged::Ready => return Ok(StageProgress::Done),
            Judged::Waiting(detail) => return Ok(pending(detail)),
            Judged::Missing(what) => tracing::info!(release = %app, what, "an object is missing; applying again"),
        }
    }
    // Only for Helm's sake: looks need no token.
    let access = helm_access(clients, target).await?;
    let place = ReleaseRef { access: &access, namespace, release: app.as_str() };
    if target.place.shared().is_some() {
        let manifest = helm.template(place, &chart, &rendered.values).await?;
        chart_policy::check(&clients.admin, app.as_str(), &manifest, namespace).await?;
    }
    helm.upgrade(place, &chart, &rendered.values, &rendered.digest).await?;
    let newest = revisions(client, namespace, app.as_str()).await?.pop();
    let Some(revision) = newest.filter(|revision| revision.status == Status::Deployed) else {
        return Ok(pending(format!("release {app}: Helm's record is not there yet")));
    };
    Ok(match judge(client, &revision, namespace).await? {
        Judged::Ready => StageProgress::Done,
        Judged::Waiting(detail) | Judged::Missing(detail) => pending(detail),
    })
}

/// What Helm gets: on a shared cluster a token of the tenant's deployer, so that the daemon's rights are in no file.
async fn helm_access<'a>(clients: &ClusterClients, target: &'a DeployTarget) -> Result<Cow<'a, KubeCredentials>> {
    match target.place.shared() {
        None => Ok(Cow::Borrowed(&target.kube)),
        Some(place) => {
            let namespace = place.namespace.as_str();
            let issued =
                token::issue(&clients.admin, &target.kube, namespace, DEPLOYER, DEPLOYER_TOKEN_LIFETIME).await?;
            Ok(Cow::Owned(issued))
        }
    }
}

/// How a release stands.
pub(crate) enum Judged {
    Ready,
    Waiting(String),
    Missing(String),
}

/// Judges every object of a revision.
pub(crate) async fn judge(client: &Client, revision: &Revision, namespace: &str) -> landlord_kube::Result<Judged> {
    let Some(objects) = revision.objects(namespace) else {
        // A record that can't be read is written anew by applying again.
        return Ok(Judged::Missing(format!("{} can't be read", revision.secret)));
    };
    let found = try_join_all(objects.iter().map(|object| ready::judge(client, object))).await?;
    let mut waiting = None;
    for (object, found) in objects.iter().zip(found) {
        match found {
            Found::Missing => return Ok(Judged::Missing(format!("{} {} is missing", object.kind, object.name))),
            // A pod says more than the claim that it waits for.
            Found::Waiting(why) if object.kind != "PersistentVolumeClaim" || waiting.is_none() => waiting = Some(why),
            Found::Waiting(_) | Found::Ready => {}
        }
    }
    Ok(waiting.map_or(Judged::Ready, Judged::Waiting))
}

/// The newest revision after cleaning up behind a killed Helm. The caller's fence proves that no
/// other Helm runs, so what is pending will never end by itself: its record goes, what it made is
/// taken over by the next run, since it carries the release's name. What it changed no longer is as
/// the older record says, so that record first loses its digest: whatever happens next, the release
/// will be applied again.
async fn recovered(
    clients: &ClusterClients,
    helm: &Helm,
    target: &DeployTarget,
    namespace: &str,
    app: &AppName,
) -> Result<Option<Revision>> {
    let (client, release) = (&clients.tenant, app.as_str());
    let mut all = revisions(client, namespace, release).await?;
    while let Some(newest) = all.last() {
        match newest.status {
            Status::Pending => {
                tracing::warn!(record = newest.secret, "an unfinished Helm run is cleaned up");
                for older in all.iter().filter(|revision| revision.status == Status::Deployed) {
                    distrust(client, namespace, &older.secret).await?;
                }
                delete_record(client, namespace, &newest.secret).await?;
                all = revisions(client, namespace, release).await?;
            }
            Status::Uninstalling => {
                let access = helm_access(clients, target).await?;
                helm.uninstall(ReleaseRef { access: &access, namespace, release }).await?;
                return Ok(None);
            }
            Status::Deployed | Status::Other => break,
        }
    }
    Ok(all.pop())
}

/// The revisions of a release, oldest first.
pub(crate) async fn revisions(client: &Client, namespace: &str, release: &str) -> landlord_kube::Result<Vec<Revision>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let selector = ListParams::default().labels(&format!("owner=helm,name={release}"));
    let secrets = secrets.list(&selector).await.doing(|| format!("reading Helm's records of {namespace}/{release}"))?;
    Ok(records::revisions(secrets.items))
}

/// Takes a record's digest away.
async fn distrust(client: &Client, namespace: &str, name: &str) -> landlord_kube::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let change = json!({ "metadata": { "labels": { DIGEST_LABEL: null } } });
    let patched = secrets.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    patched.map(drop).doing(|| format!("marking {namespace}/{name}"))
}

async fn delete_record(client: &Client, namespace: &str, name: &str) -> landlord_kube::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    gone_is_fine(secrets.delete(name, &DeleteParams::default()).await).doing(|| format!("removing {namespace}/{name}"))
}
