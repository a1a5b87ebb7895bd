//! Where and how to log in.

use std::{path::PathBuf, time::Duration};

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
        Ok(Kept {
            issuer: self.issuer.clone(),
            token,
            refresh_token: tokens.refresh_token.or_else(|| before.and_then(|before| before.refresh_token.clone())),
            expire_time: tokens.expires_in.map(|left| kept::after(Duration::from_secs(left))),
        })
    }
}

/// An issuer's refusal.
pub(super) fn refused(problem: impl std::fmt::Display) -> Error {
    Error::Denied(format!("the issuer did not log you in: {problem}"))
}
