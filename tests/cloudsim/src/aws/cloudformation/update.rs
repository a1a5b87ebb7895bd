//! UpdateStack: new resources are made, changed ones changed in place, the rest deleted at the end.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks.html>. A failed update
//! goes back to the template before; replacements are refused as a failed update.

use super::{
    engine::{enter_stack, lookup, outputs, tags_of, try_delete},
    resources::{self, Order},
    stack::{Phase, Stack, StackResource},
    template,
};
use crate::{call::Result, clock::Micros, duration, schedule::Step, world::Ctx};
use serde_json::Value;
use std::collections::BTreeSet;

/// A resource that is yet to be made.
#[must_use]
pub fn planned(logical: &str, kind: &str, needs: BTreeSet<String>, now: Micros) -> StackResource {
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
pub fn begin(ctx: &mut Ctx<'_>, stack: &mut Stack, mut next: Stack) -> Result<()> {
    let found = lookup(ctx, &next);
    let needs = template::graph(&found)?;
    let mut changed = Vec::new();
    for (logical, wants) in &needs {
        let kind = found.template.pointer(&format!("/Resources/{logical}/Type")).map(template::scalar).unwrap_or_default();
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
    let same_text = next.template() == stack.template() && next.parameters == stack.parameters && next.tags == stack.tags;
    if same_resources && same_text {
        return Err(template::invalid("No updates are to be performed."));
    }
    *stack = next;
    stack.operation += 1;
    stack.phase = Phase::Updating;
    stack.updated_us = Some(ctx.now);
    enter_stack(ctx, stack, "UPDATE_IN_PROGRESS", Some("User Initiated".to_owned()));
    let tags = stack.tags.clone();
    ctx.change(&stack.id.clone(), |o| o.tags = tags);
    for logical in changed {
        update_resource(ctx, stack, &logical);
    }
    let ms = ctx.draw(duration::STACK_OVERHEAD, &format!("{}/update{}", stack.name, stack.operation));
    ctx.begin_work("update", &stack.id.clone(), ms);
    ctx.after(ms, Step::StackTick { stack: stack.id.clone() });
    Ok(())
}

fn update_resource(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str) {
    let Some(resource) = stack.resources.get(logical).cloned() else { return };
    let found = lookup(ctx, stack);
    let raw = found.template.pointer(&format!("/Resources/{logical}/Properties")).cloned().unwrap_or_default();
    // What refers to a resource that is yet to be made cannot be resolved now and counts as unchanged.
    let Ok(properties) = found.resolve(&raw) else { return };
    let order = Order {
        kind: &resource.kind,
        name: format!("{}/{logical}", stack.name),
        properties: &properties,
        tags: tags_of(stack, logical, &properties),
        default_name: String::new(),
    };
    let result = resources::update(ctx, &resource, &order);
    if let Some(resource) = stack.resources.get_mut(logical) {
        resource.changed_us = ctx.now;
        match result {
            Ok(()) => {
                "UPDATE_COMPLETE".clone_into(&mut resource.status);
                resource.properties = properties;
            }
            Err(error) => {
                "UPDATE_FAILED".clone_into(&mut resource.status);
                resource.reason = Some(error.message);
            }
        }
    }
}

/// All new resources exist: delete what leaves, then the update is complete.
pub fn finish(ctx: &mut Ctx<'_>, stack: &mut Stack) {
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
    stack.phase = Phase::Idle;
    if let Ok(found) = outputs(ctx, stack) {
        stack.outputs = found;
    }
    ctx.end_work("update", &stack.id);
    enter_stack(ctx, stack, "UPDATE_COMPLETE", None);
}

/// A resource of the update could not be made: what the update made goes again, what was stays.
pub fn fail(ctx: &mut Ctx<'_>, stack: &mut Stack, logical: &str) {
    stack.operation += 1;
    let made: Vec<String> =
        stack.resources.values().filter(|r| r.status.starts_with("CREATE") && r.changed_us >= stack.updated_us.unwrap_or(0)).map(|r| r.logical.clone()).collect();
    for one in made.iter().rev() {
        if let Some(resource) = stack.resources.remove(one)
            && resource.exists()
        {
            let _ = resources::delete(ctx, &resource);
        }
    }
    for (name, resource) in std::mem::take(&mut stack.leaving) {
        stack.resources.insert(name, resource);
    }
    stack.phase = Phase::Idle;
    ctx.end_work("update", &stack.id);
    let reason = format!("The following resource(s) failed to create: [{logical}].");
    enter_stack(ctx, stack, "UPDATE_ROLLBACK_COMPLETE", Some(reason));
}
