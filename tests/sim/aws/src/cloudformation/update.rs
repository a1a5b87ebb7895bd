//! UpdateStack: new resources are made, changed ones changed in place, the rest deleted at the end.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks.html>. A failed update
//! goes back to the template before; replacements are refused as a failed update.

use super::{
    delete::try_delete,
    order::Order,
    progress::{enter, enter_stack, lookup, outputs, tags_of},
    resources,
    stack::{Phase, Stack, StackResource},
    template, values,
};
use crate::{
    durations,
    rights::{self, stack::Handler},
    step::AwsStep,
};
use cloudsim_core::{call::Result, clock::Micros, ctx::Ctx};
use serde_json::Value;
use std::collections::BTreeSet;

/// A resource that is yet to be made.
#[must_use]
pub(crate) fn planned(logical: &str, kind: &str, needs: BTreeSet<String>, now: Micros) -> StackResource {
    StackResource {
        logical: logical.to_owned(),
        kind: kind.to_owned(),
        physical: None,
        status: String::new(),
        reason: None,
        needs,
        attributes: std::collections::BTreeMap::new(),
        properties: Value::Null,
        changed_us: now,
        delete_since_us: None,
        deleted: false,
    }
}

/// Begins an update towards `next`, which has the new body, parameters and tags.
///
/// # Errors
/// Validation, or nothing to change.
pub(crate) fn begin(ctx: &mut Ctx<'_>, stack: &mut Stack, mut next: Stack) -> Result<()> {
    let found = lookup(ctx, &next);
    let needs = template::graph(&found)?;
    let mut changed = Vec::new();
    for (logical, wants) in &needs {
        let kind =
            found.template.pointer(&format!("/Resources/{logical}/Type")).map(values::scalar).unwrap_or_default();
        match next.resources.get_mut(logical) {
            Some(present) if present.kind == kind => {
                present.needs.clone_from(wants);
                changed.push(logical.clone());
            }
            _ => drop(next.resources.insert(logical.clone(), planned(logical, &kind, wants.clone(), ctx.now))),
        }
    }
    let leaving: Vec<String> = next.resources.keys().filter(|l| !needs.contains_key(*l)).cloned().collect();
    for logical in &leaving {
        if let Some(resource) = next.resources.remove(logical) {
            next.leaving.insert(logical.clone(), resource);
        }
    }
    let same_resources = leaving.is_empty() && next.resources.len() == stack.resources.len();
    let same_text =
        next.template() == stack.template() && next.parameters == stack.parameters && next.tags == stack.tags;
    if same_resources && same_text {
        return Err(values::invalid("No updates are to be performed."));
    }
    let before = stack.clone();
    *stack = next;
    stack.before = Some(Box::new(before.clone()));
    stack.operation += 1;
    stack.phase = Phase::Updating;
    stack.updated_us = Some(ctx.now);
    enter_stack(ctx, stack, "UPDATE_IN_PROGRESS", Some("User Initiated".to_owned()));
    let tags = stack.tags.clone();
    ctx.change(&stack.id.clone(), |o| o.tags = tags);
    for logical in changed {
        if let Some(reason) = update_resource(ctx, stack, &logical) {
            enter(ctx, stack, &logical, "UPDATE_FAILED", Some(reason));
            fail(ctx, stack, &logical, before);
            return Ok(());
        }
    }
    let ms = ctx.draw(durations::STACK_OVERHEAD, &format!("{}/update{}", stack.name, stack.operation));
    ctx.begin_work("update", &stack.id.clone(), ms);
    ctx.after(ms, AwsStep::StackTick { stack: stack.id.clone() });
    Ok(())
}

/// Changes one resource in place; gives the reason if that cannot be.
fn update_resource(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str) -> Option<String> {
    let resource = stack.resources.get(logical).cloned()?;
    let found = lookup(ctx, stack);
    let raw = found.template.pointer(&format!("/Resources/{logical}/Properties")).cloned().unwrap_or_default();
    // What refers to a resource that is yet to be made cannot be resolved now and counts as unchanged.
    let Ok(properties) = found.resolve(&raw) else {
        return None;
    };
    let order = Order {
        kind: &resource.kind,
        name: format!("{}/{logical}", stack.name),
        properties: &properties,
        tags: tags_of(stack, logical, &properties),
        default_name: String::new(),
    };
    if properties == resource.properties
        && order.tags == tags_of(stack.before.as_deref()?, logical, &resource.properties)
    {
        return None;
    }
    let allowed = rights::stack::check(ctx, stack, &resource.kind, Handler::Update, resource.role());
    if let Err(error) = allowed.and_then(|()| resources::update(ctx, &resource, &order)) {
        return Some(error.message);
    }
    let attributes = resources::attributes_after_update(ctx, &resource);
    if let Some(resource) = stack.resources.get_mut(logical) {
        resource.properties = properties;
        resource.attributes.extend(attributes);
    }
    enter(ctx, stack, logical, "UPDATE_IN_PROGRESS", None);
    enter(ctx, stack, logical, "UPDATE_COMPLETE", None);
    None
}

/// What an existing resource says of ones that are new is known only now.
fn update_late(ctx: &mut Ctx<'_>, stack: &mut Stack) -> Option<(String, String)> {
    let found = lookup(ctx, stack);
    let late: Vec<String> = stack
        .resources
        .values()
        .filter(|r| {
            let raw = found.template.pointer(&format!("/Resources/{}/Properties", r.logical)).cloned();
            found.resolve(&raw.unwrap_or_default()).is_ok_and(|properties| properties != r.properties)
        })
        .map(|r| r.logical.clone())
        .collect();
    late.into_iter().find_map(|logical| update_resource(ctx, stack, &logical).map(|reason| (logical, reason)))
}

/// All new resources exist: change what refers to them, delete what leaves, then the update is complete.
pub(crate) fn finish(ctx: &mut Ctx<'_>, stack: &mut Stack) {
    if let Some((logical, reason)) = update_late(ctx, stack) {
        enter(ctx, stack, &logical, "UPDATE_FAILED", Some(reason));
        if let Some(before) = stack.before.take() {
            fail(ctx, stack, &logical, *before);
        }
        return;
    }
    let waiting: Vec<String> = stack
        .leaving
        .values()
        .filter(|r| r.exists() && r.delete_since_us.is_none())
        .filter(|r| !stack.leaving.values().any(|other| other.exists() && other.needs.contains(&r.logical)))
        .map(|r| r.logical.clone())
        .collect();
    for logical in &waiting {
        if let Some(resource) = stack.leaving.get_mut(logical) {
            resource.delete_since_us = Some(ctx.now);
            "DELETE_IN_PROGRESS".clone_into(&mut resource.status);
        }
        try_delete(ctx, stack, logical);
    }
    if stack.leaving.values().any(|r| r.exists() && r.status != "DELETE_FAILED") {
        return;
    }
    stack.leaving.clear();
    stack.before = None;
    stack.phase = Phase::Idle;
    if let Ok(found) = outputs(ctx, stack) {
        stack.outputs = found;
    }
    ctx.end_work("update", &stack.id);
    enter_stack(ctx, stack, "UPDATE_COMPLETE", None);
}

/// A resource of the update could not be made or changed: what the update made goes again, what was stays.
pub(crate) fn fail(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str, before: Stack) {
    let new: Vec<StackResource> =
        stack.resources.values().filter(|r| !before.resources.contains_key(&r.logical)).cloned().collect();
    for resource in new.iter().rev().filter(|r| r.exists()) {
        // Whatever refuses to go stays, as in a rollback that AWS calls complete with leftovers.
        let _ = resources::delete(ctx, resource);
    }
    let events = std::mem::take(&mut stack.events);
    let operation = stack.operation + 1;
    let updated_us = stack.updated_us;
    *stack = before;
    stack.events = events;
    stack.operation = operation;
    stack.updated_us = updated_us;
    stack.phase = Phase::Idle;
    ctx.end_work("update", &stack.id.clone());
    let reason = format!("The following resource(s) failed to update: [{logical}].");
    enter_stack(ctx, stack, "UPDATE_ROLLBACK_IN_PROGRESS", Some(reason));
    enter_stack(ctx, stack, "UPDATE_ROLLBACK_COMPLETE", None);
}
