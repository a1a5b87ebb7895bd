//! Resources as a GET shows them: what all have, and what each service adds.

use super::{
    aks, dns,
    id::Target,
    kind::AzureKind,
    network,
    resource::{self, check_group, children, in_group, parent_of_collection},
};
use cloudsim_core::{
    call::{Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// The whole document.
pub(crate) fn document(ctx: &mut Ctx<'_>, object: &Object) -> Value {
    let mut body = resource::plain(object);
    let Some(kind) = resource::kind_of(object) else {
        return body;
    };
    match kind.info().service {
        "network" => network::show::add(ctx, object, kind, &mut body),
        "dns" => dns::show::add(ctx, object, kind, &mut body),
        "containerservice" => aks::show::add(ctx, object, kind, &mut body),
        _ => {}
    }
    body
}

/// The response to a GET.
pub(crate) fn one(ctx: &mut Ctx<'_>, kind: AzureKind, target: &Target) -> Result<Reply> {
    let object = resource::existing(ctx, kind, target)?;
    Ok(Reply::Json(200, document(ctx, &object)))
}

/// Replaces the tags, which is all that an update changes of most types.
pub(crate) fn retagged(ctx: &mut Ctx<'_>, call: &Call, kind: AzureKind, target: &Target) -> Result<Reply> {
    let object = resource::existing(ctx, kind, target)?;
    let tags = resource::tags_of(call.json.get("tags"));
    ctx.change(&object.id, |o| o.tags = tags);
    one(ctx, kind, target)
}

/// A list of what a collection has: in a group, below a parent, or in the subscription.
pub(crate) fn list(ctx: &mut Ctx<'_>, kind: AzureKind, target: &Target) -> Result<Value> {
    check_group(ctx, target)?;
    let below = if target.names.is_empty() { None } else { Some(parent_of_collection(ctx, target)?) };
    let of_kind = |o: &&Object| o.kind == kind && o.is_live();
    let mut found: Vec<Object> = match (&target.group, &below) {
        (_, Some(parent)) => children(ctx, parent).into_iter().filter(|o| of_kind(&o)).collect(),
        (Some(group), None) => in_group(ctx, group).into_iter().filter(|o| of_kind(&o)).collect(),
        (None, None) => ctx.scope().of_kind(kind).filter(of_kind).cloned().collect(),
    };
    found.retain(|o| ctx.sees(o.created_us));
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let documents: Vec<Value> = found.iter().map(|o| document(ctx, o)).collect();
    Ok(json!({ "value": documents }))
}
