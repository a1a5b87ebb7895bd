//! EKS add-ons: all requested at once, as soon as the control plane is there. Those that run
//! as Deployments become ACTIVE only once nodes have joined.

use aws_sdk_eks::types::{Addon, AddonPodIdentityAssociations, AddonStatus as Status, ResolveConflicts};
use landlord_provider_api::{ProviderError, v1};

use crate::{
    action,
    aws::Clients,
    cluster,
    error::{Absent as _, Result, failed, incomplete},
    health,
    names::Names,
    parameters::Parameters,
    progress::{self, Outcome, Sent},
    tags,
};

/// Seconds between observations.
const POLL_S: i64 = 10;

/// What the plugin sets on an add-on beyond its version.
#[derive(Default)]
struct Setup {
    /// Configuration values, JSON.
    configuration: Option<&'static str>,
    /// Service account, and the network attribute that names its role.
    identity: Option<(&'static str, &'static str)>,
}

fn setup(name: &str) -> Setup {
    match name {
        // Without network policy support in the CNI a NetworkPolicy is accepted and ignored.
        "vpc-cni" => Setup { configuration: Some(r#"{"enableNetworkPolicy":"true"}"#), identity: None },
        // A new EKS cluster has no default StorageClass: claims that name none would wait for ever.
        "aws-ebs-csi-driver" => Setup {
            configuration: Some(r#"{"defaultStorageClass":{"enabled":true}}"#),
            identity: Some(("ebs-csi-controller-sa", "ebs_csi_role_arn")),
        },
        _ => Setup::default(),
    }
}

async fn find(aws: &Clients, cluster: &str, name: &str) -> Result<Option<Addon>> {
    let response = aws.eks.describe_addon().cluster_name(cluster).addon_name(name).send().await;
    Ok(response.map_err(failed(action::DESCRIBE_ADDON, name)).or_absent()?.and_then(|a| a.addon))
}

/// Makes every add-on be there and active.
pub(crate) async fn ensure(
    aws: &Clients,
    scope: &v1::Scope,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
) -> Result<Outcome> {
    let names = Names::new(scope)?;
    let observed =
        futures::future::join_all(parameters.addons.iter().map(|name| find(aws, names.cluster(), name))).await;
    let mut waiting: Vec<Sent> = Vec::new();
    let mut failure: Option<crate::error::Error> = None;
    for (name, present) in parameters.addons.iter().zip(observed) {
        // One add-on's failure does not keep the others from being requested.
        let step = match present {
            Ok(present) => step(aws, scope, &names, parameters, network, name, present).await,
            Err(error) => Err(error),
        };
        match step {
            Ok(None) => {}
            Ok(Some(step)) => waiting.push(step),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) => Err(error),
        None if waiting.is_empty() => Ok(progress::ready()),
        None => {
            let details: Vec<String> = waiting.iter().map(|step| step.detail.clone()).collect();
            let mut sent = Sent::new(details.join("; "));
            sent.changes = waiting.into_iter().flat_map(|step| step.changes).collect();
            Ok(sent.pending(POLL_S))
        }
    }
}

/// Brings one add-on a step on; `Some` says what is waited for.
async fn step(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    name: &str,
    present: Option<Addon>,
) -> Result<Option<Sent>> {
    let Some(addon) = present else {
        create(aws, scope, names, parameters, network, name).await?;
        return Ok(Some(Sent::new(format!("add-on {name} is being created"))));
    };
    if !tags::is_ours(scope, &addon.tags()) {
        return Err(tags::name_taken("EKS add-on", name).into());
    }
    let issue = health::addon(&addon);
    match addon.status() {
        Some(Status::Active) => update(aws, names, parameters, name, &addon).await,
        Some(Status::CreateFailed | Status::DeleteFailed) => {
            // Deleted, so that the next attempt finds the name free.
            let request = aws.eks.delete_addon().cluster_name(names.cluster()).addon_name(name);
            request.send().await.map(drop).map_err(failed(action::DELETE_ADDON, name)).or_absent()?;
            Err(issue.unwrap_or_else(|| health::issue(&format!("add-on {name}"), "Unknown", "failed")).into())
        }
        Some(status) => {
            let why = issue.map(|e| format!(" ({})", e.message)).unwrap_or_default();
            Ok(Some(Sent::new(format!("add-on {name} is {status}{why}"))))
        }
        None => Err(incomplete(action::DESCRIBE_ADDON, "the status")),
    }
}

async fn create(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    name: &str,
) -> Result<()> {
    let setup = setup(name);
    let mut request = aws
        .eks
        .create_addon()
        .cluster_name(names.cluster())
        .addon_name(name)
        .set_addon_version(parameters.addon_versions.get(name).cloned())
        .set_configuration_values(setup.configuration.map(str::to_owned))
        .resolve_conflicts(ResolveConflicts::Overwrite)
        .client_request_token(names.token("addon", format_args!("{name}/{}", scope.generation)))
        .set_tags(Some(tags::all(scope, "addon").into_iter().collect()));
    if let Some((account, role)) = setup.identity {
        let identity = AddonPodIdentityAssociations::builder()
            .service_account(account)
            .role_arn(cluster::attribute(network, role)?)
            .build()
            .map_err(|e| crate::error::invalid(e.to_string()))?;
        request = request.pod_identity_associations(identity);
    }
    match request.send().await.map_err(failed(action::CREATE_ADDON, name)) {
        Ok(_) => Ok(()),
        Err(error) if error.code() == "ResourceInUseException" => Ok(()),
        Err(error) => Err(error),
    }
}

/// Follows a version that the class names; without one, EKS's default of the day stays.
async fn update(
    aws: &Clients,
    names: &Names,
    parameters: &Parameters,
    name: &str,
    addon: &Addon,
) -> Result<Option<Sent>> {
    let Some(version) = parameters.addon_versions.get(name) else {
        return Ok(None);
    };
    if addon.addon_version() == Some(version) {
        return Ok(None);
    }
    let request = aws
        .eks
        .update_addon()
        .cluster_name(names.cluster())
        .addon_name(name)
        .addon_version(version)
        .resolve_conflicts(ResolveConflicts::Overwrite)
        .client_request_token(names.token("addon-version", format_args!("{name}/{version}")));
    request.send().await.map_err(failed(action::UPDATE_ADDON, name))?;
    let sent = Sent::new(format!("add-on {name} is being updated to {version}"));
    let seen = addon.addon_version().unwrap_or_default();
    Ok(Some(sent.field(format!("version of add-on {name}"), version, seen)))
}

/// Names of the cluster's add-ons; none if the cluster is absent or a foreign one.
async fn list(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if cluster::find_own(aws, scope, names).await?.is_none() {
        return Ok(found);
    }
    let mut pages = aws.eks.list_addons().cluster_name(names.cluster()).into_paginator().items().send();
    while let Some(name) = pages.next().await {
        let name = name.map_err(failed(action::LIST_ADDONS, names.cluster()));
        let Some(name) = name.or_absent()? else { break };
        found.push(name);
    }
    Ok(found)
}

fn owned(scope: &v1::Scope, addon: &Addon) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: "AWS::EKS::Addon".to_owned(),
        id: addon.addon_arn().unwrap_or_default().to_owned(),
        name: addon.addon_name().unwrap_or_default().to_owned(),
        role: "addon".to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// Makes the add-ons be absent.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let (mut removed, mut waiting, mut failure) = (Vec::new(), Vec::new(), None);
    for name in list(aws, scope, &names).await? {
        // One add-on's failure does not keep the others from going.
        match delete_one(aws, scope, &names, &name).await {
            Ok(Step::Foreign) => {}
            Ok(Step::Going(object)) => {
                waiting.push(name);
                removed.extend(object);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) => Err(error),
        None if waiting.is_empty() => Ok((Outcome::Gone, removed)),
        None => {
            let detail = format!("add-ons are being deleted: {}", waiting.join(", "));
            Ok((progress::pending(POLL_S, detail), removed))
        }
    }
}

/// What became of one add-on.
enum Step {
    /// Not ours, or gone in the meantime.
    Foreign,
    /// On its way out, with the object if this call sent it there.
    Going(Option<v1::OwnedObject>),
}

async fn delete_one(aws: &Clients, scope: &v1::Scope, names: &Names, name: &str) -> Result<Step> {
    let found = find(aws, names.cluster(), name).await?;
    let Some(addon) = found.filter(|a| tags::is_ours(scope, &a.tags())) else {
        return Ok(Step::Foreign);
    };
    if addon.status() == Some(&Status::Deleting) {
        return Ok(Step::Going(None));
    }
    let request = aws.eks.delete_addon().cluster_name(names.cluster()).addon_name(name);
    match request.send().await.map_err(failed(action::DELETE_ADDON, name)) {
        Ok(_) => Ok(Step::Going(Some(owned(scope, &addon)))),
        Err(error) if error.is_absent() => Ok(Step::Going(Some(owned(scope, &addon)))),
        Err(error) if error.is_busy() => Ok(Step::Going(None)),
        Err(error) => Err(error),
    }
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let mut addons = Vec::new();
    for name in list(aws, scope, &names).await? {
        let addon = find(aws, names.cluster(), &name).await?;
        addons.extend(addon.filter(|a| tags::is_ours(scope, &a.tags())));
    }
    let unready = |addon: &Addon| match (addon.status(), health::addon(addon)) {
        (Some(Status::Active), _) => None,
        (_, Some(ProviderError { message, .. })) => Some(message),
        (_, None) => Some(format!("add-on {} is not active", addon.addon_name().unwrap_or_default())),
    };
    Ok(progress::observed(&addons, |addon| owned(scope, addon), unready, POLL_S))
}
