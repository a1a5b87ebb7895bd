//! What Azure has beside resources: operations under way, declared principals, request buckets.

use cloudsim_core::{clock::Micros, states::CloudState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How a long-running operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    InProgress,
    Succeeded,
    Failed,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
}

/// Why an operation failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// ARM's code.
    pub code: String,
    /// The message.
    pub message: String,
    /// The HTTP status that a `Location` responds with.
    pub status: u16,
}

/// A long-running operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// Its id, a GUID.
    pub id: String,
    /// The service that runs it.
    pub service: String,
    /// Subscription, in lower case.
    pub subscription: String,
    /// Key of the resource.
    pub resource: String,
    /// What is done.
    pub verb: Verb,
    /// How it stands.
    pub status: Status,
    /// When it began.
    pub start_us: Micros,
    /// When it ended.
    pub end_us: Option<Micros>,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// A service principal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Principal {
    /// Its tenant.
    pub tenant: String,
    /// Its application id.
    pub client_id: String,
    /// Its secret; without one it has only federated credentials or certificates.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Subscriptions that it owns.
    #[serde(default)]
    pub subscriptions: Vec<String>,
}

/// One token bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// Tokens left.
    pub left: f64,
    /// When that was so.
    pub at: Micros,
}

/// What Azure has beside resources.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct AzureState {
    /// Operations by id, for a day.
    pub operations: BTreeMap<String, Operation>,
    /// Declared principals by application id, in lower case.
    pub principals: BTreeMap<String, Principal>,
    /// Request rates by principal, subscription and class.
    #[serde(skip)]
    pub buckets: HashMap<String, Bucket>,
}

impl CloudState for AzureState {
    const NAME: &'static str = crate::step::NAME;
}
