//! What goes wrong while tenants are kept apart, and what the engine learns of it.

use landlord_core::{ErrorKind, Failure};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server refused or could not be reached, or something in the cluster stands in the way.
    #[error(transparent)]
    Kube(#[from] landlord_kube::Error),
    /// A host cluster's common objects can't go while tenants' namespaces are there.
    #[error("{what}; without the host cluster's policies they would not be isolated")]
    Occupied {
        /// Which.
        what: String,
    },
    /// Something shared has no room for one more tenant.
    #[error("{what}")]
    Full {
        /// What, and its bound.
        what: String,
    },
    /// The controller of the Gateway serves the tenant's names not, or another's.
    #[error("{what}")]
    Refused {
        /// What, and why in the controller's words.
        what: String,
    },
    /// Required of a tenant with its own cluster.
    #[error("the tenant has a cluster of its own, and no customer's account on it")]
    NotShared,
    /// Asked of a tenant in a shared cluster, or of one whose stack is not known.
    #[error("the tenant has no cluster of its own with apps in it")]
    NotOwn,
}

impl Error {
    /// Whether the API server is about to serve a kind that it has just learned of; over in a second.
    pub(crate) fn is_initializing(&self) -> bool {
        matches!(self, Self::Kube(error) if error.is_initializing())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let (kind, remedy) = match error {
            Error::Kube(error) => return error.into(),
            Error::Occupied { .. } => (
                ErrorKind::Conflict,
                "remove these namespaces; they were left when their tenants were deleted with force",
            ),
            Error::Full { .. } => (
                ErrorKind::Capacity,
                "bring the Gateway API 1.5 or newer along, or order the tenant again on another host cluster; maxTenants of \
                 63, divided by the names of a tenant where classes list them, keeps a host cluster with an older one from taking \
                 more",
            ),
            Error::Refused { .. } => (
                ErrorKind::Conflict,
                "whoever operates the host cluster's Gateway finds out who else listens for these names, or what its \
                 controller refuses; landlord tries again by itself",
            ),
            Error::NotShared | Error::NotOwn => (ErrorKind::Invalid, "ask for the operator's access"),
        };
        Self::new(kind, message).with_remedy(remedy)
    }
}
