//! Making, changing and deleting clusters.
//!
//! A PUT creates or replaces; what it leaves out takes its default, but agent pools that it does not name stay. Errors:
//! <https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/welcome-azure-kubernetes>.

use super::{
    super::{durations, id::Target, kind::AzureKind, lro, principal, resource, shown, state::Verb},
    check_conditions, check_idle, defaults, names, node_group, pool, refuse, resolve_version, sizes,
};
use cloudsim_core::{
    call::{Call, Reply, Result},
    cluster::{ClusterSpec, RuntimeCommand},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

const KIND: AzureKind = AzureKind::ManagedCluster;
/// Properties that no PUT may change.
const FIXED: [&str; 4] = [
    "/properties/dnsPrefix",
    "/properties/nodeResourceGroup",
    "/properties/networkProfile/networkPlugin",
    "/properties/networkProfile/podCidr",
];

/// Creates or replaces a cluster.
///
/// # Errors
/// Busy, bad parameters, quotas, no capacity.
pub(super) fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    resource::open_group(ctx, target)?;
    let present = resource::present(ctx, KIND, &target.key());
    check_conditions(call, present.as_ref())?;
    resource::check_location(call, target, present.as_ref())?;
    if let Some(cluster) = &present {
        check_idle(ctx, cluster)?;
    }
    let profiles = profiles(&call.json);
    check(ctx, call, target, present.as_ref(), &profiles)?;
    match present {
        Some(cluster) => update(ctx, call, cluster, &profiles),
        None => create(ctx, call, target, &profiles),
    }
}

fn profiles(body: &Value) -> Vec<Value> {
    body.pointer("/properties/agentPoolProfiles").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn check(ctx: &mut Ctx<'_>, call: &Call, target: &Target, present: Option<&Object>, profiles: &[Value]) -> Result<()> {
    let text = |pointer: &str| call.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let location = resource::normal(call.field("location"));
    if let Some(cluster) = present {
        for pointer in FIXED {
            let (before, after) = (resource::doc_text(cluster, pointer), text(pointer));
            if !after.is_empty() && !before.eq_ignore_ascii_case(after) {
                let name = pointer.trim_start_matches("/properties/").replace('/', ".");
                return Err(refuse("PropertyChangeNotAllowed", format!("Changing property '{name}' is not allowed.")));
            }
        }
    } else {
        check_new(ctx, call, target, profiles)?;
    }
    let wanted = text("/properties/kubernetesVersion");
    if resolve_version(wanted).is_none() {
        let message = format!(
            "Managed cluster {} is on version {wanted} which is not supported in this region. Please use [az aks get-versions] command to get the supported version list in this region.",
            target.name()
        );
        return Err(refuse("K8sVersionNotSupported", message));
    }
    let mut more = Vec::new();
    for profile in profiles {
        let name = profile["name"].as_str().unwrap_or_default();
        pool::check(ctx, name, profile)?;
        let id = format!("{}/agentPools/{name}", target.key()).to_lowercase();
        let before = resource::present(ctx, AzureKind::AgentPool, &id).map_or(0, |p| names::count_of(&p));
        let size = profile["vmSize"].as_str().unwrap_or("Standard_D2s_v3").to_owned();
        more.push((size, profile["count"].as_u64().unwrap_or(1).saturating_sub(before)));
    }
    sizes::check(ctx, &location, &more)
}

fn check_new(ctx: &mut Ctx<'_>, call: &Call, target: &Target, profiles: &[Value]) -> Result<()> {
    let properties = &call.json["properties"];
    let name = target.name();
    let good =
        !name.is_empty() && name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !good {
        let message = "The cluster name must have 1 to 63 characters: letters, digits, underscores and hyphens.";
        return Err(refuse("InvalidParameter", message));
    }
    let missing = |what: &str| Err(refuse("InvalidParameter", format!("Required parameter {what} is missing (null).")));
    if properties["dnsPrefix"].is_null() && properties["fqdnSubdomain"].is_null() {
        return missing("dnsPrefix");
    }
    if call.json["identity"].is_null() && properties["servicePrincipalProfile"].is_null() {
        return missing("servicePrincipalProfile");
    }
    if !profiles.iter().any(|p| p["mode"] == "System") {
        return Err(refuse("InvalidParameter", "There must be at least one System agent pool in the cluster."));
    }
    let present = ctx.scope().count(KIND);
    if let Err(limit) = ctx.within_quota("managed-clusters", present) {
        let message = format!(
            "Operation results in exceeding quota limits of resource type 'managedclusters'. Maximum allowed: {limit}, Current in use: {present}, Additional requested: 1."
        );
        return Err(refuse("ManagedClusterCountExceedsQuotaLimit", message));
    }
    // This machine's memory: <https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/error-codes/akscapacityheavyusage-error>.
    if ctx.world.kubernetes_capacity.is_some_and(|most| ctx.world.clusters() >= most as u64) {
        let message = format!(
            "AKS is currently experiencing high demand in the {} region and cannot create new clusters there. Please try again later or use another region.",
            resource::normal(call.field("location"))
        );
        return Err(refuse("AKSCapacityHeavyUsage", message));
    }
    node_group::check(ctx, target, &call.json)
}

/// The body of a cluster with everything that AKS adds.
fn complete(call: &Call, target: &Target, before: Option<&Object>) -> Value {
    let mut body = call.json.clone();
    let location = resource::normal(call.field("location"));
    if let Some(properties) = body["properties"].as_object_mut() {
        properties.remove("agentPoolProfiles");
    }
    let properties = &mut body["properties"];
    defaults::fill(properties, &defaults::cluster());
    let wanted = properties["kubernetesVersion"].as_str().unwrap_or_default().to_owned();
    let kept = before.map(super::version_of).filter(|_| wanted.is_empty());
    let version = kept.or_else(|| resolve_version(&wanted).map(str::to_owned)).unwrap_or_default();
    if wanted.is_empty() {
        properties["kubernetesVersion"] = version.clone().into();
    }
    properties["currentKubernetesVersion"] = version.into();
    properties["nodeResourceGroup"] = names::name(target, &call.json).into();
    let guid = principal::guid_of(&target.key());
    let hash = &guid[..8];
    let prefix = properties["dnsPrefix"].as_str().unwrap_or(target.name()).to_owned();
    let fqdn = format!("{prefix}-{hash}.hcp.{location}.azmk8s.io");
    properties["fqdn"] = fqdn.clone().into();
    properties["azurePortalFQDN"] = fqdn.replacen(".hcp.", ".portal.hcp.", 1).into();
    properties["resourceUID"] = guid.replace('-', "")[..24].into();
    if properties["oidcIssuerProfile"]["enabled"] == true {
        let tenant = &call.caller.access_key;
        properties["oidcIssuerProfile"]["issuerURL"] =
            format!("https://{location}.oic.prod-aks.azure.com/{tenant}/{guid}/").into();
    }
    if let Some(identity) = body["identity"].as_object_mut() {
        identity.insert("tenantId".to_owned(), call.caller.access_key.clone().into());
        if identity.get("type").and_then(Value::as_str) == Some("SystemAssigned") {
            identity.insert("principalId".to_owned(), principal::guid_of(&format!("{}identity", target.key())).into());
        }
    }
    defaults::fill(&mut body["sku"], &json!({ "name": "Base", "tier": "Free" }));
    body
}

fn create(ctx: &mut Ctx<'_>, call: &Call, target: &Target, profiles: &[Value]) -> Result<Reply> {
    let body = complete(call, target, None);
    let mut cluster = resource::new(ctx, KIND, &target.id(), &body);
    "Creating".clone_into(&mut cluster.state);
    let folder = format!("{}-{}", ctx.world.hex(10), target.name());
    cluster.set("folder", folder.clone());
    let (name, version) = (target.name().to_owned(), super::version_of(&cluster));
    ctx.create(cluster.clone());
    node_group::make(ctx, &cluster, &call.caller.access_key)?;
    for profile in profiles {
        let pool = pool::create(ctx, &cluster, profile);
        node_group::make_scale_set(ctx, &cluster, &pool);
    }
    if ctx.world.kubernetes_capacity.is_some() {
        let spec = ClusterSpec { arn: cluster.id.clone(), name, version, folder };
        ctx.world.outbox.push(RuntimeCommand::Start(spec));
    }
    let sim_ms = ctx.draw(durations::CLUSTER_CREATE, &cluster.id);
    let operation = lro::begin(ctx, "containerservice", &cluster.id, Verb::Create, sim_ms);
    respond(ctx, call, 201, &operation, &cluster)
}

fn respond(ctx: &mut Ctx<'_>, call: &Call, status: u16, operation: &str, cluster: &Object) -> Result<Reply> {
    let cluster = ctx.scope().live(&cluster.id).cloned().unwrap_or_else(|| cluster.clone());
    let body = shown::document(ctx, &cluster);
    Ok(lro::put_response(ctx, call, status, operation, &cluster, body))
}

fn update(ctx: &mut Ctx<'_>, call: &Call, cluster: Object, profiles: &[Value]) -> Result<Reply> {
    let target = Target::parse(&call.path).unwrap_or_default();
    let mut body = complete(call, &target, Some(&cluster));
    body["properties"]["nodeResourceGroup"] = resource::doc_text(&cluster, "/properties/nodeResourceGroup").into();
    body["properties"]["identityProfile"] = resource::doc(&cluster)["properties"]["identityProfile"].clone();
    let mut next = cluster.clone();
    resource::put_body(ctx, &mut next, &body);
    "Updating".clone_into(&mut next.state);
    next.set("time_is_over", false);
    restart(ctx, &mut next);
    ctx.change(&cluster.id, |o| *o = next.clone());
    for profile in profiles {
        pool::from_cluster(ctx, &next, profile);
    }
    node_group::retag(ctx, &next);
    let sim_ms = ctx.draw(durations::CLUSTER_UPDATE, &format!("{}{}", cluster.id, next.text("etag")));
    let operation = lro::begin(ctx, "containerservice", &cluster.id, Verb::Update, sim_ms);
    respond(ctx, call, 200, &operation, &next)
}

/// Starts the control plane of a cluster whose first start failed.
fn restart(ctx: &mut Ctx<'_>, cluster: &mut Object) {
    if cluster.props.remove("control_plane_failed").is_none() {
        return;
    }
    let spec = ClusterSpec {
        arn: cluster.id.clone(),
        name: cluster.name.clone().unwrap_or_default(),
        version: super::version_of(cluster),
        folder: cluster.text("folder").to_owned(),
    };
    ctx.world.outbox.push(RuntimeCommand::Start(spec));
}

/// Replaces tags.
///
/// # Errors
/// Busy, or not there.
pub(super) fn tag(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let cluster = resource::existing(ctx, KIND, target)?;
    check_conditions(call, Some(&cluster))?;
    check_idle(ctx, &cluster)?;
    let mut next = cluster.clone();
    next.tags = resource::tags_of(call.json.get("tags"));
    "Updating".clone_into(&mut next.state);
    resource::touch(ctx, &mut next);
    ctx.change(&cluster.id, |o| *o = next.clone());
    node_group::retag(ctx, &next);
    let sim_ms = ctx.draw(durations::CLUSTER_UPDATE, &format!("{}{}", cluster.id, next.text("etag")));
    let operation = lro::begin(ctx, "containerservice", &cluster.id, Verb::Update, sim_ms);
    respond(ctx, call, 200, &operation, &next)
}

/// Begins to delete.
///
/// # Errors
/// Busy, or another etag.
pub(super) fn delete_call(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    resource::check_group(ctx, target)?;
    let Some(cluster) = resource::present(ctx, KIND, &target.key()) else {
        return Ok(Reply::Json(204, Value::Null));
    };
    check_conditions(call, Some(&cluster))?;
    let operation = delete(ctx, &cluster)?;
    Ok(lro::delete_response(ctx, call, &operation, &cluster))
}

/// Begins to delete a cluster; gives the operation's id.
///
/// # Errors
/// Busy.
pub(crate) fn delete(ctx: &mut Ctx<'_>, cluster: &Object) -> Result<String> {
    check_idle(ctx, cluster)?;
    for pool in resource::children_of(ctx, cluster, AzureKind::AgentPool) {
        ctx.adjust(&pool.id, |o| "Deleting".clone_into(&mut o.state));
    }
    let sim_ms = ctx.draw(durations::CLUSTER_DELETE, &cluster.id);
    Ok(lro::begin_delete(ctx, cluster, sim_ms))
}
