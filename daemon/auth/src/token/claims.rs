//! From verified claims to a principal.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::errors::ErrorKind;
use landlord_core::{
    Timestamp,
    access::{AuthMethod, Principal},
    ports::Unauthenticated,
};
use serde_json::Value;

use super::{IssuerOptions, Object, SKEW_SECS, refuse};

/// Longest name of a principal or group.
const NAME_CHARS_MAX: usize = 256;
/// Most groups: a token with more would not fit its bound.
const GROUPS_MAX: usize = 500;

/// What a client can mend.
pub(super) fn refusal(kind: &ErrorKind) -> Unauthenticated {
    match kind {
        ErrorKind::ExpiredSignature => refuse("has expired; get a new one"),
        ErrorKind::ImmatureSignature => refuse("is not valid yet; are the clocks right?"),
        ErrorKind::InvalidAudience => refuse("is for another audience"),
        ErrorKind::MissingRequiredClaim(claim) => refuse(format!("has no claim {claim}")),
        _ => refuse("is not valid"),
    }
}

/// The principal of claims whose signature, issuer, audience and end were checked.
pub(super) fn principal(options: &IssuerOptions, claims: &Object) -> Result<Principal, Unauthenticated> {
    if !matches!(claims.get("iss"), Some(Value::String(issuer)) if *issuer == options.issuer) {
        return Err(refuse("is of an issuer that is not configured"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match claims.get("iat") {
        None => {}
        Some(time) if time.as_f64().is_some_and(|time| time >= 0.0 && time <= (now + SKEW_SECS) as f64) => {}
        Some(_) => return Err(refuse("was issued in the future; are the clocks right?")),
    }
    let name = claims.get(&options.principal_claim).and_then(Value::as_str).filter(|name| is_name(name));
    let name = name.ok_or_else(|| refuse(format!("has no usable claim {}", options.principal_claim)))?;
    let customer = match claims.get(&options.customer_claim).filter(|_| !options.customer_claim.is_empty()) {
        None => None,
        Some(Value::String(id)) => {
            Some(id.parse().map_err(|_| refuse(format!("has no usable claim {}", options.customer_claim)))?)
        }
        Some(_) => return Err(refuse(format!("has no usable claim {}", options.customer_claim))),
    };
    Ok(Principal {
        name: format!("{}:{name}", options.name),
        groups: groups(options, claims.get(&options.groups_claim))?,
        customer,
        method: AuthMethod::Token,
        expire_time: claims.get("exp").and_then(Value::as_f64).map(|secs| Timestamp((secs * 1_000.0) as i64)),
    })
}

fn groups(options: &IssuerOptions, claim: Option<&Value>) -> Result<BTreeSet<String>, Unauthenticated> {
    let wrong = || refuse(format!("has no usable claim {}", options.groups_claim));
    let texts: Vec<&str> = match claim {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) if many.len() <= GROUPS_MAX => {
            many.iter().map(|group| group.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong()),
    };
    if !texts.iter().all(|group| is_name(group)) {
        return Err(wrong());
    }
    // The prefix keeps an issuer from granting what the configuration has not given it.
    let named = |group: &str| options.groups.get(group).cloned().unwrap_or_else(|| format!("{}:{group}", options.name));
    Ok(texts.into_iter().map(named).collect())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
}
