//! What all kinds of resources share: finding them, their documents, references between them, checks before a change.
//!
//! A PUT replaces whatever was there without asking, as Azure's does. References are kept on both sides, so that nothing is
//! searched when something is deleted. Messages:
//! <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>.

use super::{
    id::{self, Target},
    kind::AzureKind,
};
use cloudsim_core::{
    call::{ApiError, Call, Result},
    ctx::Ctx,
    object::{Object, Tags},
};
use serde_json::{Map, Value, json};

/// The Azure kind of an object in an Azure scope.
#[must_use]
pub(crate) fn kind_of(object: &Object) -> Option<AzureKind> {
    AzureKind::of(object.kind)
}

/// The live object of `kind` with this key, if this call sees it.
pub(crate) fn seen(ctx: &mut Ctx<'_>, kind: AzureKind, key: &str) -> Option<Object> {
    ctx.seen(key).filter(|o| o.kind == kind && o.is_live())
}

/// The same whether or not this call sees it: a write meets what is there.
pub(crate) fn present(ctx: &mut Ctx<'_>, kind: AzureKind, key: &str) -> Option<Object> {
    ctx.scope().live(key).filter(|o| o.kind == kind).cloned()
}

/// The resource that a request is for.
///
/// # Errors
/// ResourceGroupNotFound, or ResourceNotFound.
pub(crate) fn existing(ctx: &mut Ctx<'_>, kind: AzureKind, target: &Target) -> Result<Object> {
    match seen(ctx, kind, &target.key()) {
        Some(object) => Ok(object),
        None => {
            check_group(ctx, target)?;
            Err(not_found(target))
        }
    }
}

/// ResourceNotFound.
#[must_use]
pub(crate) fn not_found(target: &Target) -> ApiError {
    let mut path = target.namespace.clone();
    for (kind, name) in target.types.iter().zip(&target.names) {
        path.push_str(&format!("/{kind}/{name}"));
    }
    let message = format!(
        "The Resource '{path}' under resource group '{}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        target.group()
    );
    ApiError::new("ResourceNotFound", message).status(404)
}

/// The group of a request; `None` if it lies in none.
///
/// # Errors
/// ResourceGroupNotFound.
pub(crate) fn check_group(ctx: &mut Ctx<'_>, target: &Target) -> Result<Option<Object>> {
    let Some(name) = &target.group else {
        return Ok(None);
    };
    let key = id::group_id(&target.subscription, name).to_lowercase();
    let message = format!("Resource group '{name}' could not be found.");
    let absent = ApiError::new("ResourceGroupNotFound", message).status(404);
    present(ctx, AzureKind::ResourceGroup, &key).map(Some).ok_or(absent)
}

/// The group of a request, in which something may be made.
///
/// # Errors
/// ResourceGroupNotFound, ResourceGroupBeingDeleted.
pub(crate) fn open_group(ctx: &mut Ctx<'_>, target: &Target) -> Result<()> {
    match check_group(ctx, target)? {
        Some(group) if group.state == "Deleting" => {
            let message = format!(
                "The resource group '{}' is in deprovisioning state and cannot perform this operation.",
                target.group()
            );
            Err(ApiError::new("ResourceGroupBeingDeleted", message).status(409))
        }
        _ => Ok(()),
    }
}

/// A new resource with the body of a PUT.
#[must_use]
pub(crate) fn new(ctx: &mut Ctx<'_>, kind: AzureKind, key_or_id: &str, body: &Value) -> Object {
    let mut object = Object::new(kind, &key_or_id.to_lowercase(), key_or_id.to_owned(), ctx.now);
    object.name = Some(id::leaf(key_or_id).to_owned());
    object.vpc = id::group_of(key_or_id);
    "Succeeded".clone_into(&mut object.state);
    put_body(ctx, &mut object, body);
    object
}

/// Replaces what a PUT replaces: everything but identity and state.
pub(crate) fn put_body(ctx: &mut Ctx<'_>, object: &mut Object, body: &Value) {
    let mut doc = body.as_object().cloned().unwrap_or_default();
    for key in ["id", "name", "type", "etag", "eTag"] {
        doc.remove(key);
    }
    let tags = doc.remove("tags");
    if kind_of(object).is_some_and(|k| k.info().tracked || k == AzureKind::ResourceGroup) {
        object.tags = tags_of(tags.as_ref());
    }
    if let Some(properties) = doc.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove("provisioningState");
        if kind_of(object) == Some(AzureKind::AgentPool) {
            // A pool's tags are among its properties; its machines get them.
            object.tags = tags_of(properties.get("tags"));
        }
    }
    if let Some(location) = doc.get("location").and_then(Value::as_str).map(normal) {
        object.set("location", location.clone());
        doc.insert("location".to_owned(), location.into());
    }
    object.set("doc", Value::Object(doc));
    touch(ctx, object);
}

/// `West Europe` and `westeurope` are one location.
#[must_use]
pub(crate) fn normal(location: &str) -> String {
    location.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase()
}

/// Gives an object a new etag.
pub(crate) fn touch(ctx: &mut Ctx<'_>, object: &mut Object) {
    object.set("etag", ctx.world.uuid());
}

/// Tags of a request.
#[must_use]
pub(crate) fn tags_of(tags: Option<&Value>) -> Tags {
    let given = tags.and_then(Value::as_object).into_iter().flatten();
    given.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}

/// The body of the resource as it was put.
#[must_use]
pub(crate) fn doc(object: &Object) -> Map<String, Value> {
    object.props.get("doc").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// A text in the body, empty if absent.
#[must_use]
pub(crate) fn doc_text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    object.props.get("doc").and_then(|d| d.pointer(pointer)).and_then(Value::as_str).unwrap_or_default()
}

/// Where a resource is; children are where their parents are.
#[must_use]
pub(crate) fn location(object: &Object) -> String {
    match doc_text(object, "/location") {
        "" => match object.text("location") {
            "" => "global".to_owned(),
            inherited => inherited.to_owned(),
        },
        own => own.to_owned(),
    }
}

/// Changes the body of an object in place.
pub(crate) fn amend(object: &mut Object, act: impl FnOnce(&mut Value)) {
    let mut doc = Value::Object(doc(object));
    act(&mut doc);
    object.set("doc", doc);
}

/// Live objects in a group, whatever their kind.
pub(crate) fn in_group(ctx: &mut Ctx<'_>, group: &str) -> Vec<Object> {
    ctx.scope().in_vpc(&group.to_lowercase()).cloned().collect()
}

/// Live children of a resource, in order of their ids.
pub(crate) fn children(ctx: &mut Ctx<'_>, parent: &Object) -> Vec<Object> {
    let prefix = format!("{}/", parent.id);
    let group = parent.vpc.clone().unwrap_or_default();
    let mut found: Vec<Object> = ctx.scope().in_vpc(&group).filter(|o| o.id.starts_with(&prefix)).cloned().collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

/// The same of one kind.
pub(crate) fn children_of(ctx: &mut Ctx<'_>, parent: &Object, kind: AzureKind) -> Vec<Object> {
    children(ctx, parent).into_iter().filter(|o| o.kind == kind).collect()
}

/// The parent of the collection that a request names.
pub(crate) fn parent_of_collection(ctx: &mut Ctx<'_>, target: &Target) -> Result<Object> {
    let mut parent = target.clone();
    parent.types.pop();
    let kind = parent.kind().ok_or_else(|| not_found(&parent))?;
    existing(ctx, kind, &parent)
}

/// Refuses to move a resource to another location by a PUT.
///
/// # Errors
/// InvalidResourceLocation, LocationRequired.
pub(crate) fn check_location(call: &Call, target: &Target, present: Option<&Object>) -> Result<()> {
    let wanted = normal(call.field("location"));
    if wanted.is_empty() {
        let message = "The location property is required for this definition.";
        return Err(ApiError::new("LocationRequired", message));
    }
    let Some(object) = present else {
        return Ok(());
    };
    let actual = location(object);
    if actual == wanted {
        return Ok(());
    }
    let message = format!(
        "The resource '{}' already exists in location '{actual}' in resource group '{}'. A resource with the same name cannot be created in location '{wanted}'. Please select a new resource name.",
        target.name(),
        target.group()
    );
    Err(ApiError::new("InvalidResourceLocation", message).status(409))
}

/// A resource as a GET shows it, but for what its service adds.
pub(crate) fn plain(object: &Object) -> Value {
    let mut body = Value::Object(doc(object));
    body["id"] = object.arn.clone().into();
    body["name"] = object.name.clone().into();
    let Some(kind) = kind_of(object) else {
        return body;
    };
    body["type"] = kind.type_name().into();
    if kind.info().tracked || kind == AzureKind::ResourceGroup {
        body["tags"] = json!(object.tags);
    }
    if !matches!(kind, AzureKind::RoleAssignment | AzureKind::ManagementLock | AzureKind::FederatedCredential) {
        body["properties"]["provisioningState"] = object.state.clone().into();
    }
    body
}

/// Makes a group.
///
/// # Errors
/// The quota of the subscription.
pub(crate) fn create_group(ctx: &mut Ctx<'_>, id: &str, body: &Value) -> Result<Object> {
    let present = ctx.scope().count(AzureKind::ResourceGroup);
    if let Err(limit) = ctx.within_quota("resource-groups", present) {
        let message = format!(
            "The subscription '{}' already has '{limit}' resource groups, the most it can have.",
            ctx.key.account
        );
        return Err(ApiError::new("ResourceGroupQuotaExceeded", message).status(409));
    }
    let mut group = new(ctx, AzureKind::ResourceGroup, id, body);
    // A group lies in no group.
    group.vpc = None;
    ctx.create(group.clone());
    Ok(group)
}
