//! One release: brought to what is wanted, then judged. Finds out by itself what an earlier,
//! killed call left behind.

use std::{borrow::Cow, time::Duration};

use futures::future::try_join_all;
use kube::Client;
use landlord_core::{
    AppName,
    ports::{DeployTarget, KubeCredentials, StageProgress},
};
use landlord_kube::{
    client::ClusterClients,
    gateway_api::{self, Routing},
    markers::DEPLOYER,
    progress::pending,
    ready::{self, Found},
    token,
};

use crate::{
    chart_policy,
    driver::{Content, Delivered, DeliveryState, Driver, ReleaseRef},
    error::Result,
    render,
    stack::{Release, Stack},
};

/// Life of a driver's token: the shortest that the API server issues, and three times the longest run of Helm.
const DEPLOYER_TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Makes a release exist as rendered, and returns whether it is ready.
pub(crate) async fn ensure(
    clients: &ClusterClients,
    driver: &dyn Driver,
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

    let content = Content { chart: &chart, values: &rendered.values, digest: &rendered.digest };

    let found = driver.delivered(client, namespace, app.as_str()).await?;
    if let Some(judged) = up_to_date(client, found.as_ref(), &rendered.digest).await? {
        match judged {
            Judged::Ready => return Ok(StageProgress::Done),
            Judged::Waiting(detail) => return Ok(pending(detail)),
            Judged::Missing(what) => tracing::info!(release = %app, what, "an object is missing; applying again"),
        }
    }
    // Only for the driver's sake: observing needs no token.
    let access = driver_access(clients, target).await?;
    let release = ReleaseRef { access: &access, namespace, release: app.as_str() };
    if target.cluster.shared().is_some() {
        let manifest = driver.manifest(release, content).await?;
        chart_policy::check(&clients.admin, app.as_str(), &manifest, namespace).await?;
    }
    deliver(client, driver, release, content, found).await
}

/// What a release renders to. Talks to no cluster.
pub(crate) async fn rendered(
    driver: &dyn Driver,
    target: &DeployTarget,
    stack: &Stack,
    release: &Release,
    routing: Routing,
) -> Result<String> {
    let chart = stack.chart(release);
    let rendered = render::release(target, &stack.manifest, release, &chart, routing)?;
    let namespace = render::namespace(target, &stack.manifest);
    let place = ReleaseRef { access: &target.kube, namespace, release: release.name.as_str() };
    driver.manifest(place, Content { chart: &chart, values: &rendered.values, digest: &rendered.digest }).await
}

/// How a release stands that is delivered as it shall be; `None`: it is to be delivered.
pub(crate) async fn up_to_date(
    client: &Client,
    found: Option<&Delivered>,
    digest: &str,
) -> landlord_kube::Result<Option<Judged>> {
    match found.filter(|found| found.state == DeliveryState::Delivered && found.digest == digest) {
        Some(found) => judge(client, found).await.map(Some),
        None => Ok(None),
    }
}

/// Delivers a release and judges it; a removal that did not end is finished first.
pub(crate) async fn deliver(
    client: &Client,
    driver: &dyn Driver,
    release: ReleaseRef<'_>,
    content: Content<'_>,
    found: Option<Delivered>,
) -> Result<StageProgress> {
    if found.is_some_and(|found| found.state == DeliveryState::Removing) {
        let ending = driver.remove(client, release).await?.ending;
        if !ending.is_empty() {
            return Ok(pending(format!("waiting until it is gone: {}", ending.join(", "))));
        }
    }
    driver.deliver(client, release, content).await?;
    let found = driver.delivered(client, release.namespace, release.release).await?;
    let Some(found) = found.filter(|found| found.state == DeliveryState::Delivered) else {
        return Ok(pending(format!("release {}: its record is not there yet", release.release)));
    };
    Ok(match judge(client, &found).await? {
        Judged::Ready => StageProgress::Done,
        Judged::Waiting(detail) | Judged::Missing(detail) => pending(detail),
    })
}

/// What the driver gets: on a shared cluster a token of the tenant's deployer, so that the daemon's rights are in no file.
async fn driver_access<'a>(clients: &ClusterClients, target: &'a DeployTarget) -> Result<Cow<'a, KubeCredentials>> {
    match target.cluster.shared() {
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

/// Judges every object of a release.
pub(crate) async fn judge(client: &Client, delivered: &Delivered) -> landlord_kube::Result<Judged> {
    let Some(objects) = &delivered.objects else {
        // A record that can't be read is written again by applying again.
        return Ok(Judged::Missing(format!("{} can't be read", delivered.record)));
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
