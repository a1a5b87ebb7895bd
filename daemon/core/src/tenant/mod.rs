//! The tenant: what is wanted (spec), what is (status), and the record that holds both.

mod spec;

pub use spec::{
    Domain, NODE_COUNT_MAX, NodeCount, STACK_VALUES_BYTES_MAX, STORAGE_GIB_MAX, SpecInput, StorageSize, TenantSpec,
    Violation, Violations,
};

use serde::{Deserialize, Serialize};

use crate::{Direction, HostRef, Hosting, Level, Offer, OperationId, TenantName, TenantUid, Timestamp};

/// Where a tenant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; no work has begun.
    Pending,
    /// Being built for the first time.
    Provisioning,
    /// As ordered, and answering.
    Ready,
    /// Being changed or repaired after it was READY once.
    Updating,
    /// Being removed.
    Deleting,
    /// A stage gave up. Retry, Update or Delete lead out.
    Failed,
}

impl State {
    /// The name in the API and the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Provisioning => "PROVISIONING",
            Self::Ready => "READY",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Failed => "FAILED",
        }
    }
}

/// A condition as Kubernetes uses the word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `Ready`, `Progressing`, `Paused`, `ProviderDegraded`, …
    pub r#type: String,
    /// Whether it holds.
    pub status: bool,
    /// Word for machines, CamelCase.
    pub reason: String,
    /// Sentence for humans.
    pub message: String,
    /// When `status` last changed.
    pub transition_time: Timestamp,
}

/// An address that the customer uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `files`, `chat`, `sftp`, …
    pub name: String,
    /// URL.
    pub url: String,
}

/// What is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStatus {
    /// Where it is in its life.
    pub state: State,
    /// Newest generation that was READY.
    pub observed_generation: i64,
    /// Conditions, sorted by type.
    pub conditions: Vec<Condition>,
    /// Addresses, once known.
    pub endpoints: Vec<Endpoint>,
}

/// What kind of environment a record stands for; decides the graph of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tenant of an isolation level.
    Tenant(Level),
    /// A host cluster that landlord makes.
    Host,
    /// A host cluster that was there before.
    AdoptedHost,
}

/// A tenant as stored. A host cluster is a record of the same form, with `hosting` set.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Identity for life.
    pub uid: TenantUid,
    /// Resource name.
    pub name: TenantName,
    /// What is wanted.
    pub spec: TenantSpec,
    /// The class as resolved when the spec was accepted; later changes of the configuration
    /// do not touch existing tenants, as with a Kubernetes StorageClass.
    pub offer: Offer,
    /// The host cluster that it lives in; `None`: it has a cluster of its own. Chosen when it was
    /// accepted, for life.
    pub host: Option<HostRef>,
    /// Set for host clusters.
    pub hosting: Option<Hosting>,
    /// Raised by every change of the spec that needs work.
    pub generation: i64,
    /// Present, or absent once deletion was accepted.
    pub direction: Direction,
    /// Delete even where the API server cannot be asked to release what it made; leftovers
    /// are then swept by tag only.
    pub force_delete: bool,
    /// What is.
    pub status: TenantStatus,
    /// Changes with every write that a client can see.
    pub etag: String,
    /// The newest operation.
    pub operation: OperationId,
    /// Whether that operation shall be cancelled.
    pub cancel_requested: bool,
    /// The spec and offer to go back to when an update is cancelled; `None` before the first READY.
    pub last_ready: Option<(TenantSpec, Offer)>,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
    /// When deletion was accepted.
    pub delete_time: Option<Timestamp>,
}

impl Tenant {
    /// What it stands for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &self.hosting {
            None => Kind::Tenant(self.offer.level),
            Some(Hosting { adoption: None, .. }) => Kind::Host,
            Some(Hosting { adoption: Some(_), .. }) => Kind::AdoptedHost,
        }
    }
}
