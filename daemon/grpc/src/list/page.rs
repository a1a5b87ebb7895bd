//! Page sizes and page tokens.

use landlord_core::Violation;

use crate::{error::violation, opaque::OpaqueTokens};

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
    /// Who can read it.
    pub(crate) tokens: &'a OpaqueTokens,
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
        self.tokens.open(self.scope, self.token).map(Some).ok_or_else(refuse)
    }

    /// The token of the page after `position`; empty: there is none.
    pub(crate) fn next(&self, position: Option<&str>) -> String {
        position.map(|position| self.tokens.seal(self.scope, position)).unwrap_or_default()
    }
}
