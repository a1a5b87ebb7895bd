//! Access tokens: JWTs that the simulator signs and reads. Microsoft's are opaque to clients as well.
//!
//! Claims: <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>. Signed with HMAC-SHA256 by a
//! key of the simulator's own, since nobody but the simulator checks them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cloudsim_core::secrets::hmac;
use serde_json::{Value, json};

fn key(seed: u64) -> Vec<u8> {
    hmac(b"cloudsim entra", &seed.to_le_bytes())
}

/// Signs claims.
#[must_use]
pub(crate) fn sign(seed: u64, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(json!({ "typ": "JWT", "alg": "HS256", "kid": "cloudsim" }).to_string());
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signed = format!("{header}.{payload}");
    let signature = URL_SAFE_NO_PAD.encode(hmac(&key(seed), signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// The claims of a token that this simulator signed.
#[must_use]
pub(crate) fn verify(seed: u64, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    if URL_SAFE_NO_PAD.encode(hmac(&key(seed), signed.as_bytes())) != signature {
        return None;
    }
    claims(token)
}

/// The claims of any JWT, unchecked.
#[must_use]
pub(crate) fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::{sign, verify};
    use serde_json::json;

    #[test]
    fn only_own_tokens_verify() {
        let token = sign(1, &json!({ "tid": "t" }));
        assert_eq!(verify(1, &token).expect("claims")["tid"], "t");
        assert!(verify(2, &token).is_none());
        assert!(verify(1, &token.replace('.', "x")).is_none());
    }
}
