//! Management locks of resource groups: while one is there, nothing in the group and not the group itself is deleted.
//!
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources>,
//! <https://learn.microsoft.com/rest/api/resources/management-locks>

use super::{id::Target, kind::AzureKind, resource, shown, wire::unknown};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

const KIND: AzureKind = AzureKind::ManagementLock;

/// Handles a call.
///
/// # Errors
/// In the service's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    match call.action.as_str() {
        "locks.CreateOrUpdate" => {
            resource::open_group(ctx, target)?;
            let lock = resource::new(ctx, KIND, &target.id(), &call.json);
            ctx.create(lock.clone());
            Ok(Reply::Json(201, shown::document(ctx, &lock)))
        }
        "locks.List" => {
            let value: Vec<Value> = of_group(ctx, target).iter().map(|lock| shown::document(ctx, lock)).collect();
            Ok(Reply::Json(200, json!({ "value": value })))
        }
        "locks.Delete" => {
            if let Some(lock) = resource::present(ctx, KIND, &target.key()) {
                ctx.delete(&lock.id);
            }
            Ok(Reply::Json(200, Value::Null))
        }
        _ => Err(unknown(call)),
    }
}

fn of_group(ctx: &mut Ctx<'_>, target: &Target) -> Vec<Object> {
    let group = format!("/resourcegroups/{}/", target.group().to_lowercase());
    ctx.scope().of_kind(KIND).filter(|lock| lock.is_live() && lock.id.contains(&group)).cloned().collect()
}

/// Refuses a deletion in a group that is locked.
///
/// # Errors
/// ScopeLocked.
pub(crate) fn check(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<()> {
    if call.method != "DELETE" || target.group.is_none() || call.action.starts_with("locks.") {
        return Ok(());
    }
    let Some(lock) = of_group(ctx, target).into_iter().next() else { return Ok(()) };
    let message = format!(
        "The scope '{}' cannot perform delete operation because following scope(s) are locked: '{}'. Please remove the lock and try again.",
        target.id(),
        lock.arn
    );
    Err(ApiError::new("ScopeLocked", message).status(409))
}
