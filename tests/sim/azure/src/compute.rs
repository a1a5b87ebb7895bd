//! Microsoft.Compute as far as clusters leave things there: scale sets of nodes, disks of claims and their snapshots; and machines,
//! which others, or an autoscaler that makes nodes by itself, put beside them.
//!
//! <https://learn.microsoft.com/rest/api/compute/disks>,
//! <https://learn.microsoft.com/rest/api/compute/virtual-machines>,
//! <https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-sets>. Of these a caller can make
//! disks, snapshots and machines only. Interfaces and disks of a machine stay when it is deleted (`deleteOption` Detach, the
//! default): <https://learn.microsoft.com/azure/virtual-machines/delete>.

use super::{aks, durations, id::Target, kind::AzureKind, lro, references, resource, shown, wire::unknown};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Handles a call.
///
/// # Errors
/// In the provider's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let Some(kind) = target.kind() else {
        return usages(ctx, call, target);
    };
    match call.action.rsplit('.').next().unwrap_or_default() {
        "Get" => shown::one(ctx, kind, target),
        "List" | "ListAll" => Ok(Reply::Json(200, shown::list(ctx, kind, target)?)),
        "CreateOrUpdate" if matches!(kind, AzureKind::Disk | AzureKind::Snapshot | AzureKind::VirtualMachine) => {
            resource::open_group(ctx, target)?;
            let present = resource::present(ctx, kind, &target.key());
            resource::check_location(call, target, present.as_ref())?;
            references::check(ctx, kind, &target.id(), &call.json)?;
            let mut object = resource::new(ctx, kind, &target.id(), &call.json);
            match present {
                Some(before) => {
                    // The links of before are needed to see which of them go.
                    object.set("refs", before.texts("refs").map(str::to_owned).collect::<Vec<_>>());
                    ctx.change(&before.id, |o| *o = object.clone());
                }
                None => ctx.create(object.clone()),
            }
            references::link(ctx, &object);
            Ok(Reply::Json(200, shown::document(ctx, &object)))
        }
        "Delete" => {
            resource::check_group(ctx, target)?;
            let Some(object) = resource::present(ctx, kind, &target.key()) else {
                return Ok(Reply::Json(204, Value::Null));
            };
            let operation = delete(ctx, &object, kind)?;
            Ok(lro::delete_response(ctx, call, &operation, &object))
        }
        _ => Err(unknown(call)),
    }
}

/// Begins to delete; gives the operation's id.
///
/// # Errors
/// A disk attached to a machine that runs.
pub(crate) fn delete(ctx: &mut Ctx<'_>, object: &Object, kind: AzureKind) -> Result<String> {
    if object.state == "Deleting" {
        return Ok(object.text("operation").to_owned());
    }
    let machine = object.text("managed_by").to_owned();
    if kind == AzureKind::Disk && !machine.is_empty() {
        let set = machine.to_lowercase();
        let set = set.split("/virtualmachines/").next().unwrap_or_default();
        if ctx.scope().live(set).is_some_and(|o| o.state != "Deleting") {
            let message = format!("Disk {} is attached to VM {machine}.", object.name.as_deref().unwrap_or_default());
            return Err(ApiError::new("OperationNotAllowed", message).status(409));
        }
    }
    let attached = object.texts("used_by").next().map(str::to_owned);
    if let Some(machine) = attached.filter(|_| kind == AzureKind::Disk) {
        let message = format!("Disk {} is attached to VM {machine}.", object.name.as_deref().unwrap_or_default());
        return Err(ApiError::new("OperationNotAllowed", message).status(409));
    }
    let sim_ms = ctx.draw(durations::COMPUTE_DELETE, &object.id);
    Ok(lro::begin_delete(ctx, object, sim_ms))
}

/// vCPUs in use: <https://learn.microsoft.com/rest/api/compute/usage/list>.
fn usages(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    if call.action != "usages.List" {
        return Err(unknown(call));
    }
    let location = resource::normal(target.name());
    let entry = |name: &str, title: &str, used: u64, limit: u64| json!({ "name": { "value": name, "localizedValue": title }, "unit": "Count", "currentValue": used, "limit": limit });
    let limit = |ctx: &Ctx<'_>, name: &str| ctx.world.quotas.limit(&ctx.key.account, name);
    let used = aks::sizes::used(ctx, &location);
    let total = used.values().sum();
    let mut value = vec![entry("cores", "Total Regional vCPUs", total, limit(ctx, "regional-vcpus"))];
    let per_family = limit(ctx, "vcpus-per-family");
    value.extend(used.iter().map(|(family, used)| entry(family, family, *used, per_family)));
    Ok(Reply::Json(200, json!({ "value": value })))
}
