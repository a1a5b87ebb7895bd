//! What a GET of a cluster or agent pool shows beside its body.

use crate::{kind::AzureKind, resource};
use cloudsim_core::{ctx::Ctx, object::Object};
use serde_json::Value;

/// Adds what only a GET shows.
pub(crate) fn add(ctx: &mut Ctx<'_>, object: &Object, kind: AzureKind, body: &mut Value) {
    body["eTag"] = object.text("etag").into();
    if kind == AzureKind::AgentPool {
        body["properties"]["eTag"] = object.text("etag").into();
        return;
    }
    let pools = resource::children_of(ctx, object, AzureKind::AgentPool);
    let profiles: Vec<Value> = pools
        .iter()
        .map(|pool| {
            let mut profile = resource::plain(pool)["properties"].clone();
            profile["eTag"] = pool.text("etag").into();
            profile["name"] = pool.name.clone().into();
            profile
        })
        .collect();
    body["properties"]["agentPoolProfiles"] = profiles.into();
}
