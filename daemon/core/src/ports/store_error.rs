//! What can go wrong in a store, in words by which a client knows what to do. Knows no database.

use crate::{TenantUid, environment::Violation, lifecycle::Refusal};

/// What mends a domain that is taken.
pub const DOMAIN_REMEDY: &str = "order a domain that no tenant has, and that is neither above nor below one of another \
                                 customer; the domain of a deleted tenant is free when its delete has ended";

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing has that name.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The name is taken.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// The domain belongs to another tenant, or lies above or below one that does. Of a tenant of another customer
    /// nothing is shown.
    #[error("the domain {domain} {clash}; {remedy}", remedy = DOMAIN_REMEDY)]
    DomainTaken {
        /// The domain that was requested.
        domain: String,
        /// In which way it is taken, in words that follow it.
        clash: String,
        /// Whose it is, when it is a tenant of the same customer.
        tenant: Option<String>,
    },
    /// The client saw an older version.
    #[error("{name} has changed since it was read; read it again and repeat the change")]
    EtagMismatch {
        /// Resource name.
        name: String,
    },
    /// The request id was used for another request.
    #[error("request_id {0} was used for a different request; use a new one")]
    RequestIdReused(String),
    /// Deletion is refused.
    #[error("{0} has deletion_protection set; clear it first")]
    DeletionProtected(String),
    /// The caller may read it, and not do this.
    #[error("you may not {action} on {resource}; ask an administrator of this installation for the right to")]
    PermissionDenied {
        /// The action, as policies call it.
        action: &'static str,
        /// Resource name.
        resource: String,
    },
    /// The change does not fit the state.
    #[error("{0}")]
    FailedPrecondition(String),
    /// Tenants live there.
    #[error("{name} can't be removed while tenants live in it: {tenants}; delete them first")]
    HostInUse {
        /// Host cluster.
        name: String,
        /// Who, in words.
        tenants: String,
    },
    /// What is agreed with the customer forbids it.
    #[error("{customer} may not order this: {}", shown(.violations))]
    NotInContract {
        /// Resource name of the customer.
        customer: String,
        /// Everything that forbids it, by the customer's fields.
        violations: Vec<Violation>,
    },
    /// No host cluster has room.
    #[error("{0}; {remedy}", remedy = crate::fleet::FULL_REMEDY)]
    NoHostClusterCapacity(String),
    /// The claim was lost to another owner: stop and forget.
    #[error("the lease of tenant {0} was lost to another owner")]
    FenceLost(TenantUid),
    /// A page token or filter that this store did not make.
    #[error("{0}")]
    InvalidArgument(String),
    /// The database can't be used now.
    #[error("the store is unavailable: {context}")]
    Unavailable {
        /// What was being done.
        context: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stored value that can't be read back.
    #[error("stored {what} can't be read: {problem}; was it written by a newer version?")]
    Corrupt {
        /// What.
        what: String,
        /// Why.
        problem: String,
    },
}

fn shown(violations: &[Violation]) -> String {
    violations.iter().map(|violation| violation.description.as_str()).collect::<Vec<_>>().join("; ")
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Protected(name) => Self::DeletionProtected(name),
            Refusal::EtagMismatch(name) => Self::EtagMismatch { name },
            Refusal::BeingDeleted(_)
            | Refusal::NothingToRetry { .. }
            | Refusal::NotCancellable
            | Refusal::NotATenant(_)
            | Refusal::Adopted(_) => Self::FailedPrecondition(refusal.to_string()),
        }
    }
}
