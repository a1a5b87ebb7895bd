//! One resource of Compute: how it comes to be, what it refers to, who uses it, how it is shown.

use super::{collections, collections::Collection};
use crate::{
    kinds::GcpKind,
    names::{
        COMPUTE, doc_text, document, fingerprint, instant, label_fingerprint, labels, last, numeric, relative, scope_of,
    },
};
use cloudsim_core::{
    ctx::Ctx,
    object::{Object, Owner, Tags},
};
use serde_json::{Map, Value, json};

/// A resource about to be made.
#[derive(Debug)]
pub(crate) struct New<'a> {
    /// Its collection.
    pub collection: &'static Collection,
    /// Its id.
    pub id: &'a str,
    /// Its document, checked.
    pub doc: Map<String, Value>,
    /// Who makes it.
    pub owner: Owner,
    /// Its first state.
    pub state: &'a str,
    /// Its labels.
    pub labels: Tags,
}

/// Makes a resource; gives how long that takes in simulated milliseconds.
pub(crate) fn create(ctx: &mut Ctx<'_>, new: New<'_>) -> u64 {
    let New { collection, id, mut doc, owner, state, labels: wanted } = new;
    let project = id.split('/').nth(1).unwrap_or_default().to_owned();
    doc.remove("labels");
    doc.insert("id".to_owned(), json!(numeric(&ctx.world.hex(16))));
    doc.insert("creationTimestamp".to_owned(), json!(instant(ctx.now)));
    let mut object = Object::new(collection.kind, id, format!("//compute.googleapis.com/{id}"), ctx.now);
    object.name = Some(last(id).to_owned());
    object.vpc = doc.get("network").and_then(Value::as_str).map(|link| relative(link, &project));
    object.owner = owner;
    state.clone_into(&mut object.state);
    object.tags = if collection.labelled { wanted } else { marks(&doc) };
    let refs = references(&doc, &project, id);
    let location = scope_of(id);
    let object = object.with("doc", doc).with("refs", refs).with("location", last(&location));
    ctx.create(object);
    ctx.draw(collection.span, id)
}

/// What the description of a resource without labels says, if it is a JSON object of texts.
fn marks(doc: &Map<String, Value>) -> Tags {
    let description = doc.get("description").and_then(Value::as_str).unwrap_or_default();
    labels(serde_json::from_str::<Value>(description).ok().as_ref())
}

/// Sets what follows from a changed document.
pub(crate) fn refresh(object: &mut Object) {
    let project = object.id.split('/').nth(1).unwrap_or_default().to_owned();
    let doc = document(object);
    let refs = references(&doc, &project, &object.id);
    object.set("refs", refs);
    if collections::of_kind(object.kind).is_some_and(|c| !c.labelled) {
        object.tags = marks(&doc);
    }
}

/// The ids that a document names anywhere.
fn references(doc: &Map<String, Value>, project: &str, own: &str) -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>, project: &str) {
        match value {
            Value::String(text) if text.contains("projects/") && text.split('/').count() > 4 && !text.contains(' ') => {
                found.push(relative(text, project));
            }
            Value::Array(items) => items.iter().for_each(|v| walk(v, found, project)),
            Value::Object(fields) => fields.values().for_each(|v| walk(v, found, project)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (key, value) in doc {
        if key != "description" {
            walk(value, &mut found, project);
        }
    }
    found.sort();
    found.dedup();
    found.retain(|id| id != own);
    found
}

/// Who uses the resource `id`, if anybody: the first by id.
pub(crate) fn user_of(ctx: &mut Ctx<'_>, id: &str) -> Option<String> {
    users_of(ctx, id).into_iter().next()
}

/// All who use the resource `id`.
pub(crate) fn users_of(ctx: &mut Ctx<'_>, id: &str) -> Vec<String> {
    let Some(kind) = ctx.scope().get(id).and_then(|o| GcpKind::of(o.kind)) else {
        return Vec::new();
    };
    let network =
        if kind == GcpKind::Network { Some(id.to_owned()) } else { ctx.scope().get(id).and_then(|o| o.vpc.clone()) };
    let scope = ctx.scope();
    let uses = |o: &&Object| o.is_live() && o.texts("refs").any(|r| r == id);
    let mut users: Vec<String> = match (kind, network) {
        // Whatever uses these lies in the network.
        (GcpKind::Network | GcpKind::Subnetwork, Some(network)) => {
            scope.in_vpc(&network).filter(uses).map(|o| o.id.clone()).collect()
        }
        _ => {
            let among = users_among(kind).iter().flat_map(|user| scope.of_kind(*user));
            among.filter(uses).map(|o| o.id.clone()).collect()
        }
    };
    users.sort();
    users
}

/// The kinds that may name one of `kind`.
fn users_among(kind: GcpKind) -> &'static [GcpKind] {
    use GcpKind as K;
    match kind {
        K::Router | K::Firewall | K::ForwardingRule => &[],
        K::Address => &[K::ForwardingRule, K::Router],
        K::Disk => &[K::Instance],
        K::TargetPool | K::TargetHttpProxy | K::TargetHttpsProxy => &[K::ForwardingRule],
        K::UrlMap => &[K::TargetHttpProxy, K::TargetHttpsProxy],
        _ => &[K::ForwardingRule, K::TargetPool, K::BackendService, K::UrlMap, K::InstanceGroupManager],
    }
}

/// The document of a resource as it is shown now.
pub(crate) fn render(ctx: &mut Ctx<'_>, object: &Object) -> Value {
    let mut doc = document(object);
    let link = format!("{COMPUTE}{}", object.id);
    let project = object.id.split('/').nth(1).unwrap_or_default();
    let scope = scope_of(&object.id);
    if let Some(collection) = collections::of_kind(object.kind) {
        doc.insert("kind".to_owned(), json!(collection.doc_kind));
        if collection.labelled {
            doc.insert("labelFingerprint".to_owned(), json!(label_fingerprint(&object.tags)));
            if !object.tags.is_empty() {
                doc.insert("labels".to_owned(), json!(object.tags));
            }
        }
    }
    doc.insert("selfLink".to_owned(), json!(link));
    if let Some((level, place)) = scope.split_once('/') {
        let key = if level == "zones" { "zone" } else { "region" };
        doc.insert(key.to_owned(), json!(format!("{COMPUTE}projects/{project}/{level}/{place}")));
    }
    computed(ctx, object, &mut doc, &link);
    Value::Object(doc)
}

/// Fields that follow from other resources.
fn computed(ctx: &mut Ctx<'_>, object: &Object, doc: &mut Map<String, Value>, link: &str) {
    let Some(kind) = GcpKind::of(object.kind) else {
        return;
    };
    let full = |ids: Vec<String>| json!(ids.iter().map(|id| format!("{COMPUTE}{id}")).collect::<Vec<_>>());
    match kind {
        GcpKind::Network => {
            doc.insert("selfLinkWithId".to_owned(), json!(link));
            let mut subnets: Vec<String> = ctx
                .scope()
                .in_vpc(&object.id)
                .filter(|o| o.kind == GcpKind::Subnetwork)
                .map(|o| o.id.clone())
                .collect();
            subnets.sort();
            if !subnets.is_empty() {
                doc.insert("subnetworks".to_owned(), full(subnets));
            }
        }
        GcpKind::Subnetwork => {
            doc.remove("fingerprint");
            let print = fingerprint(&json!(doc).to_string());
            doc.insert("fingerprint".to_owned(), json!(print));
        }
        GcpKind::Address | GcpKind::Disk => {
            let users = users_of(ctx, &object.id);
            if kind == GcpKind::Address && doc_text(object, "/purpose") != "VPC_PEERING" {
                doc.insert("status".to_owned(), json!(if users.is_empty() { "RESERVED" } else { "IN_USE" }));
            }
            if !users.is_empty() {
                doc.insert("users".to_owned(), full(users));
            }
        }
        _ => {}
    }
}
