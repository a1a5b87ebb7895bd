//! Changes of a cluster: version, labels, settings.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/ClusterUpdate>: a request names one setting.

use super::{changeable, enums, operation, pools, versions};
use crate::{
    durations,
    error::{invalid, precondition},
    names::{amend, bad_label, doc_text, label_fingerprint, labels, last},
};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Map, Value, json};

/// Settings that lie in the network's configuration.
const OF_NETWORK: [&str; 4] =
    ["gatewayApiConfig", "datapathProvider", "dnsConfig", "enableCiliumClusterwideNetworkPolicy"];

/// UpdateCluster and UpdateMaster.
///
/// # Errors
/// Not found, busy, nothing to update, a version that cannot be reached.
pub(crate) fn cluster(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = changeable(ctx, call)?;
    let mut update = match call.action.as_str() {
        "UpdateMaster" => json!({ "desiredMasterVersion": call.field("masterVersion") }),
        _ => call.json.get("update").cloned().unwrap_or_default(),
    };
    enums::by_name(&mut update);
    let fields = update.as_object().cloned().unwrap_or_default();
    let wanted = |(k, v): &(&String, &Value)| k.starts_with("desired") && !v.is_null();
    if !fields.iter().any(|f| wanted(&f)) {
        return Err(invalid("Must specify a field to update."));
    }
    if let Some(version) = fields.get("desiredMasterVersion").and_then(Value::as_str) {
        return upgrade(ctx, call, &object, version);
    }
    if let Some(version) = fields.get("desiredNodeVersion").and_then(Value::as_str) {
        return upgrade_nodes(ctx, call, &object, &fields, version);
    }
    if let Some(autoscaling) = fields.get("desiredNodePoolAutoscaling") {
        let pool = pool(ctx, &object, &fields)?;
        ctx.change(&pool.id, |o| {
            amend(o, |doc| {
                doc.insert("autoscaling".to_owned(), autoscaling.clone());
            });
        });
    }
    ctx.change(&object.id, |o| {
        "RECONCILING".clone_into(&mut o.state);
        amend(o, |doc| apply(doc, &fields));
    });
    Ok(begin(ctx, call, &object, "UPDATE_CLUSTER", durations::CLUSTER_UPDATE))
}

fn begin(ctx: &mut Ctx<'_>, call: &Call, object: &Object, kind: &str, span: cloudsim_core::duration::Span) -> Value {
    let ms = ctx.draw(span, &format!("{}/{}", object.id, call.request_id));
    ctx.begin_work("update", &object.id, ms);
    operation::begin(ctx, call, &object.id, &object.id, kind, ms)
}

fn upgrade(ctx: &mut Ctx<'_>, call: &Call, object: &Object, wanted: &str) -> Result<Value> {
    let version = versions::resolve(wanted)?;
    versions::check_upgrade(doc_text(object, "/currentMasterVersion"), version)?;
    // The version shows once the operation is done.
    ctx.change(&object.id, |o| {
        "RECONCILING".clone_into(&mut o.state);
        o.set("next_version", version);
    });
    Ok(begin(ctx, call, object, "UPGRADE_MASTER", durations::MASTER_UPGRADE))
}

fn upgrade_nodes(
    ctx: &mut Ctx<'_>,
    call: &Call,
    object: &Object,
    fields: &Map<String, Value>,
    wanted: &str,
) -> Result<Value> {
    let master = doc_text(object, "/currentMasterVersion").to_owned();
    let version = if wanted == "-" { master.clone() } else { versions::resolve(wanted)?.to_owned() };
    if versions::minor(&version) > versions::minor(&master) {
        return Err(invalid(format!("Node version \"{version}\" must not be newer than the master's \"{master}\".")));
    }
    let pool = pool(ctx, object, fields)?;
    ctx.change(&pool.id, |o| {
        "RECONCILING".clone_into(&mut o.state);
        amend(o, |doc| {
            doc.insert("version".to_owned(), json!(version));
        });
    });
    ctx.adjust(&object.id, |o| "RECONCILING".clone_into(&mut o.state));
    let ms = ctx.draw(durations::NODE_POOL_CREATE, &format!("{}/{version}", pool.id));
    ctx.begin_work("update", &pool.id, ms);
    Ok(operation::begin(ctx, call, &object.id, &pool.id, "UPGRADE_NODES", ms))
}

/// The pool that an update names; the only one if it names none.
fn pool(ctx: &mut Ctx<'_>, object: &Object, fields: &Map<String, Value>) -> Result<Object> {
    let name = fields.get("desiredNodePoolId").and_then(Value::as_str).unwrap_or_default();
    let all = pools(ctx, &object.id);
    let found = all.iter().find(|p| last(&p.id) == name || (name.is_empty() && all.len() == 1));
    found.cloned().ok_or_else(|| invalid(format!("Node pool \"{name}\" does not exist.")))
}

fn apply(doc: &mut Map<String, Value>, fields: &Map<String, Value>) {
    for (key, value) in fields {
        let Some(name) = key.strip_prefix("desired").filter(|n| !n.starts_with("NodePool")) else {
            continue;
        };
        let mut letters = name.chars();
        let first = letters.next().map(|c| c.to_ascii_lowercase()).unwrap_or_default();
        let name = format!("{first}{}", letters.as_str());
        let holder = if OF_NETWORK.contains(&name.as_str()) {
            doc.entry("networkConfig").or_insert_with(|| json!({})).as_object_mut()
        } else {
            Some(&mut *doc)
        };
        let Some(holder) = holder else {
            continue;
        };
        match (holder.get_mut(&name), value) {
            (Some(present @ Value::Object(_)), Value::Object(_)) => super::config::lay_over(present, value, &[]),
            _ => {
                holder.insert(name, value.clone());
            }
        }
    }
}

/// SetLabels.
///
/// # Errors
/// Not found, busy, an old fingerprint, bad labels.
pub(crate) fn set_labels(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = changeable(ctx, call)?;
    let given = call.field("labelFingerprint");
    if !given.is_empty() && given != label_fingerprint(&object.tags) {
        return Err(precondition("Labels could not be set due to fingerprint mismatch."));
    }
    let wanted = labels(call.json.get("resourceLabels"));
    if let Some(bad) = bad_label(&wanted) {
        return Err(invalid(format!("Invalid field 'resource_labels': label {bad:?} is not valid.")));
    }
    ctx.change(&object.id, |o| {
        "RECONCILING".clone_into(&mut o.state);
        o.tags = wanted;
    });
    Ok(begin(ctx, call, &object, "SET_LABELS", durations::SET_LABELS))
}
