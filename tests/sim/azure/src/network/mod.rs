//! Microsoft.Network but DNS: virtual networks, subnets, NAT gateways, addresses, security groups, load balancers, routes.
//!
//! <https://learn.microsoft.com/rest/api/virtualnetwork/>; what cannot be deleted while in use:
//! <https://learn.microsoft.com/azure/virtual-network/virtual-network-troubleshoot-cannot-delete-vnet>. The provider heeds
//! `If-Match` and no `If-None-Match`: a PUT over an existing resource replaces it silently.

pub(crate) mod addresses;
mod cidr;
mod in_use;
pub(crate) mod show;
mod subnets;

use super::{
    durations, id::Target, kind::AzureKind, lro, principal, references, resource, shown, state::Verb, wire::unknown,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    ctx::Ctx,
    object::{Object, Owner},
};
use serde_json::{Value, json};

/// Handles a call.
///
/// # Errors
/// In the provider's words.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let Some(kind) = target.kind() else {
        return usages(ctx, call);
    };
    match call.action.rsplit('.').next().unwrap_or_default() {
        "CreateOrUpdate" => put(ctx, call, target, kind),
        "Get" => shown::one(ctx, kind, target),
        "List" | "ListAll" => Ok(Reply::Json(200, shown::list(ctx, kind, target)?)),
        "Update" => shown::retagged(ctx, call, kind, target),
        "Delete" => {
            resource::check_group(ctx, target)?;
            let Some(object) = resource::present(ctx, kind, &target.key()) else {
                return Ok(Reply::Json(204, Value::Null));
            };
            check_etag(call, &object)?;
            let operation = delete(ctx, &object, kind)?;
            Ok(lro::delete_response(ctx, call, &operation, &object))
        }
        _ => Err(unknown(call)),
    }
}

/// `If-Match`, where given.
fn check_etag(call: &Call, object: &Object) -> Result<()> {
    let Some(wanted) = call.headers.get("if-match").filter(|w| *w != "*") else {
        return Ok(());
    };
    if wanted.trim_start_matches("W/").trim_matches('"') == object.text("etag") {
        return Ok(());
    }
    let message = format!("Precondition failed. The etag of {} is another one.", object.arn);
    Err(ApiError::new("PreconditionFailed", message).status(412))
}

fn put(ctx: &mut Ctx<'_>, call: &Call, target: &Target, kind: AzureKind) -> Result<Reply> {
    resource::open_group(ctx, target)?;
    let present = resource::present(ctx, kind, &target.key());
    let parent = if kind == AzureKind::Subnet { Some(subnets::parent(ctx, target)?) } else { None };
    if let Some(object) = &present {
        lro::check_idle(ctx, object)?;
        check_etag(call, object)?;
    }
    if kind.info().tracked {
        resource::check_location(call, target, present.as_ref())?;
    }
    let id = present.as_ref().map_or_else(|| target.id(), |o| o.arn.clone());
    references::check(ctx, kind, &id, &call.json)?;
    if let Some(parent) = &parent {
        subnets::check(ctx, parent, &id, &call.json)?;
    }
    if present.is_none() {
        check_quota(ctx, kind)?;
    }
    let mut body = call.json.clone();
    let inner = if kind == AzureKind::VirtualNetwork { subnets::take_inline(ctx, &id, &mut body)? } else { Vec::new() };
    let mut object = match &present {
        Some(object) => object.clone(),
        None => resource::new(ctx, kind, &id, &body),
    };
    resource::put_body(ctx, &mut object, &body);
    "Updating".clone_into(&mut object.state);
    complete(&mut object, kind, parent.as_ref());
    if present.is_some() {
        ctx.change(&object.id, |o| *o = object.clone());
    } else {
        ctx.create(object.clone());
    }
    references::link(ctx, &object);
    if kind == AzureKind::VirtualNetwork {
        subnets::replace(ctx, &object, inner);
    }
    let (verb, status) = if present.is_some() { (Verb::Update, 200) } else { (Verb::Create, 201) };
    let sim_ms = ctx.draw(durations::network_put(kind), &object.id);
    let operation = lro::begin(ctx, "network", &object.id, verb, sim_ms);
    let object = ctx.scope().live(&object.id).cloned().unwrap_or(object);
    let body = shown::document(ctx, &object);
    Ok(lro::put_response(ctx, call, status, &operation, &object, body))
}

/// What the provider adds to a new resource.
fn complete(object: &mut Object, kind: AzureKind, parent: Option<&Object>) {
    let id = object.id.clone();
    resource::amend(object, |doc| {
        if !doc["properties"].is_object() {
            doc["properties"] = json!({});
        }
        if kind != AzureKind::Subnet {
            doc["properties"]["resourceGuid"] = principal::guid_of(&id).into();
        }
        if kind == AzureKind::PublicIpAddress {
            doc["properties"]["ipAddress"] = address_of(&id).into();
        }
    });
    if let Some(parent) = parent {
        object.set("location", resource::location(parent));
    }
}

/// A public address that follows from an id, in a range of Azure's.
fn address_of(id: &str) -> String {
    let guid = principal::guid_of(id);
    let part = |at: usize| guid.get(at..at + 2).and_then(|h| u8::from_str_radix(h, 16).ok()).unwrap_or(1);
    format!("20.{}.{}.{}", part(0), part(2), part(4).clamp(1, 254))
}

/// Names of quotas, and the words in which they are refused.
fn check_quota(ctx: &mut Ctx<'_>, kind: AzureKind) -> Result<()> {
    let (quota, code, what) = match kind {
        AzureKind::VirtualNetwork => ("virtual-networks", "VnetCountLimitReached", "virtual networks"),
        AzureKind::PublicIpAddress => ("public-ip-addresses", "PublicIPCountLimitReached", "public IP addresses"),
        _ => return Ok(()),
    };
    let present = ctx.scope().count(kind);
    match ctx.within_quota(quota, present) {
        Ok(()) => Ok(()),
        Err(limit) => {
            let message = format!("Cannot create more than {limit} {what} for this subscription in this region.");
            Err(ApiError::new(code, message))
        }
    }
}

/// Begins to delete a resource; gives the operation's id.
///
/// # Errors
/// In use, or being changed.
pub(crate) fn delete(ctx: &mut Ctx<'_>, object: &Object, kind: AzureKind) -> Result<String> {
    if object.state == "Deleting" {
        return Ok(object.text("operation").to_owned());
    }
    lro::check_idle(ctx, object)?;
    in_use::check(ctx, object, kind)?;
    let sim_ms = ctx.draw(durations::network_delete(kind), &object.id);
    Ok(lro::begin_delete(ctx, object, sim_ms))
}

/// An address or load balancer that a cluster's controllers or AKS make: ready after its time, without a caller.
pub(crate) fn make(ctx: &mut Ctx<'_>, kind: AzureKind, id: &str, body: &Value, owner: Owner) -> Result<Object> {
    check_quota(ctx, kind)?;
    let mut object = resource::new(ctx, kind, id, body);
    "Updating".clone_into(&mut object.state);
    object.owner = owner;
    complete(&mut object, kind, None);
    ctx.create(object.clone());
    references::link(ctx, &object);
    let sim_ms = ctx.draw(durations::network_put(kind), &object.id);
    lro::begin(ctx, "network", &object.id, Verb::Create, sim_ms);
    Ok(object)
}

/// What is used of the quotas: <https://learn.microsoft.com/rest/api/virtualnetwork/usages/list>.
fn usages(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    if call.action != "usages.List" {
        return Err(unknown(call));
    }
    let kinds = [
        (AzureKind::VirtualNetwork, "virtual-networks", "VirtualNetworks", "Virtual Networks"),
        (AzureKind::PublicIpAddress, "public-ip-addresses", "PublicIPAddresses", "Public IP Addresses"),
        (AzureKind::NatGateway, "nat-gateways", "NatGateways", "NAT Gateways"),
    ];
    let mut value = Vec::new();
    for (kind, quota, name, title) in kinds {
        let present = ctx.scope().count(kind);
        let limit = ctx.world.quotas.limit(&ctx.key.account, quota);
        value.push(json!({ "name": { "value": name, "localizedValue": title }, "unit": "Count",
            "currentValue": present, "limit": limit }));
    }
    Ok(Reply::Json(200, json!({ "value": value })))
}
