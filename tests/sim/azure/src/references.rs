//! References between resources, kept on both sides, so that nothing is searched when something is deleted.
//!
//! Which fields refer to what is of the API definitions in <https://github.com/Azure/azure-rest-api-specs>.

use super::{
    kind::AzureKind,
    resource::{children, doc, kind_of},
};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// The texts that a reference path leads to; `*` is every item of a list.
fn texts_at(value: &Value, path: &[&str], found: &mut Vec<String>) {
    match (path, value) {
        ([], Value::String(text)) => found.push(text.clone()),
        (["*", rest @ ..], Value::Array(items)) => items.iter().for_each(|item| texts_at(item, rest, found)),
        ([key, rest @ ..], Value::Object(map)) => {
            if let Some(inner) = map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v) {
                texts_at(inner, rest, found);
            }
        }
        _ => {}
    }
}

/// The ids that a body refers to.
#[must_use]
pub(crate) fn of(kind: AzureKind, body: &Value) -> Vec<String> {
    let paths: &[&str] = match kind {
        AzureKind::Subnet => {
            &["properties/natGateway/id", "properties/networkSecurityGroup/id", "properties/routeTable/id"]
        }
        AzureKind::NatGateway => &["properties/publicIpAddresses/*/id"],
        AzureKind::LoadBalancer => &[
            "properties/frontendIPConfigurations/*/properties/publicIPAddress/id",
            "properties/frontendIPConfigurations/*/properties/subnet/id",
        ],
        AzureKind::NetworkInterface => &["properties/ipConfigurations/*/properties/subnet/id"],
        AzureKind::PrivateEndpoint => &["properties/subnet/id"],
        AzureKind::ScaleSet => &["properties/subnets/*/id"],
        AzureKind::VirtualMachine => &[
            "properties/networkProfile/networkInterfaces/*/id",
            "properties/storageProfile/osDisk/managedDisk/id",
            "properties/storageProfile/dataDisks/*/managedDisk/id",
        ],
        _ => &[],
    };
    let mut found = Vec::new();
    for path in paths {
        texts_at(body, &path.split('/').collect::<Vec<_>>(), &mut found);
    }
    found
}

/// Refuses references to what does not exist, is being changed, or serves another.
///
/// # Errors
/// InvalidResourceReference; RetryableError (<https://github.com/hashicorp/terraform/issues/7153>); PublicIPAddressInUse
/// (<https://github.com/gardener/gardener-extension-provider-azure/issues/757>).
pub(crate) fn check(ctx: &mut Ctx<'_>, kind: AzureKind, id: &str, body: &Value) -> Result<()> {
    for reference in of(kind, body) {
        let Some(object) = ctx.scope().live(&reference.to_lowercase()).cloned() else {
            let message = format!(
                "Resource {reference} referenced by resource {id} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region."
            );
            return Err(ApiError::new("InvalidResourceReference", message));
        };
        if object.state != "Succeeded" {
            return Err(not_provisioned(&object, id));
        }
        let other = object.texts("used_by").find(|user| !user.eq_ignore_ascii_case(id));
        if let (Some(other), AzureKind::NatGateway) = (other, kind) {
            let message = format!(
                "Resource {id} is referencing public IP address {reference} that is already allocated to resource {other}."
            );
            return Err(ApiError::new("PublicIPAddressInUse", message));
        }
    }
    Ok(())
}

fn not_provisioned(object: &Object, user: &str) -> ApiError {
    let leaf = kind_of(object).map_or("", |k| k.info().leaf);
    let mut letters = leaf.trim_end_matches("es").trim_end_matches('s').chars();
    let name: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    let verb = if object.state == "Deleting" { "Delete" } else { "Put" };
    let message = format!(
        "Cannot proceed with operation because resource {} used by resource {user} is not in Succeeded state. Resource is in {} state and the last operation that updated/is updating the resource is {verb}{name}Operation.",
        object.arn, object.state
    );
    let details = json!([{ "code": "ReferencedResourceNotProvisioned", "message": message }]);
    ApiError::new("RetryableError", "A retryable error occurred.").status(429).field("details", details)
}

/// Notes on the other side what `object` refers to now.
pub(crate) fn link(ctx: &mut Ctx<'_>, object: &Object) {
    let Some(kind) = kind_of(object) else {
        return;
    };
    let wanted: Vec<String> = of(kind, &Value::Object(doc(object))).iter().map(|r| r.to_lowercase()).collect();
    let before: Vec<String> = object.texts("refs").map(str::to_owned).collect();
    for gone in before.iter().filter(|r| !wanted.contains(r)) {
        let user = object.arn.clone();
        ctx.adjust(gone, |o| {
            let left: Vec<String> = o.texts("used_by").filter(|u| *u != user).map(str::to_owned).collect();
            o.set("used_by", left);
        });
    }
    for new in wanted.iter().filter(|r| !before.contains(r)) {
        let user = object.arn.clone();
        ctx.adjust(new, |o| {
            let mut users: Vec<String> = o.texts("used_by").filter(|u| *u != user).map(str::to_owned).collect();
            users.push(user);
            o.set("used_by", users);
        });
    }
    ctx.adjust(&object.id, |o| o.set("refs", wanted));
}

/// Removes a resource and what lies below it.
pub(crate) fn remove(ctx: &mut Ctx<'_>, key: &str) {
    let Some(mut object) = ctx.scope().live(key).cloned() else {
        return;
    };
    for child in children(ctx, &object) {
        let mut child = child;
        child.set("doc", json!({}));
        link(ctx, &child);
        ctx.delete(&child.id);
    }
    object.set("doc", json!({}));
    link(ctx, &object);
    ctx.delete(key);
}
