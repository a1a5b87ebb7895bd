//! Ports to what would change in a tenant's cluster if it ran what is on offer now.

use async_trait::async_trait;

use super::target::DeployTarget;
use crate::{Environment, Failure};

/// A field in which an object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDiff {
    /// Path, as `spec.replicas`.
    pub path: String,
    /// What is there, as JSON; empty: nothing. `***`: a secret.
    pub live: String,
    /// What would be there.
    pub offered: String,
}

/// An object that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDiff {
    /// App.
    pub app: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// `added`, `changed` or `removed`.
    pub change: String,
    /// Of one that would be changed.
    pub fields: Vec<FieldDiff>,
}

/// Compares a tenant's objects with what its stack on disk would make of them.
#[async_trait]
pub trait AppDiff: Send + Sync + 'static {
    /// Every object that would differ. Changes nothing: the API server is asked for dry runs.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn diff(&self, target: &DeployTarget) -> Result<Vec<ObjectDiff>, Failure>;
}

/// The same of a tenant, by its record.
#[async_trait]
pub trait TenantDiff: Send + Sync + 'static {
    /// As [`AppDiff::diff`].
    ///
    /// # Errors
    /// CONFLICT while there is no cluster or no stack; else as [`Failure::kind`] says.
    async fn diff(&self, tenant: &Environment) -> Result<Vec<ObjectDiff>, Failure>;
}
