//! Where the daemon's parts meet. The parts know these traits and not each other;
//! `landlordd` wires them.

mod access;
pub mod apps;
mod audit;
mod availability;
mod customers;
mod daemons;
mod diff;
mod duties;
mod handover;
mod history;
pub mod host_clusters;
pub mod isolation;
pub mod kube;
mod logs;
mod peer;
pub mod providers;
mod request;
mod revisions;
mod stacks;
mod statistics;
pub mod store;
mod store_error;
mod store_query;
pub mod target;
mod webhooks;

pub use access::{Authenticator, Authorizer, Unauthenticated};
pub use apps::{
    Apps, CheckOutcome, CheckResult, CloudAccount, Concern, ReleaseOf, ReleasePlan, StackPlaces, Verified, Verifier,
    VerifyStatus,
};
pub use audit::{AuditEnd, AuditQuery, AuditStore, HeadSigner, KeptEntry};
pub use availability::{AvailabilityStore, NoAnswer, PROBE_TIMEOUT, Probe, ProbeTarget, SeenAvailability};
pub use customers::CustomerStore;
pub use daemons::{DaemonInfo, DaemonState, DaemonStore, Leases};
pub use diff::{AppDiff, FieldDiff, ObjectDiff, TenantDiff};
pub use duties::{Duty, DutyStore};
pub use handover::{
    AccessAddress, AccessFacts, AppAccess, CertificateState, CredentialFact, CredentialRecord, CredentialStore,
    Handover, HostKey, ROTATION_TIME_MAX, RotationEffect, RotationFailure, RotationReached,
};
pub use history::HistoryStore;
pub use host_clusters::{HostClusters, PoolGrowth, ScaledPool, UninstallReport};
pub use isolation::{CUSTOMER_ACCESS_MAX, CUSTOMER_ACCESS_MIN, Isolation};
pub use kube::{CustomerAccess, KubeAccess, KubeCredentials, KubeIdentity};
pub use logs::{AppLogs, LogLine, LogQuery, LogSink, TenantLogs};
pub use peer::Peer;
pub use providers::{ProviderHealth, ProviderKey, Providers};
pub use revisions::RevisionStore;
pub use store::{
    Accepted, Caller, Change, Claim, Commit, DOMAIN_REMEDY, DeleteRequest, EnvironmentPatch, EnvironmentQuery, Event,
    EventKind, EventQuery, EventScope, InventoryStore, NewEvent, NewHostCluster, NewTenant, OperationEnd,
    OperationQuery, Owners, Page, Release, RequestContext, RequestKey, RequestScope, StoreError, TakenOver,
    TenantStore, Via, Work, WorkStore,
};

pub use stacks::{StackParameter, Stacks};
pub use statistics::{EnvironmentCount, Statistics, StatisticsStore};
pub use target::{DeployTarget, PlatformTarget, StageProgress, TargetCluster};
pub use webhooks::{
    ClaimedWebhook, HeldTenant, PARKED_MAX, ParkedEvent, TestDelivery, WebhookClaim, WebhookProgress, WebhookState,
    WebhookStore, WebhookView, Webhooks,
};

/// Notifies the engine that the store may hold new work. A hint only: losing it costs one poll
/// interval, never work, since the store decides what is due.
pub trait Wake: Send + Sync + 'static {
    /// Hints that something may be due.
    fn wake(&self);
}
