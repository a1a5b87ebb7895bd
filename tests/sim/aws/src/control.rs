//! Control requests that only AWS knows: secrets of access keys, external ids of roles.

use crate::state::AwsState;
use cloudsim_core::{cloud::ControlResponse, control::parse, world::World};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustedRole {
    arn: String,
    external_id: String,
}

/// Serves one, if it is one.
pub(crate) fn respond(world: &mut World, method: &str, path: &[&str], body: &[u8]) -> Option<ControlResponse> {
    let state = world.states.of_mut::<AwsState>();
    let done = match (method, path) {
        ("POST", ["credentials"]) => parse(body).map(|given: Credentials| {
            state.secrets.insert(given.access_key_id, given.secret_access_key);
        }),
        ("POST", ["roles"]) => parse(body).map(|role: TrustedRole| {
            state.external_ids.insert(role.arn, role.external_id);
        }),
        _ => return None,
    };
    Some(done.map(|()| json!({})))
}
