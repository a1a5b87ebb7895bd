//! What is known of the secrets of access keys.

use crate::{
    sigv4::{self, Signature},
    state::AwsState,
};
use cloudsim_core::{secrets::WELL_KNOWN_SECRETS, world::World};

/// Checks the signature as far as the secret is known; learns well-known secrets.
pub(crate) fn secret_fits(world: &mut World, signature: &Signature, request: &sigv4::Signed<'_>) -> bool {
    let key = &signature.access_key;
    let known = world
        .states
        .of::<AwsState>()
        .sessions
        .get(key)
        .map(|s| s.secret.clone())
        .or_else(|| world.states.of::<AwsState>().secrets.get(key).cloned());
    if let Some(secret) = known {
        return sigv4::verify(signature, request, &secret);
    }
    if let Some(secret) = WELL_KNOWN_SECRETS.iter().find(|s| sigv4::verify(signature, request, s)) {
        world.states.of_mut::<AwsState>().secrets.insert(key.clone(), (*secret).to_owned());
    }
    true
}
