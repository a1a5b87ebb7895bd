//! Subscriptions, resource providers and what is used of quotas.
//!
//! <https://learn.microsoft.com/rest/api/resources/providers/get>, <https://learn.microsoft.com/rest/api/compute/usage/list>. Every
//! provider is registered from the start.

use super::{id::Target, kind, wire::unknown};
use cloudsim_core::{
    call::{Call, Reply, Result},
    ctx::Ctx,
};
use serde_json::{Value, json};

/// Handles a call.
///
/// # Errors
/// What is not offered here.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call, target: &Target) -> Result<Reply> {
    let subscription = &target.subscription;
    match call.action.as_str() {
        "subscriptions.Get" => Ok(Reply::Json(
            200,
            json!({ "id": format!("/subscriptions/{subscription}"), "subscriptionId": subscription,
                "displayName": "cloudsim", "state": "Enabled", "tenantId": call.caller.access_key,
                "subscriptionPolicies": { "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off" } }),
        )),
        "providers.Get" | "providers.Register" => Ok(Reply::Json(200, provider(ctx, &target.namespace))),
        "providers.List" => {
            let mut namespaces: Vec<&str> = kind::KINDS.iter().map(|k| k.namespace).collect();
            namespaces.dedup();
            let value: Vec<Value> = namespaces.iter().map(|n| provider(ctx, n)).collect();
            Ok(Reply::Json(200, json!({ "value": value })))
        }
        _ => Err(unknown(call)),
    }
}

fn provider(ctx: &Ctx<'_>, namespace: &str) -> Value {
    let types: Vec<Value> = kind::KINDS
        .iter()
        .filter(|k| k.namespace.eq_ignore_ascii_case(namespace))
        .map(|k| json!({ "resourceType": k.types, "locations": [], "apiVersions": kind::versions(k.service) }))
        .collect();
    json!({ "id": format!("/subscriptions/{}/providers/{}", ctx.key.account, namespace),
        "namespace": namespace, "registrationPolicy": "RegistrationRequired",
        "registrationState": "Registered", "resourceTypes": types })
}
