//! Who a bearer token is, and which subscriptions they own.
//!
//! A token written by hand, `sim-SUBSCRIPTION-ANYTHING`, is the owner of that subscription. A principal declared by
//! `POST /_sim/principals` owns what it was declared with; any other owns every subscription that was declared for no other
//! tenant. Errors are those of
//! <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>.

use super::{jwt, state::Principal};
use crate::state::AzureState;
use cloudsim_core::{call::ApiError, world::World};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The tenant of tokens written by hand.
pub(crate) const DEFAULT_TENANT: &str = "00000000-0000-0000-0000-00000000c10d";

/// What somebody owns.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owns {
    Subscription(String),
    Declared(Vec<String>),
    Tenant,
}

/// Whose token it is.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// Application id.
    pub client_id: String,
    /// Object id of the principal.
    pub object_id: String,
    /// Tenant.
    pub tenant: String,
    /// `aud`; `None` for tokens written by hand, which are good for everything.
    pub audience: Option<String>,
    owns: Owns,
}

/// Declares a principal.
pub(crate) fn declare(world: &mut World, principal: Principal) {
    world.states.of_mut::<AzureState>().principals.insert(principal.client_id.to_lowercase(), principal);
    world.dirty = true;
}

/// A GUID that follows from `text`.
#[must_use]
pub(crate) fn guid_of(text: &str) -> String {
    let h = hex::encode(Sha256::digest(text.to_lowercase()));
    format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..32])
}

/// Whether `text` is a GUID.
#[must_use]
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Whose token `token` is.
///
/// # Errors
/// Not a token of this simulator, or expired; in ARM's words.
pub(crate) fn of_token(world: &World, token: &str) -> Result<Who, ApiError> {
    if let Some(rest) = token.strip_prefix("sim-") {
        let subscription = rest.get(..36).filter(|s| is_guid(s)).ok_or_else(invalid)?.to_lowercase();
        return Ok(Who {
            client_id: guid_of(rest),
            object_id: guid_of(&format!("{rest}/object")),
            tenant: DEFAULT_TENANT.to_owned(),
            audience: None,
            owns: Owns::Subscription(subscription),
        });
    }
    let claims = jwt::verify(world.seed, token).ok_or_else(invalid)?;
    let text = |key: &str| claims[key].as_str().unwrap_or_default().to_owned();
    let expires_us = claims["exp"].as_i64().unwrap_or(0) * 1_000_000;
    if expires_us <= world.clock.now() {
        let message = "The access token expiry UTC time is earlier than current UTC time.";
        return Err(unauthorized("ExpiredAuthenticationToken", message));
    }
    let client_id = text("appid");
    let owns = match world.states.of::<AzureState>().principals.get(&client_id.to_lowercase()) {
        Some(declared) => Owns::Declared(declared.subscriptions.iter().map(|s| s.to_lowercase()).collect()),
        None => Owns::Tenant,
    };
    Ok(Who { client_id, object_id: text("oid"), tenant: text("tid"), audience: Some(text("aud")), owns })
}

impl Who {
    /// Whether they own `subscription`.
    #[must_use]
    pub(crate) fn owns(&self, world: &World, subscription: &str) -> bool {
        let subscription = subscription.to_lowercase();
        match &self.owns {
            Owns::Subscription(own) => *own == subscription,
            Owns::Declared(own) => own.contains(&subscription),
            Owns::Tenant => !world.states.of::<AzureState>().principals.values().any(|p| {
                !p.tenant.eq_ignore_ascii_case(&self.tenant)
                    && p.subscriptions.iter().any(|s| s.eq_ignore_ascii_case(&subscription))
            }),
        }
    }
}

fn unauthorized(code: &str, message: &str) -> ApiError {
    ApiError::new(code, message).status(401).field("challenge", Value::Bool(true))
}

fn invalid() -> ApiError {
    unauthorized("InvalidAuthenticationToken", "The access token is invalid.")
}

/// The bearer token of an `Authorization` header.
///
/// # Errors
/// None, or another scheme; in ARM's words.
pub(crate) fn bearer(header: Option<&String>) -> Result<&str, ApiError> {
    let Some(header) = header else {
        let message = "Authentication failed. The 'Authorization' header is missing.";
        return Err(unauthorized("AuthenticationFailed", message));
    };
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(unauthorized(
            "AuthenticationFailedInvalidHeader",
            "Authentication failed. The 'Authorization' header is provided in an invalid format.",
        )),
    }
}

/// Refuses tokens for something else than Resource Manager.
///
/// # Errors
/// InvalidAuthenticationTokenAudience.
pub(crate) fn check_audience(who: &Who) -> Result<(), ApiError> {
    let known = ["https://management.azure.com", "https://management.core.windows.net"];
    match who.audience.as_deref().map(|a| a.trim_end_matches('/')) {
        Some(audience) if !known.contains(&audience) => Err(unauthorized(
            "InvalidAuthenticationTokenAudience",
            &format!(
                "The access token has been obtained for wrong audience or resource '{audience}'. It should exactly match with one of the allowed audiences 'https://management.core.windows.net/','https://management.core.windows.net','https://management.azure.com/','https://management.azure.com'."
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{bearer, guid_of, is_guid};

    #[test]
    fn guids_and_headers() {
        assert!(is_guid(&guid_of("x")) && !is_guid("444455556666"));
        assert_eq!(guid_of("Some"), guid_of("sOME"));
        let header = "bearer abc".to_owned();
        assert_eq!(bearer(Some(&header)).expect("a token"), "abc");
        assert_eq!(bearer(None).expect_err("none").code, "AuthenticationFailed");
    }
}
