//! Page sizes and opaque page tokens.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use landlord_core::Violation;

use crate::error::violation;

/// When the client names no size.
const SIZE_DEFAULT: u32 = 100;
/// Larger sizes are cut to this (AIP-158).
const SIZE_MAX: u32 = 1_000;

/// Which page a request names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The list that its tokens belong to: what chooses and orders its items.
    pub(crate) scope: &'a str,
    /// `page_size`.
    pub(crate) size: i32,
    /// `page_token`.
    pub(crate) token: &'a str,
}

impl Request<'_> {
    /// The page size as it is used.
    pub(crate) fn limit(&self) -> Result<u32, Violation> {
        match u32::try_from(self.size) {
            Ok(0) => Ok(SIZE_DEFAULT),
            Ok(size) => Ok(size.min(SIZE_MAX)),
            Err(_) => Err(violation("page_size", format!("must not be negative, not {}", self.size))),
        }
    }

    /// The position in the token, which must have been made for the same list; `None`: the first page.
    pub(crate) fn position(&self) -> Result<Option<String>, Violation> {
        if self.token.is_empty() {
            return Ok(None);
        }
        let refuse = || violation("page_token", "is not a token of this list; repeat the list from its first page");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(self.token).map_err(|_| refuse())?;
        let text = String::from_utf8(bytes).map_err(|_| refuse())?;
        let (of, position) = text.rsplit_once('\n').ok_or_else(refuse)?;
        if of != self.scope {
            return Err(refuse());
        }
        Ok(Some(position.to_owned()))
    }
}

/// A token for the page after `position` of the list that `scope` describes.
pub(crate) fn token(scope: &str, position: Option<&str>) -> String {
    position.map(|position| BASE64_URL_SAFE_NO_PAD.encode(format!("{scope}\n{position}"))).unwrap_or_default()
}
