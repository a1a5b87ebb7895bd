//! The domain of landlord, without any IO: what a tenant is, which stages build and remove
//! it, what to do next, and the ports through which the rest of the daemon meets.
//!
//! Nothing here knows tokio, SQL, gRPC or Kubernetes clients, and nothing reads a clock:
//! time arrives as a value.

pub mod capacity;
pub mod catalog;
pub mod executor;
pub mod failure;
pub mod graph;
pub mod host;
pub mod ids;
pub mod isolation;
pub mod journal;
pub mod lifecycle;
pub mod operation;
pub mod placement;
pub mod ports;
pub mod residency;
pub mod stage;
pub mod step;
pub mod tenant;
pub mod time;

pub use capacity::{Amounts, Measured, Observation, ReservePercent};
pub use catalog::{Catalog, Class, Level, Offer};
pub use failure::{ErrorKind, Failure};
pub use host::{Candidate, HostRef, HostSelector, HostView, Hosting};
pub use ids::{
    AppName, ClassName, CustomerId, HostClusterId, OperationId, ProviderName, StackName, TenantId, TenantName,
    TenantUid,
};
pub use operation::{Operation, OperationKind, OperationOutcome};
pub use placement::{PlacementRule, RuleVerdict};
pub use residency::{Residencies, Residency};
pub use stage::{Direction, Stage, StageRecord, StageState};
pub use tenant::{Condition, State, Tenant, TenantSpec, Violation, Violations};
pub use time::Timestamp;
