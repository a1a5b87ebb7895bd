//! Resource groups: making, tagging, and deleting with all that is inside.
//!
//! <https://learn.microsoft.com/rest/api/resources/resource-groups>; in what order the inside is deleted, and what happens if
//! something cannot be: <https://learn.microsoft.com/azure/azure-resource-manager/management/delete-resource-group>.

use super::{
    aks, compute, dns,
    id::{self, Target},
    kind::AzureKind,
    lro, msi, network, references, resource, shown,
    state::{Failure, Operation, Verb},
    step::AzureStep,
    wire::unknown,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// How often Resource Manager sweeps what is left, in simulated milliseconds.
const TICK_MS: u64 = 5_000;
/// Sweeps in a row in which nothing moved, after which it gives up: Azure tries for some minutes.
const IDLE_MAX: u32 = 24;

/// Handles a call.
///
/// # Errors
/// In Resource Manager's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    match call.action.as_str() {
        "resourceGroups.List" => list(ctx, call),
        "resourceGroups.CreateOrUpdate" => put(ctx, call, target),
        "resourceGroups.Get" => {
            let group = existing(ctx, target)?;
            Ok(Reply::Json(200, shown::document(ctx, &group)))
        }
        "resourceGroups.CheckExistence" => {
            let found = resource::seen(ctx, AzureKind::ResourceGroup, &target.key()).is_some();
            Ok(Reply::Json(if found { 204 } else { 404 }, Value::Null))
        }
        "resourceGroups.Update" => {
            let group = existing(ctx, target)?;
            resource::open_group(ctx, target)?;
            if call.json.get("tags").is_some() {
                let tags = resource::tags_of(call.json.get("tags"));
                ctx.change(&group.id, |o| o.tags = tags);
            }
            let group = existing(ctx, target)?;
            Ok(Reply::Json(200, shown::document(ctx, &group)))
        }
        "resourceGroups.Delete" => {
            let group = existing(ctx, target)?;
            let operation = delete(ctx, &group);
            Ok(lro::delete_response(ctx, call, &operation, &group))
        }
        _ => Err(unknown(call)),
    }
}

fn existing(ctx: &mut Ctx<'_>, target: &Target) -> Result<Object> {
    resource::seen(ctx, AzureKind::ResourceGroup, &target.key()).ok_or_else(|| {
        let message = format!("Resource group '{}' could not be found.", target.group());
        ApiError::new("ResourceGroupNotFound", message).status(404)
    })
}

fn list(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let filter = super::listing::Filter::parse(call.params.text("$filter"))?;
    let mut groups: Vec<Object> = ctx.scope().of_kind(AzureKind::ResourceGroup).cloned().collect();
    groups.retain(|g| ctx.sees(g.created_us) && filter.fits(g));
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    let value: Vec<Value> = groups.iter().map(|g| shown::document(ctx, g)).collect();
    Ok(Reply::Json(200, json!({ "value": value })))
}

fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let name = target.group();
    let good = !name.is_empty()
        && name.len() <= 90
        && !name.ends_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c));
    if !good {
        let message = format!(
            "The provided resource group name '{name}' has these invalid characters: it may only have alphanumerics, periods, underscores, hyphens and parentheses, may not end with a period and has 90 characters at most."
        );
        return Err(ApiError::new("InvalidResourceGroup", message));
    }
    let present = resource::present(ctx, AzureKind::ResourceGroup, &target.key());
    let wanted = resource::normal(call.field("location"));
    if wanted.is_empty() {
        return Err(ApiError::new("LocationRequired", "The location property is required for this definition."));
    }
    if let Some(group) = present {
        resource::open_group(ctx, target)?;
        let actual = resource::location(&group);
        if actual != wanted {
            let message = format!(
                "Invalid resource group location '{wanted}'. The Resource group already exists in location '{actual}'."
            );
            return Err(ApiError::new("InvalidResourceGroupLocation", message).status(409));
        }
        let mut next = group.clone();
        resource::put_body(ctx, &mut next, &call.json);
        ctx.change(&group.id, |o| *o = next.clone());
        return Ok(Reply::Json(200, shown::document(ctx, &next)));
    }
    let group = resource::create_group(ctx, &target.id(), &call.json)?;
    Ok(Reply::Json(201, shown::document(ctx, &group)))
}

/// Begins to delete a group, or gives the deletion under way.
pub(crate) fn delete(ctx: &mut Ctx<'_>, group: &Object) -> String {
    if group.state == "Deleting" {
        return group.text("operation").to_owned();
    }
    ctx.change(&group.id, |o| "Deleting".clone_into(&mut o.state));
    let operation = lro::open(ctx, "resources", &group.id, Verb::Delete);
    ctx.after(TICK_MS, AzureStep::GroupTick { operation: operation.clone(), idle: 0 });
    operation
}

/// Checks what is left in a group under deletion, and begins to delete what nothing holds.
pub(crate) fn tick(ctx: &mut Ctx<'_>, operation: &Operation, idle: u32) {
    let Some(group) = ctx.scope().live(&operation.resource).cloned() else {
        lro::end(ctx, &operation.id, None);
        return;
    };
    let name = id::leaf(&group.id).to_owned();
    let inside = resource::in_group(ctx, &name);
    if inside.is_empty() {
        if let Some(failure) = lro::planned_failure(ctx, AzureKind::ResourceGroup, Verb::Delete) {
            give_up(ctx, operation, &group, failure);
            return;
        }
        ctx.delete(&group.id);
        lro::end(ctx, &operation.id, None);
        return;
    }
    // Whatever is being changed, also below something else, may be deletable later.
    let busy = |o: &Object| matches!(o.state.as_str(), "Deleting" | "Creating" | "Updating");
    let mut moving = inside.iter().any(busy);
    let mut stuck = Vec::new();
    for object in inside.iter().filter(|o| is_top(o, &inside) && !busy(o)) {
        match begin(ctx, object) {
            Ok(()) => moving = true,
            Err(error) => stuck.push((object.arn.clone(), error)),
        }
    }
    let idle = if moving { 0 } else { idle + 1 };
    if idle > IDLE_MAX {
        let names: Vec<&str> = stuck.iter().map(|(id, _)| id.as_str()).collect();
        let message = format!(
            "Deletion of resource group '{}' failed as resources with identifiers '{}' could not be deleted. The provisioning state of the resource group will be rolled back. The tracking Id is '{}'. Please check audit logs for more details.",
            id::leaf(&group.arn),
            names.join(","),
            operation.id
        );
        ctx.remark(stuck.first().map_or(String::new(), |(_, error)| error.to_string()));
        give_up(
            ctx,
            operation,
            &group,
            Failure { code: "ResourceGroupDeletionBlocked".to_owned(), message, status: 409 },
        );
        return;
    }
    ctx.after(TICK_MS, AzureStep::GroupTick { operation: operation.id.clone(), idle });
}

fn give_up(ctx: &mut Ctx<'_>, operation: &Operation, group: &Object, failure: Failure) {
    ctx.change(&group.id, |o| "Succeeded".clone_into(&mut o.state));
    lro::end(ctx, &operation.id, Some(failure));
}

/// Whether an object lies below no other of the group.
fn is_top(object: &Object, all: &[Object]) -> bool {
    let below = |parent: &Object| object.id.starts_with(&format!("{}/", parent.id));
    !all.iter().any(below)
}

fn begin(ctx: &mut Ctx<'_>, object: &Object) -> Result<()> {
    let Some(kind) = resource::kind_of(object) else {
        return Ok(());
    };
    match kind.info().service {
        "network" => network::delete(ctx, object, kind).map(drop),
        "dns" => dns::delete_zone(ctx, object).map(drop),
        "containerservice" => aks::cluster::delete(ctx, object).map(drop),
        "compute" => compute::delete(ctx, object, kind).map(drop),
        "managedidentity" => {
            msi::delete(ctx, object);
            Ok(())
        }
        _ => {
            references::remove(ctx, &object.id);
            Ok(())
        }
    }
}
