//! Tokens that clients hand back and can't read: places in lists and watches. A place reveals what lies between two of them,
//! and so of what its reader may not see.
//!
//! # Guarantees
//! - A token opens only what it was made for: each is bound to a scope, such as the list with its filter.
//! - Its length reveals nothing but a range: places are padded.
//! - Every daemon on the same store opens it, also after a restart.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// Places are padded to a multiple of this: names of tenants have at most 2 × 63 characters and some words around them.
const BLOCK_BYTES: usize = 64;
/// What pads a place, and is in none.
const PADDING: u8 = 0;

/// Seals and opens tokens.
pub struct OpaqueTokens {
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for OpaqueTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpaqueTokens")
    }
}

/// A secret that can't be used, which one of 32 bytes always can.
#[derive(Debug, thiserror::Error)]
#[error("the store's secret can't be used to seal tokens")]
pub struct UnusableSecret;

impl OpaqueTokens {
    /// By the store's secret.
    ///
    /// # Errors
    /// The cryptographic library refuses it.
    pub fn new(secret: &[u8; 32]) -> Result<Self, UnusableSecret> {
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, secret).map_err(|Unspecified| UnusableSecret)? })
    }

    /// A token for a place. Empty, which is the first page, if there is no randomness to seal it with.
    pub(crate) fn seal(&self, scope: &str, place: &str) -> String {
        let mut bytes = place.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES).max(BLOCK_BYTES), PADDING);
        let Ok(nonce) = self.key.seal_in_place_append_tag(Aad::from(scope), &mut bytes) else {
            tracing::error!("a token can't be sealed: the system has no randomness");
            return String::new();
        };
        BASE64_URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &bytes].concat())
    }

    /// The place in a token; `None`: it was not made here, or for another scope.
    pub(crate) fn open(&self, scope: &str, token: &str) -> Option<String> {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let place = self.key.open_in_place(nonce, Aad::from(scope), sealed).ok()?;
        let end = place.iter().rposition(|byte| *byte != PADDING).map_or(0, |last| last + 1);
        String::from_utf8(place[..end].to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(secret: u8) -> OpaqueTokens {
        OpaqueTokens::new(&[secret; 32]).unwrap()
    }

    #[test]
    fn a_token_opens_where_it_was_made_for_and_nowhere_else() {
        let (here, elsewhere) = (tokens(1), tokens(2));
        for place in ["", "4711", "customers/acme/tenants/prod", &"x".repeat(300)] {
            let token = here.seal("tenants customers/-", place);
            assert_eq!(here.open("tenants customers/-", &token).as_deref(), Some(place));
            assert_eq!(tokens(1).open("tenants customers/-", &token).as_deref(), Some(place), "after a restart");
            assert_eq!(here.open("tenants customers/acme", &token), None);
            assert_eq!(elsewhere.open("tenants customers/-", &token), None);
            // Nobody can make another one of it.
            for index in 0..token.len() {
                let mut other = token.clone().into_bytes();
                other[index] = if other[index] == b'A' { b'B' } else { b'A' };
                let other = String::from_utf8(other).unwrap();
                let opened = here.open("tenants customers/-", &other);
                // The last character may hold bits that belong to no byte, and then is no base64.
                assert_eq!(opened, None, "{index}");
            }
        }
        for bad in ["", "A", "4711", "not base64!", &"A".repeat(100)] {
            assert_eq!(here.open("tenants customers/-", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_reveals_nothing_of_its_place() {
        let tokens = tokens(1);
        assert_ne!(tokens.seal("watch", "7"), tokens.seal("watch", "7"));
        assert_eq!(tokens.seal("watch", "7").len(), tokens.seal("watch", "9223372036854775807").len());
        let token = tokens.seal("list", "customers/hidden/tenants/prod");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hidden"));
    }
}
