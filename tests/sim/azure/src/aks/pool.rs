//! Agent pools.
//!
//! <https://learn.microsoft.com/rest/api/aks/agent-pools/create-or-update>; names:
//! <https://learn.microsoft.com/azure/aks/create-node-pools#limitations>; one System pool stays:
//! <https://learn.microsoft.com/azure/aks/use-system-pools>.

use super::{
    super::{durations, id::Target, kind::AzureKind, lro, resource, shown, state::Verb},
    check_conditions, check_idle, defaults,
    names::count_of,
    node_group, refuse, sizes,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

const KIND: AzureKind = AzureKind::AgentPool;

/// Checks name, subnet and numbers of a pool.
///
/// # Errors
/// In AKS's words.
pub(super) fn check(ctx: &mut Ctx<'_>, name: &str, profile: &Value) -> Result<()> {
    let good = (1..=12).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !good {
        let message = format!(
            "The value of parameter agentPoolProfile.name '{name}' is invalid. A node pool name may only contain lowercase alphanumeric characters, must begin with a letter and have 1 to 12 of them."
        );
        return Err(refuse("InvalidParameter", message));
    }
    let subnet = profile["vnetSubnetID"].as_str().unwrap_or_default();
    if !subnet.is_empty() && ctx.scope().live(&subnet.to_lowercase()).is_none() {
        let message = format!("The subnet {subnet} of agent pool '{name}' was not found.");
        return Err(refuse("VnetSubnetNotFound", message));
    }
    let version = profile["orchestratorVersion"].as_str().unwrap_or_default();
    if super::resolve_version(version).is_none() {
        let message = format!("Version {version} of agent pool '{name}' is not supported in this region.");
        return Err(refuse("AgentPoolK8sVersionNotSupported", message));
    }
    let of = |key: &str| profile[key].as_u64();
    let scaling = profile["enableAutoScaling"] == true;
    if scaling && (of("minCount").is_none() || of("maxCount").is_none() || of("minCount") > of("maxCount")) {
        let message = format!("Agent pool '{name}' is to scale by itself but has no valid minCount and maxCount.");
        return Err(refuse("InvalidParameter", message));
    }
    if of("count").unwrap_or(1) == 0 && profile["mode"] == "System" {
        return Err(refuse("InvalidParameter", format!("System agent pool '{name}' must have at least one node.")));
    }
    Ok(())
}

/// Makes the pool object of a profile.
pub(super) fn create(ctx: &mut Ctx<'_>, cluster: &Object, profile: &Value) -> Object {
    let name = profile["name"].as_str().unwrap_or_default();
    let id = format!("{}/agentPools/{name}", cluster.arn);
    let mut properties = profile.clone();
    if let Some(fields) = properties.as_object_mut() {
        fields.remove("name");
        fields.remove("currentOrchestratorVersion");
    }
    let wanted = properties["orchestratorVersion"].as_str().and_then(super::resolve_version);
    let runs = wanted.map_or_else(|| super::version_of(cluster), str::to_owned);
    defaults::fill(&mut properties, &defaults::pool(&runs));
    let mut pool = resource::new(ctx, KIND, &id, &json!({ "properties": properties }));
    "Creating".clone_into(&mut pool.state);
    pool.set("location", resource::location(cluster));
    pool.set("cluster", cluster.id.clone());
    ctx.create(pool.clone());
    pool
}

/// Applies the profile of a pool in a PUT of its cluster.
pub(super) fn from_cluster(ctx: &mut Ctx<'_>, cluster: &Object, profile: &Value) {
    let name = profile["name"].as_str().unwrap_or_default();
    let key = format!("{}/agentpools/{}", cluster.id, name.to_lowercase());
    let Some(pool) = resource::present(ctx, KIND, &key) else {
        let pool = create(ctx, cluster, profile);
        node_group::make_scale_set(ctx, cluster, &pool);
        return;
    };
    let mut properties = profile.clone();
    if let Some(fields) = properties.as_object_mut() {
        fields.remove("name");
    }
    replace(ctx, &pool, &properties, &super::version_of(cluster));
    ctx.adjust(&pool.id, |o| "Updating".clone_into(&mut o.state));
}

/// The pool's nodes are of the version that it requests: the newest patch of a minor version.
/// <https://learn.microsoft.com/rest/api/aks/agent-pools/get>, `currentOrchestratorVersion`.
pub(super) fn upgraded(ctx: &mut Ctx<'_>, pool: &Object) {
    let wanted = resource::doc_text(pool, "/properties/orchestratorVersion").to_owned();
    if let Some(runs) = super::resolve_version(&wanted) {
        ctx.adjust(&pool.id, |o| {
            resource::amend(o, |doc| doc["properties"]["currentOrchestratorVersion"] = runs.into());
        });
    }
}

/// Replaces the properties of a pool.
fn replace(ctx: &mut Ctx<'_>, pool: &Object, properties: &Value, version: &str) -> Object {
    let mut next = pool.clone();
    let mut properties = properties.clone();
    // Read-only: whoever sends back what it read changes nothing by it. The nodes run the version of before until the change
    // has ended; whoever names no version keeps it.
    for key in ["currentOrchestratorVersion", "orchestratorVersion"] {
        let present = resource::doc(pool)["properties"][key].clone();
        if key.starts_with("current") || properties[key].is_null() {
            properties[key] = present;
        }
    }
    defaults::fill(&mut properties, &defaults::pool(version));
    resource::put_body(ctx, &mut next, &json!({ "properties": properties }));
    "Updating".clone_into(&mut next.state);
    ctx.change(&pool.id, |o| *o = next.clone());
    next
}

fn parent(ctx: &mut Ctx<'_>, target: &Target) -> Result<Object> {
    resource::open_group(ctx, target)?;
    resource::present(ctx, AzureKind::ManagedCluster, &target.parent_key()).ok_or_else(|| {
        let message = format!(
            "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
            target.names.first().map_or("", String::as_str)
        );
        ApiError::new("ParentResourceNotFound", message).status(404)
    })
}

/// Creates or replaces a pool.
///
/// # Errors
/// Busy, bad parameters, quotas.
pub(super) fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let cluster = parent(ctx, target)?;
    let present = resource::present(ctx, KIND, &target.key());
    check_conditions(call, present.as_ref())?;
    check_idle(ctx, &cluster)?;
    let mut profile = call.json["properties"].clone();
    check(ctx, target.name(), &profile)?;
    if let Some(pool) = &present {
        let (before, after) = (resource::doc_text(pool, "/properties/vmSize"), profile["vmSize"].as_str());
        if after.is_some_and(|a| a != before) {
            let message = "Changing property 'properties.vmSize' is not allowed.";
            return Err(refuse("PropertyChangeNotAllowed", message));
        }
    } else {
        let pools = resource::children_of(ctx, &cluster, KIND).len() as u64;
        if let Err(limit) = ctx.within_quota("agent-pools-per-cluster", pools) {
            return Err(refuse("QuotaExceeded", format!("A cluster cannot have more than {limit} agent pools.")));
        }
    }
    let size = profile["vmSize"].as_str().unwrap_or("Standard_D2s_v3").to_owned();
    let count = profile["count"].as_u64().unwrap_or(1);
    let more = count.saturating_sub(present.as_ref().map_or(0, count_of));
    sizes::check(ctx, &resource::location(&cluster), &[(size, more)])?;
    let (pool, verb, status, span) = match present {
        Some(pool) => {
            let next = replace(ctx, &pool, &profile, &super::version_of(&cluster));
            (next, Verb::Update, 200, durations::POOL_UPDATE)
        }
        None => {
            profile["name"] = target.name().into();
            let pool = create(ctx, &cluster, &profile);
            node_group::make_scale_set(ctx, &cluster, &pool);
            (pool, Verb::Create, 201, durations::POOL_CREATE)
        }
    };
    let name = if verb == Verb::Create { pool.id.clone() } else { format!("{}{}", pool.id, pool.text("etag")) };
    let sim_ms = ctx.draw(span, &name);
    let operation = lro::begin(ctx, "containerservice", &pool.id, verb, sim_ms);
    let pool = ctx.scope().live(&pool.id).cloned().unwrap_or(pool);
    let body = shown::document(ctx, &pool);
    Ok(lro::put_response(ctx, call, status, &operation, &pool, body))
}

/// Begins to delete a pool.
///
/// # Errors
/// Busy; the last System pool.
pub(super) fn delete_call(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    resource::check_group(ctx, target)?;
    let Some(pool) = resource::present(ctx, KIND, &target.key()) else {
        return Ok(Reply::Json(204, Value::Null));
    };
    check_conditions(call, Some(&pool))?;
    let cluster = parent(ctx, target)?;
    check_idle(ctx, &cluster)?;
    let system = |o: &Object| resource::doc_text(o, "/properties/mode") == "System";
    let others = resource::children_of(ctx, &cluster, KIND);
    if system(&pool) && !others.iter().any(|o| o.id != pool.id && system(o)) {
        let message = "There has to be at least one system agent pool in the cluster; the last one cannot be deleted.";
        return Err(refuse("OperationNotAllowed", message));
    }
    let sim_ms = ctx.draw(durations::POOL_DELETE, &pool.id);
    let operation = lro::begin_delete(ctx, &pool, sim_ms);
    Ok(lro::delete_response(ctx, call, &operation, &pool))
}
