//! What a stack declares under `access`: the credentials that are handed over to a customer, and how each is given a new value.
//! Only what is read from the manifest; how it is done is `checks`'.

use std::collections::BTreeSet;

use landlord_core::{AppName, ports::RotationEffect};
use serde::Deserialize;

use crate::check::Request;

/// A credential for the customer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialSpec {
    /// Its name, unique in the stack.
    pub name: String,
    /// Release whose it is.
    pub app: AppName,
    /// Entry points that it is used at.
    pub entry_points: Vec<String>,
    /// User name, with references to the contract.
    pub username: String,
    /// Secret of the stack that holds the password.
    pub secret: String,
    /// Its generated key there.
    pub key: String,
    /// How it is given a new value; `None`: the app can't be given one.
    pub rotation: Option<Rotation>,
}

/// How an app is given a new password. `${old}`, `${new}` and `${basic}` (user name and new password as HTTP's Basic scheme has
/// them) are replaced in the requests, beside what checks may name.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// Requests by which the app takes the new one, while the old one works. None: it reads the Secret when it starts.
    #[serde(default)]
    pub requests: Vec<Request>,
    /// Requests that succeed only with the new one.
    #[serde(default)]
    pub proof: Vec<Request>,
    /// Deployments that are restarted once the Secret has the new one.
    #[serde(default)]
    pub restart: Vec<String>,
}

impl Rotation {
    /// What becomes of the credential meanwhile.
    #[must_use]
    pub fn effect(&self) -> RotationEffect {
        if self.requests.is_empty() { RotationEffect::Restart } else { RotationEffect::OldUntilNew }
    }
}

/// What does not fit of a stack's credentials. `generated`: whether a key of a secret is a generated one.
pub(crate) fn problems(
    credentials: &[CredentialSpec],
    releases: &[&AppName],
    records: &[&str],
    generated: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for credential in credentials {
        let name = &credential.name;
        if !seen.insert(name.as_str()) {
            problems.push(format!("access {name} is there twice"));
        }
        if !releases.contains(&&credential.app) {
            problems.push(format!("access {name}: there is no release {}", credential.app));
        }
        for record in credential.entry_points.iter().filter(|record| !records.contains(&record.as_str())) {
            problems.push(format!("access {name}: there is no entry point {record}"));
        }
        let (secret, key) = (&credential.secret, &credential.key);
        if !generated(secret, key) {
            problems.push(format!("access {name}: {secret}.{key} must be a generated key of a secret of the stack"));
        }
        let Some(rotation) = &credential.rotation else { continue };
        if rotation.requests.is_empty() && rotation.restart.is_empty() {
            problems.push(format!("access {name}: rotation needs requests or restart"));
        }
        if !rotation.requests.is_empty() && rotation.proof.is_empty() {
            problems.push(format!("access {name}: rotation by requests needs a proof"));
        }
    }
    problems
}
