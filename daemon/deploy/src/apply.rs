//! One release: brought to what is wanted, then judged. Finds out by itself what an earlier,
//! killed call left behind.

use std::borrow::Cow;

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
    base::{self, Routing},
    client::Both,
    deployer::pending,
    error::{Doing as _, Error, Result},
    guardrails::{access, charts},
    helm::{DIGEST_LABEL, Helm, Place},
    ready::{self, Found},
    release::{self, Revision, Status},
    render,
    stack::Stack,
};

/// Makes a release exist as rendered, and says whether it is ready.
pub(crate) async fn ensure(
    clients: &Both,
    helm: &Helm,
    target: &DeployTarget,
    stack: &Stack,
    app: &AppName,
) -> Result<StageProgress> {
    let spec = stack.release(app)?;
    let client = &clients.apps;
    let namespace = render::namespace(target, &stack.manifest);
    let chart = stack.chart(spec);
    let routing = if spec.gateway { base::routing(&clients.own).await? } else { Routing::Unknown };
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
    let place = Place { access: &access, namespace, release: app.as_str() };
    if target.place.shared().is_some() {
        let manifest = helm.template(place, &chart, &rendered.values).await?;
        charts::check(&clients.own, app.as_str(), &manifest, namespace).await?;
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
async fn helm_access<'a>(clients: &Both, target: &'a DeployTarget) -> Result<Cow<'a, KubeCredentials>> {
    match target.place.shared() {
        None => Ok(Cow::Borrowed(&target.kube)),
        Some(place) => access::deployer(&clients.own, &target.kube, place).await.map(Cow::Owned),
    }
}

/// How a release stands.
pub(crate) enum Judged {
    Ready,
    Waiting(String),
    Missing(String),
}

/// Judges every object of a revision.
pub(crate) async fn judge(client: &Client, revision: &Revision, namespace: &str) -> Result<Judged> {
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
    clients: &Both,
    helm: &Helm,
    target: &DeployTarget,
    namespace: &str,
    app: &AppName,
) -> Result<Option<Revision>> {
    let (client, release) = (&clients.apps, app.as_str());
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
                helm.uninstall(Place { access: &access, namespace, release }).await?;
                return Ok(None);
            }
            Status::Deployed | Status::Other => break,
        }
    }
    Ok(all.pop())
}

/// The revisions of a release, oldest first.
pub(crate) async fn revisions(client: &Client, namespace: &str, release: &str) -> Result<Vec<Revision>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let selector = ListParams::default().labels(&format!("owner=helm,name={release}"));
    let secrets = secrets.list(&selector).await.doing(|| format!("reading Helm's records of {namespace}/{release}"))?;
    Ok(release::revisions(secrets.items))
}

/// Takes a record's digest away.
async fn distrust(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let change = json!({ "metadata": { "labels": { DIGEST_LABEL: null } } });
    let patched = secrets.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    patched.map(drop).doing(|| format!("marking {namespace}/{name}"))
}

async fn delete_record(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match secrets.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::Kube { action: format!("removing {namespace}/{name}"), source: Box::new(source) }),
    }
}
