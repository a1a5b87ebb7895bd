//! Updates of a cluster's configuration and version.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html>: one update at a time.

use super::{amend, cluster, cluster::VERSIONS, in_use, invalid, not_found, updates::new_update};
use crate::{
    durations,
    step::{AwsStep, EksStep},
};
use cloudsim_core::{
    call::{ApiError, Call, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Begins an update.
///
/// # Errors
/// Not found, busy, nothing to change, or a version that cannot be reached.
pub(crate) fn update_cluster(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = cluster(ctx, call.var(0))?;
    if object.state != "ACTIVE" {
        let message = format!("Cannot update: cluster {} currently has an operation in progress", call.var(0));
        return Err(in_use(message));
    }
    let kind = if call.action == "UpdateClusterVersion" {
        check_version(&object, call.field("version"))?;
        "VersionUpdate"
    } else {
        kind_of_change(&object, &call.json)?
    };
    let request = call.json.clone();
    ctx.change(&object.id, |o| {
        o.state = "UPDATING".to_owned();
        amend(o, |doc| apply(doc, &request));
    });
    crate::logs::written_by_eks(ctx, call.var(0), &call.json["logging"]);
    let ms = ctx.draw(durations::CLUSTER_UPDATE, &format!("{}/{kind}", call.var(0)));
    ctx.begin_work("update", &object.id, ms);
    let update = new_update(ctx, &object.id, kind, &call.json);
    let id = update["id"].as_str().unwrap_or_default().to_owned();
    ctx.after(ms, AwsStep::Eks { id: object.id, step: EksStep::UpdateDone { update: id } });
    Ok(json!({ "update": update }))
}

fn check_version(object: &Object, wanted: &str) -> Result<()> {
    let present = super::doc_text(object, "/version");
    let minor = |v: &str| v.split('.').nth(1).and_then(|m| m.parse::<u32>().ok());
    let next = VERSIONS.contains(&wanted) && minor(wanted) == minor(present).map(|m| m + 1);
    if next {
        return Ok(());
    }
    Err(invalid(format!("Unsupported Kubernetes minor version update from {present} to {wanted}")))
}

fn kind_of_change(object: &Object, request: &Value) -> Result<&'static str> {
    let doc = object.props.get("doc").cloned().unwrap_or_default();
    let mut kinds = Vec::new();
    for (field, kind) in [
        ("resourcesVpcConfig", "EndpointAccessUpdate"),
        ("logging", "LoggingUpdate"),
        ("accessConfig", "AccessConfigUpdate"),
        ("deletionProtection", "DeletionProtectionUpdate"),
        ("upgradePolicy", "UpgradePolicyUpdate"),
    ] {
        if let Some(wanted) = request.get(field) {
            kinds.push((kind, is_part(wanted, &doc[field])));
        }
    }
    match &kinds[..] {
        [] => Err(invalid("The request names nothing to update")),
        [(kind, false)] => Ok(kind),
        [(_, true)] => Err(invalid("No changes needed")),
        _ => Err(invalid("Only one type of update can be allowed.")),
    }
}

/// Whether every leaf of `wanted` is already so in `present`.
fn is_part(wanted: &Value, present: &Value) -> bool {
    match (wanted, present) {
        (Value::Object(w), Value::Object(p)) => {
            w.iter().all(|(k, v)| v.is_null() || is_part(v, p.get(k).unwrap_or(&Value::Null)))
        }
        _ => wanted == present,
    }
}

fn apply(doc: &mut serde_json::Map<String, Value>, request: &Value) {
    for (key, value) in request.as_object().into_iter().flatten() {
        match (doc.get_mut(key), value) {
            (Some(Value::Object(present)), Value::Object(wanted)) => {
                for (k, v) in wanted {
                    if !v.is_null() {
                        present.insert(k.clone(), v.clone());
                    }
                }
            }
            (Some(slot), _) if key != "clientRequestToken" => *slot = value.clone(),
            _ => {}
        }
    }
}

/// ListUpdates and DescribeUpdate, of the cluster or of one of its node groups or add-ons.
///
/// # Errors
/// Not found.
pub(crate) fn updates(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let name = call.var(0);
    let owner = if let Some(nodegroup) = call.params.get("nodegroupName") {
        super::nodegroup::existing(ctx, name, nodegroup)?
    } else if let Some(addon) = call.params.get("addonName") {
        super::addon::existing(ctx, name, addon)?
    } else {
        cluster(ctx, name)?
    };
    let all = owner.props.get("updates").and_then(Value::as_array).cloned().unwrap_or_default();
    if call.action == "ListUpdates" {
        let ids: Vec<&Value> = all.iter().map(|u| &u["id"]).collect();
        return Ok(json!({ "updateIds": ids, "nextToken": null }));
    }
    let wanted = call.var(1);
    let update = all.into_iter().find(|u| u["id"] == wanted);
    update
        .map(|u| json!({ "update": u }))
        .ok_or_else(|| -> ApiError { not_found(format!("No update found for ID: {wanted}")) })
}
