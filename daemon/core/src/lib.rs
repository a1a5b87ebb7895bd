//! The domain of landlord, without any IO: what a tenant is, which stages build and remove
//! it, what to do next, and the ports through which the rest of the daemon meets.
//!
//! Nothing here knows tokio, SQL, gRPC or Kubernetes clients, and nothing reads a clock:
//! time arrives as a value.

pub mod access;
pub mod audit;
pub mod availability;
pub mod capacity;
pub mod catalog;
pub mod certificate;
mod class_differences;
mod current_catalog;
pub mod domains;
pub mod environment;
pub mod executor;
pub mod failure;
pub mod fleet;
pub mod graph;
pub mod ids;
pub mod inventory;
pub mod isolation;
pub mod journal;
pub mod late;
pub mod lifecycle;
pub mod node_scaling;
pub mod operation;
pub mod placement;
pub mod placement_rule;
pub mod platform_options;
pub mod ports;
mod precondition;
pub mod progress;
pub mod public_address;
pub mod residency;
pub mod revision;
pub mod service_rules;
pub mod stage;
pub mod step;
pub mod time;

pub use availability::{Availability, AvailabilityChange};
pub use capacity::{Amounts, Measured, Observation, ReservePercent};
pub use catalog::{Catalog, Class};
pub use certificate::CertificateOrder;
pub use class_differences::ClassDifference;
pub use current_catalog::CurrentCatalog;
pub use domains::Domains;
pub use environment::{
    Condition, Environment, EnvironmentKind, HostCluster, HostClusterRef, HostClusterSpec, Owner, Progress, State,
    Tenant, TenantSpec, Violation, Violations,
};
pub use failure::{Chain, ErrorKind, Failure};
pub use fleet::{Candidate, HostSelector, HostView};
pub use ids::{
    AppName, ClassName, CustomerId, EnvironmentName, HostClusterId, OperationId, PlatformName, ProviderName, StackName,
    TenantId, TenantName, TenantUid,
};
pub use inventory::{FoundInHost, FoundObjects, HostedKind, HostsDue, InventoryDue, InventoryReport, Orphan};
pub use node_scaling::NodeScaling;
pub use operation::{Operation, OperationKind, OperationOutcome};
pub use placement::{Level, Placement};
pub use placement_rule::{Mismatch, Orderer, PlacementRule, RuleVerdict};
pub use platform_options::{LeftOut, PlatformOptions, PlatformPart};
pub use precondition::{Order, Precondition};
pub use residency::{Residencies, Residency};
pub use service_rules::{ChecksFrom, CredentialReading, CustomerRole, ServiceRules, WhenUnavailable};
pub use stage::{DesiredState, Stage, StageRecord, StageState};
pub use time::Timestamp;
