//! Page sizes and opaque page tokens.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tonic::Status;

use crate::status::invalid_field;

/// When the client names no size.
const SIZE_DEFAULT: u32 = 100;
/// Larger sizes are cut to this (AIP-158).
const SIZE_MAX: u32 = 1_000;

/// A page size as it is used.
pub(crate) fn size(asked: i32) -> Result<u32, Status> {
    match u32::try_from(asked) {
        Ok(0) => Ok(SIZE_DEFAULT),
        Ok(size) => Ok(size.min(SIZE_MAX)),
        Err(_) => Err(invalid_field("page_size", format!("must not be negative, not {asked}"))),
    }
}

/// A token for the page after `position` of the list that `scope` describes.
pub(crate) fn token(scope: &str, position: Option<&str>) -> String {
    position.map(|position| BASE64_URL_SAFE_NO_PAD.encode(format!("{scope}\n{position}"))).unwrap_or_default()
}

/// The position in a token, which must have been made for the same list.
pub(crate) fn position(scope: &str, token: &str) -> Result<Option<String>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let refuse = || invalid_field("page_token", "is not a token of this list; repeat the list from its first page");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| refuse())?;
    let text = String::from_utf8(bytes).map_err(|_| refuse())?;
    let (of, position) = text.rsplit_once('\n').ok_or_else(refuse)?;
    if of != scope {
        return Err(refuse());
    }
    Ok(Some(position.to_owned()))
}
