//! Where and how to log in.

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::kept::{self, Kept};
use crate::error::Error;

/// What an issuer gives.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) id_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// Seconds.
    pub(super) expires_in: Option<u64>,
}

/// Where and how to log in, as a context keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Login {
    /// The issuer, an https URL.
    pub issuer: String,
    /// Name of this program there.
    pub client_id: String,
    /// CAs of its certificate, PEM; `None`: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Scopes beside `openid` and `offline_access`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Whether the daemon is shown the ID token: of issuers whose access tokens are no JWTs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_token: bool,
}

impl Login {
    /// What is requested: a token for the daemon, and one for new ones.
    pub(super) fn scope(&self) -> String {
        let always = ["openid", "offline_access"].map(str::to_owned);
        always.into_iter().chain(self.scopes.iter().cloned()).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn kept(&self, tokens: Tokens, before: Option<&Kept>) -> Result<Kept, Error> {
        let token = match (self.id_token, tokens.id_token) {
            (true, Some(token)) => token,
            (true, None) => return Err(refused("it gave no ID token")),
            (false, _) => tokens.access_token,
        };
        // `expires_in` is the access token's; an ID token says itself when it ends.
        let expire_time = match self.id_token {
            true => Some(end_of(&token).ok_or_else(|| refused("its ID token does not say when it ends"))?),
            false => tokens.expires_in.map(|left| kept::after(Duration::from_secs(left))),
        };
        Ok(Kept {
            issuer: self.issuer.clone(),
            token,
            refresh_token: tokens.refresh_token.or_else(|| before.and_then(|before| before.refresh_token.clone())),
            expire_time,
        })
    }
}

/// When a JWT ends, in seconds since 1970, as it says itself: nothing of it is believed but that, and the daemon checks it.
fn end_of(token: &str) -> Option<u64> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let end = claims.get("exp")?;
    // NumericDate of RFC 7519 may have a fraction.
    end.as_u64().or_else(|| end.as_f64().filter(|end| *end >= 0.0).map(|end| end as u64))
}

/// An issuer's refusal.
pub(super) fn refused(problem: impl std::fmt::Display) -> Error {
    Error::Denied(format!("the issuer did not log you in: {problem}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_kept_with_its_own_end() {
        let jwt = |claims: serde_json::Value| format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
        let tokens = |id_token: String| Tokens {
            access_token: "opaque".into(),
            id_token: Some(id_token),
            refresh_token: None,
            expires_in: Some(3_600),
        };
        let login = |id_token| Login { issuer: "https://login.example.com".into(), id_token, ..Login::default() };
        // An ID token of five minutes beside an access token of an hour.
        let short = kept::after(Duration::from_secs(300));
        let kept = login(true).kept(tokens(jwt(json!({"exp": short}))), None).unwrap();
        assert_eq!((kept.token.starts_with("e30."), kept.expire_time), (true, Some(short)));
        let kept = login(true).kept(tokens(jwt(json!({"exp": 1_764_421_200.5}))), None).unwrap();
        assert_eq!(kept.expire_time, Some(1_764_421_200));
        for broken in [jwt(json!({})), jwt(json!({"exp": "soon"})), "opaque".into(), String::new()] {
            assert!(login(true).kept(tokens(broken.clone()), None).is_err(), "{broken}");
        }
        let kept = login(false).kept(tokens(jwt(json!({"exp": short}))), None).unwrap();
        assert_eq!(kept.token, "opaque");
        assert!(kept.expire_time.is_some_and(|end| end > short + 3_000));
    }
}
