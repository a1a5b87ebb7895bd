//! A fake that offers less than everything. Capabilities are known before any configuration, so they come from the
//! environment: [`VARIABLE`] names those that it does not have. (A plugin in Rust can't do that by mistake: its capabilities
//! are derived from what it implements. One in C can.)

use landlord_provider_api::{ProviderError, lacks::refusal, v1};
use prost::Message as _;

/// Capabilities that the plugin does not have, with commas between them: `dns,identity`.
pub const VARIABLE: &str = "LANDLORD_FAKE_LACKS";

fn words() -> Vec<String> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// INVALID for what the plugin does not offer.
///
/// # Errors
/// As stated.
pub(crate) fn refuse(capability: &str) -> Result<(), ProviderError> {
    if words().iter().any(|word| word == capability) { Err(refusal("such objects", capability)) } else { Ok(()) }
}

/// A description without what the plugin does not offer; whatever is none stays as it is.
pub(crate) fn described(payload: Vec<u8>) -> Vec<u8> {
    let lacking = words();
    match v1::DescribeResponse::decode(payload.as_slice()) {
        Ok(mut description) if !lacking.is_empty() => {
            description.capabilities.retain(|word| !lacking.contains(word));
            description.encode_to_vec()
        }
        _ => payload,
    }
}
