//! Changes of a resource: patch, labels, and the verbs of single resources.
//!
//! A change applies at once and its operation ends later; one that fails late is taken back.

use super::{
    checks,
    cidr::Range,
    collections::Collection,
    operation::{self, Effect},
    ready, resource,
};
use crate::{
    error::{condition, invalid_field, not_found},
    kinds::GcpKind,
    names::{amend, bad_label, document, label_fingerprint, labels, relative},
};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Map, Value, json};

/// Changes `object`.
///
/// # Errors
/// Not ready, an old fingerprint, bad values, an unknown verb.
pub(super) fn change(
    ctx: &mut Ctx<'_>,
    call: &Call,
    collection: &Collection,
    object: &Object,
    verb: &str,
) -> Result<Value> {
    ready(object)?;
    if verb == "setLabels" && collection.labelled {
        return set_labels(ctx, call, object);
    }
    let before = document(object);
    let mut doc = before.clone();
    let project = call.var(0).to_owned();
    let word = match (verb, collection.kind) {
        ("patch" | "update", GcpKind::Network) => {
            merge(&mut doc, &call.json);
            "updateNetwork"
        }
        ("patch" | "update", GcpKind::Subnetwork) => {
            check_fingerprint(ctx, call, object)?;
            merge(&mut doc, &call.json);
            subnetwork_fits(ctx, object, &doc)?;
            "patch"
        }
        ("patch" | "update", _) => {
            merge(&mut doc, &call.json);
            if collection.kind == GcpKind::Router {
                checks::nats(ctx, &mut doc, &project)?;
            }
            if verb == "patch" { "patch" } else { "update" }
        }
        ("setPrivateIpGoogleAccess", GcpKind::Subnetwork) => {
            doc.insert("privateIpGoogleAccess".to_owned(), call.json["privateIpGoogleAccess"].clone());
            verb
        }
        ("expandIpCidrRange", GcpKind::Subnetwork) => {
            expand(ctx, object, &mut doc, call.field("ipCidrRange"))?;
            verb
        }
        ("resize", GcpKind::Disk) => {
            let size = &call.json["sizeGb"];
            let size = size.as_str().and_then(|s| s.parse().ok()).or(size.as_u64()).unwrap_or(0_u64);
            let present = doc.get("sizeGb").and_then(Value::as_str).and_then(|s| s.parse().ok()).unwrap_or(0_u64);
            if size <= present {
                let why = "New disk size must be larger than the current one.";
                return Err(invalid_field("sizeGb", &size.to_string(), why));
            }
            doc.insert("sizeGb".to_owned(), json!(size.to_string()));
            "resizeDisk"
        }
        ("setTarget", GcpKind::ForwardingRule) => {
            let target = relative(call.field("target"), &project);
            super::visible(ctx, &target)?;
            doc.insert("target".to_owned(), json!(format!("{}{target}", crate::names::COMPUTE)));
            verb
        }
        _ => return Err(not_found("The requested URL was not found on this server.")),
    };
    apply(ctx, call, collection, object, (before, doc), word)
}

fn apply(
    ctx: &mut Ctx<'_>,
    call: &Call,
    collection: &Collection,
    object: &Object,
    (before, doc): (Map<String, Value>, Map<String, Value>),
    word: &str,
) -> Result<Value> {
    ctx.change(&object.id, |o| {
        o.set("doc", doc);
        resource::refresh(o);
    });
    let ms = ctx.draw(collection.span, &format!("{}/{}", object.id, call.request_id));
    ctx.begin_work("update", &object.id, ms);
    let body = operation::begin(ctx, call, &object.id, Effect::Change, word, ms)?;
    let id = crate::names::relative(body["selfLink"].as_str().unwrap_or_default(), call.var(0));
    ctx.adjust(&id, |o| o.set("before", before));
    Ok(body)
}

/// Merges as JSON merge patch does; lists are replaced.
fn merge(doc: &mut Map<String, Value>, patch: &Value) {
    for (key, value) in patch.as_object().into_iter().flatten() {
        if matches!(key.as_str(), "id" | "name" | "selfLink" | "fingerprint" | "labels" | "creationTimestamp") {
            continue;
        }
        match (doc.get_mut(key), value) {
            (Some(Value::Object(present)), Value::Object(_)) => merge(present, value),
            (_, Value::Null) => {
                doc.remove(key);
            }
            _ => {
                doc.insert(key.clone(), value.clone());
            }
        }
    }
}

fn check_fingerprint(ctx: &mut Ctx<'_>, call: &Call, object: &Object) -> Result<()> {
    let present = resource::render(ctx, object)["fingerprint"].clone();
    let given = call.field("fingerprint");
    if given.is_empty() || present == given {
        return Ok(());
    }
    Err(condition("Supplied fingerprint does not match current metadata fingerprint."))
}

fn subnetwork_fits(ctx: &mut Ctx<'_>, object: &Object, doc: &Map<String, Value>) -> Result<()> {
    let network = object.vpc.clone().unwrap_or_default();
    checks::disjoint(ctx, &network, &checks::ranges(doc)?, &object.id)
}

fn expand(ctx: &mut Ctx<'_>, object: &Object, doc: &mut Map<String, Value>, range: &str) -> Result<()> {
    let present = doc.get("ipCidrRange").and_then(Value::as_str).and_then(Range::parse);
    let grows = Range::parse(range).zip(present).is_some_and(|(new, old)| new.contains(old) && new != old);
    if !grows {
        return Err(invalid_field("ipCidrRange", range, "The new range must contain the present one."));
    }
    doc.insert("ipCidrRange".to_owned(), json!(range));
    subnetwork_fits(ctx, object, doc)
}

fn set_labels(ctx: &mut Ctx<'_>, call: &Call, object: &Object) -> Result<Value> {
    if call.field("labelFingerprint") != label_fingerprint(&object.tags) {
        return Err(condition("Labels fingerprint either invalid or resource labels have changed"));
    }
    let wanted = labels(call.json.get("labels"));
    if let Some(bad) = bad_label(&wanted) {
        return Err(invalid_field("labels", bad, "Label keys and values must be lowercase, at most 63 characters."));
    }
    ctx.change(&object.id, |o| {
        o.tags = wanted;
        amend(o, |_| {});
    });
    operation::begin(ctx, call, &object.id, Effect::Change, "setLabels", 0)
}
