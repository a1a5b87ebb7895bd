//! Bearer tokens: JWTs of the configured OpenID issuers.
//!
//! # Guarantees
//! - An issuer's algorithms are an allow-list of asymmetric ones; what the token says of its algorithm only chooses among
//!   them, and must fit the key. There is no `none`, and no HMAC with a public key.
//! - Keys come from the issuer that the configuration names, never from the token (`jku`, `x5u`, `jwk`, `x5c` are refused).
//! - Signature, issuer, audience and times are checked by `jsonwebtoken`; what it does not require is checked here.
//! - What was verified is not verified again while the issuer's keys are the same and the token has not ended.
//! - A token of an unknown key costs an issuer at most one request every ten seconds.

mod claims;
mod keys;
mod verified;

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::Validation;
use landlord_core::{access::Principal, ports::Unauthenticated};
use serde_json::Value;

use self::{keys::Keys, verified::Verified};

/// Larger tokens are refused before anything of them is read; headers of HTTP are bounded likewise.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest `kid`.
const KID_CHARS_MAX: usize = 256;
/// How far the issuer's clock may be from ours.
const SKEW_SECS: u64 = 30;
/// Headers by which a token would bring its own key, or ask for what is not understood.
const REFUSED_HEADERS: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"];

/// An OpenID issuer.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// Name: prefix of its principals and groups.
    pub name: String,
    /// The issuer's identifier, as in the tokens.
    pub issuer: String,
    /// Audiences that a token may be for.
    pub audiences: Vec<String>,
    /// Algorithms that it signs with.
    pub algorithms: Vec<Algorithm>,
    /// CAs of its own certificate; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token that it asks for before it shows its keys, read for every request; `None`: it shows them to
    /// everybody.
    pub bearer_file: Option<PathBuf>,
    /// Claim with the principal's name.
    pub principal_claim: String,
    /// Claim with the groups.
    pub groups_claim: String,
    /// Claim with the customer; empty: tokens name none.
    pub customer_claim: String,
    /// Groups of policies by groups of the issuer; others are called `NAME:GROUP`.
    pub groups: BTreeMap<String, String>,
}

/// Issuers that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct IssuerError(pub(crate) String);

/// Verifies tokens.
#[derive(Debug, Default)]
pub struct Tokens {
    issuers: Vec<Issuer>,
    verified: Verified,
}

#[derive(Debug)]
struct Issuer {
    options: IssuerOptions,
    keys: Keys,
}

fn refuse(why: impl Into<String>) -> Unauthenticated {
    Unauthenticated::Refused(format!("the token {}", why.into()))
}

impl Tokens {
    /// Calls no issuer yet: one that is away keeps the daemon from nothing else.
    ///
    /// # Errors
    /// Issuers that can't be called safely, or CAs or bearer tokens that can't be read.
    pub fn new(issuers: Vec<IssuerOptions>) -> Result<Self, IssuerError> {
        let issuers: Result<_, IssuerError> = issuers
            .into_iter()
            .map(|options| {
                Ok(Issuer {
                    keys: Keys::new(&options.issuer, options.ca_file.as_deref(), options.bearer_file.clone())?,
                    options,
                })
            })
            .collect();
        Ok(Self { issuers: issuers?, verified: Verified::default() })
    }

    /// Whether any issuer is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// The principal of a token.
    ///
    /// # Errors
    /// A token that is not one of ours (Refused), or whose issuer has not shown the key that it needs because it is away
    /// (Unavailable).
    pub async fn principal(&self, token: &str) -> Result<Principal, Unauthenticated> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refuse("is too large"));
        }
        let hash = verified::hash(token);
        let generation = |issuer: usize| self.issuers.get(issuer).and_then(|issuer| issuer.keys.fresh_generation());
        if let Some(principal) = self.verified.find(&hash, generation) {
            return Ok(principal);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { return Err(refuse("is no JWT")) };
        if signature.is_empty() {
            return Err(refuse("is not signed"));
        }
        let (header, unverified) = (object(header)?, object(payload)?);
        let issuer = unverified.get("iss").and_then(Value::as_str).unwrap_or_default();
        let place = self.issuers.iter().position(|known| known.options.issuer == issuer);
        let place = place.ok_or_else(|| refuse("is of an issuer that is not configured"))?;
        // Of before: keys that come while it is verified may not be those that it is verified with.
        let fetched = generation(place);
        let principal = self.issuers[place].principal(token, &header).await?;
        if let Some(fetched) = fetched {
            self.verified.keep(hash, place, fetched, &principal);
        }
        Ok(principal)
    }
}

type Object = serde_json::Map<String, Value>;

/// A part of a token as a JSON object.
fn object(part: &str) -> Result<Object, Unauthenticated> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| refuse("is no JWT"))?;
    serde_json::from_slice(&bytes).map_err(|_| refuse("is no JWT"))
}

impl Issuer {
    async fn principal(&self, token: &str, header: &Object) -> Result<Principal, Unauthenticated> {
        let algorithm = self.algorithm(header)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= KID_CHARS_MAX => Some(kid.as_str()),
            Some(_) => return Err(refuse("has a kid that is none")),
        };
        let mut validation = Validation::new(algorithm);
        validation.algorithms = vec![algorithm];
        validation.leeway = SKEW_SECS;
        validation.validate_nbf = true;
        validation.set_audience(&self.options.audiences);
        validation.set_issuer(&[&self.options.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let mut failure = refuse("is signed by a key that its issuer does not publish");
        for key in self.keys.find(kid, algorithm).await? {
            match jsonwebtoken::decode::<Object>(token, &key, &validation) {
                Ok(data) => return claims::principal(&self.options, &data.claims),
                // Which part was wrong is for the log; the response only says what a client can mend.
                Err(error) => failure = claims::refusal(error.kind()),
            }
        }
        Err(failure)
    }

    /// The algorithm of the header, if the issuer signs with it and the header requests nothing else.
    fn algorithm(&self, header: &Object) -> Result<Algorithm, Unauthenticated> {
        if REFUSED_HEADERS.iter().any(|name| header.contains_key(*name)) {
            return Err(refuse("brings its own key, or requests what is not understood"));
        }
        match header.get("typ") {
            None => {}
            Some(Value::String(kind)) if ["jwt", "at+jwt"].iter().any(|known| kind.eq_ignore_ascii_case(known)) => {}
            Some(_) => return Err(refuse("is of another type than JWT")),
        }
        let text = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let algorithm = self.options.algorithms.iter().find(|algorithm| format!("{algorithm:?}") == text);
        algorithm.copied().ok_or_else(|| refuse("is signed by an algorithm that is not allowed"))
    }
}

#[cfg(test)]
mod tests;
