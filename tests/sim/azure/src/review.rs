//! The authentication webhook: who a bearer token of a cluster is.
//!
//! A cluster with Entra integration accepts Entra tokens for the AKS server application
//! (<https://learn.microsoft.com/azure/aks/kubelogin-authentication>,
//! <https://learn.microsoft.com/azure/aks/enable-authentication-microsoft-entra-id>). Owners of the subscription are its admins,
//! as Azure RBAC's cluster admin role or the cluster's admin groups would make them.

use super::{id::cluster_scope, principal, resource};
use crate::rights::CLUSTER_DATA;
use cloudsim_core::{call::Caller, ctx::Ctx, rights::Need, world::World};
use serde_json::{Value, json};

/// The AKS server application, the audience of tokens for clusters.
pub(crate) const AKS_SERVER_APP: &str = "6dae42f8-4368-4678-94ff-3960e28e3630";

/// Handles a TokenReview of the cluster `id`.
pub(crate) fn review(world: &mut World, id: &str, request: &Value) -> Value {
    let token = request.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    let status = match identify(world, id, token) {
        Ok(object_id) => json!({ "authenticated": true, "user": {
            "username": object_id, "uid": object_id, "groups": ["system:masters"], "extra": { "oid": [object_id] } } }),
        Err(reason) => {
            tracing::debug!(cluster = id, reason, "a token is refused");
            json!({ "authenticated": false, "error": reason })
        }
    };
    json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status })
}

/// The object id of the token's principal.
fn identify(world: &mut World, id: &str, token: &str) -> Result<String, String> {
    let who = principal::of_token(world, token).map_err(|e| e.to_string())?;
    let scope = cluster_scope(id).ok_or("no such cluster")?;
    let now = world.clock.now();
    let cluster = {
        let mut ctx = Ctx::new(world, scope.clone(), now);
        let key = format!("/{}", id.trim_start_matches('/').to_lowercase());
        ctx.scope().live(&key).cloned().ok_or("no such cluster")?
    };
    if let Some(audience) = &who.audience {
        if audience != AKS_SERVER_APP {
            return Err(format!("the token's audience is {audience}, not the AKS server application {AKS_SERVER_APP}"));
        }
        if resource::doc(&cluster).get("properties").is_none_or(|p| p["aadProfile"].is_null()) {
            return Err("the cluster has no Entra integration (aadProfile)".to_owned());
        }
    }
    if !who.owns(world, &scope.account) {
        return Err(format!("{} has no role on the subscription {}", who.object_id, scope.account));
    }
    let caller = Caller { account: scope.account, credential: token.to_owned(), ..Caller::default() };
    if let Some(need) = world.rights.missing(&caller, vec![Need::on(CLUSTER_DATA, id)]) {
        return Err(format!("{} may not {} in {id}", who.object_id, need.action));
    }
    Ok(who.object_id)
}
