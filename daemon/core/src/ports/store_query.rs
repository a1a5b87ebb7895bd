//! Queries to a store, and the events that they return: values without rules. Knows no database.

use crate::{
    ClassName, CustomerId, EnvironmentName, HostClusterId, OperationId, Progress, ProviderName, State, TenantUid,
    Timestamp,
};

/// Whose environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// Tenants.
    Tenants {
        /// Of this customer only.
        customer: Option<CustomerId>,
        /// In this host cluster only.
        host_cluster: Option<HostClusterId>,
    },
    /// Host clusters.
    HostClusters,
}

impl Default for Owners {
    fn default() -> Self {
        Self::Tenants { customer: None, host_cluster: None }
    }
}

/// Which environments.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentQuery {
    /// Whose.
    pub owners: Owners,
    /// In one of these states; empty: any.
    pub states: Vec<State>,
    /// Of this provider only.
    pub provider: Option<ProviderName>,
    /// Of this class only.
    pub class: Option<ClassName>,
    /// After this resource name (order: customer, tenant; or host cluster).
    pub after: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// Which operations; newest first.
#[derive(Debug, Clone, Default)]
pub struct OperationQuery {
    /// Of this tenant or host cluster only.
    pub name: Option<EnvironmentName>,
    /// Of this customer's tenants only.
    pub customer: Option<CustomerId>,
    /// Only those done or not done.
    pub done: Option<bool>,
    /// After this operation (order: create time descending, id).
    pub after: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// What an event reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The tenant record changed (spec, state, conditions, endpoints).
    Tenant,
    /// A stage began, changed its detail, failed an attempt, or ended.
    Stage,
    /// An operation began or ended.
    Operation,
    /// The tenant is gone.
    Removed,
}

/// An event to write.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Kind.
    pub kind: EventKind,
    /// Stage name, for stage events; empty otherwise.
    pub stage: String,
    /// Word for machines, CamelCase (`StageStarted`, `StageDone`, `StageRetrying`, …).
    pub reason: String,
    /// Sentence for humans. No secrets.
    pub message: String,
    /// How far the operation is then; `None`: it is not about the work of one.
    pub progress: Option<Progress>,
}

/// An event as read. `seq` grows without end and never repeats: it is the resume token.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position.
    pub seq: i64,
    /// When.
    pub time: Timestamp,
    /// Whose.
    pub uid: TenantUid,
    /// Whose.
    pub name: EnvironmentName,
    /// What.
    pub event: NewEvent,
    /// The operation that it is part of; `None`: of none, or it was written before events knew.
    pub operation: Option<OperationId>,
}

/// Whose events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EventScope {
    /// Of all tenants.
    #[default]
    Tenants,
    /// Of a customer's tenants.
    Customer(CustomerId),
    /// Of all host clusters.
    HostClusters,
    /// Of one name, also of earlier environments of that name.
    Environment(EnvironmentName),
    /// Of all tenants and host clusters.
    All,
}

/// Which events, oldest first.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// After this position.
    pub after_seq: i64,
    /// Whose.
    pub scope: EventScope,
    /// At most this many.
    pub limit: u32,
}
