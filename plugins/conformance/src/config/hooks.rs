//! What happens in the cloud past the plugin, as a configuration says it: foreign objects, failures, twins, the witness.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A request or a command by somebody who is not landlord. In all texts `{uid}`, `{uid_hex}` (without dashes),
/// `{domain}`, `{domain_sha256}` (hexadecimal), `{installation}`, `{region}`, `{account}`, `{endpoint}`, `{date}`
/// (`20261125`) and `{datetime}` (`20261125T120000Z`) are replaced, and parts of them: `{uid_hex[..12]}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Program and arguments; success is exit code 0.
    #[serde(default)]
    pub command: Vec<String>,
    /// HTTP method.
    #[serde(default)]
    pub method: String,
    /// URL; success is a status below 300.
    #[serde(default)]
    pub url: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body.
    #[serde(default)]
    pub body: String,
}

/// A foreign object under a name that landlord would use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameTaken {
    /// Stage that finds it: `network`, `cluster`, `node-pool`, `dns-zone`, ….
    pub stage: String,
    /// Makes it.
    pub plant: Hook,
    /// Succeeds while it is there.
    pub check: Hook,
    /// Removes it; repeated, within a stage's timeout, until the cloud lets go.
    #[serde(default)]
    pub remove: Option<Hook>,
}

/// How the cloud takes an order and its object ends in error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Stage whose object fails: `network`, `cluster`, `node-pool`, ….
    pub stage: String,
    /// Makes the next objects fail, two at least.
    pub arm: Hook,
    /// Lets them succeed again; not needed if `arm` counts.
    #[serde(default)]
    pub disarm: Option<Hook>,
    /// What the error must hold of the cloud's own cause, in its message or as its code.
    pub cause: String,
}

/// How an object is there twice, both with the tenant's markers: after a create that was requested twice.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicate {
    /// Stage whose object it is.
    pub stage: String,
    /// Makes the second one.
    pub plant: Hook,
}

/// A GET that responds with a JSON list (or an object with one list in it) of everything in the account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// URL, with the same replacements as a [`Hook`].
    pub url: String,
}
