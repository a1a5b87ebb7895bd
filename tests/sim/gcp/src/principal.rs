//! Who a credential is for.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cloudsim_core::clock::Micros;
use serde_json::Value;

/// Who a credential is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Its email.
    pub email: String,
    /// The project that it belongs to.
    pub project: String,
}

impl Principal {
    /// The service account called `email`.
    #[must_use]
    pub(crate) fn of_email(email: &str) -> Option<Self> {
        let project = email.split_once('@')?.1.strip_suffix(".iam.gserviceaccount.com")?;
        Some(Self { email: email.to_owned(), project: project.to_owned() })
    }

    /// The owner of `project` that any token of its own form means.
    #[must_use]
    pub(crate) fn owner_of(project: &str) -> Self {
        Self { email: format!("cloudsim@{project}.iam.gserviceaccount.com"), project: project.to_owned() }
    }

    /// As it stands in a policy.
    #[must_use]
    pub(crate) fn member(&self) -> String {
        format!("serviceAccount:{}", self.email)
    }
}

/// The service account that signed a JWT.
///
/// # Errors
/// Why it is none.
pub(crate) fn jwt_issuer(token: &str, now: Micros) -> Result<Principal, String> {
    let [_, payload, _] = token.split('.').collect::<Vec<_>>()[..] else {
        return Err("neither an access token nor a JWT".to_owned());
    };
    let decoded = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).map_err(|e| e.to_string())?;
    let claims: Value = serde_json::from_slice(&decoded).map_err(|e| e.to_string())?;
    let seconds = |key: &str| claims[key].as_i64().unwrap_or(0);
    if seconds("exp") * 1_000_000 < now {
        return Err("the JWT has expired".to_owned());
    }
    if seconds("exp") - seconds("iat") > LONGEST_JWT_S + 10 {
        return Err("the JWT is good for longer than an hour".to_owned());
    }
    let issuer = claims["iss"].as_str().unwrap_or_default();
    Principal::of_email(issuer).ok_or_else(|| format!("the issuer {issuer:?} is no service account"))
}

/// Longest that a self-signed JWT may be good for.
const LONGEST_JWT_S: i64 = 3_600;
