//! What a GET of a network resource shows beside its body.

use super::in_use;
use crate::{kind::AzureKind, resource};
use cloudsim_core::{ctx::Ctx, object::Object};
use serde_json::{Value, json};

/// Adds what only a GET shows.
pub(crate) fn add(ctx: &mut Ctx<'_>, object: &Object, kind: AzureKind, body: &mut Value) {
    body["etag"] = format!("W/\"{}\"", object.text("etag")).into();
    let users: Vec<String> = object.texts("used_by").map(str::to_owned).collect();
    let ids: Vec<Value> = users.iter().map(|id| json!({ "id": id })).collect();
    match kind {
        AzureKind::VirtualNetwork => {
            let children = resource::children_of(ctx, object, AzureKind::Subnet);
            let subnets: Vec<Value> = children.iter().map(|subnet| of_subnet(ctx, subnet)).collect();
            body["properties"]["subnets"] = subnets.into();
        }
        AzureKind::Subnet => {
            if !users.is_empty() {
                let configurations = users.iter().map(|id| json!({ "id": in_use::configuration(id) })).collect();
                body["properties"]["ipConfigurations"] = Value::Array(configurations);
            }
            // A subnet has no tags and no location of its own.
            body["properties"]["provisioningState"] = object.state.clone().into();
        }
        AzureKind::NatGateway | AzureKind::NetworkSecurityGroup | AzureKind::RouteTable if !users.is_empty() => {
            body["properties"]["subnets"] = ids.into();
        }
        AzureKind::PublicIpAddress => {
            if let Some(user) = users.first() {
                let field =
                    if user.to_lowercase().contains("/natgateways/") { "natGateway" } else { "ipConfiguration" };
                body["properties"][field] = json!({ "id": in_use::configuration(user) });
            }
        }
        _ => {}
    }
}

fn of_subnet(ctx: &mut Ctx<'_>, subnet: &Object) -> Value {
    let mut body = resource::plain(subnet);
    add(ctx, subnet, AzureKind::Subnet, &mut body);
    body
}
