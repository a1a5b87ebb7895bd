//! Port to the store: the only queue, and the only truth about what was promised.
//!
//! Two faces: [`TenantStore`] for the API, [`WorkStore`] for the engine. Every write of the
//! engine is fenced: it happens only while the claim's fence and owner still stand.

use std::time::Duration;

use async_trait::async_trait;

use super::DutyStore;
pub use super::{
    request::{Caller, RequestContext, RequestKey, RequestScope, Via},
    store_error::{DOMAIN_REMEDY, StoreError},
    store_query::{EnvironmentQuery, Event, EventKind, EventQuery, EventScope, NewEvent, OperationQuery, Owners},
};
pub use crate::environment::EnvironmentPatch;
use crate::{
    Candidate, CertificateOrder, CustomerId, DesiredState, Environment, EnvironmentName, HostClusterId, HostClusterRef,
    HostClusterSpec, HostSelector, HostView, Operation, OperationId, OperationKind, OperationOutcome, Placement,
    Precondition, Stage, StageRecord, TenantName, TenantSpec, TenantUid, Timestamp,
    certificate::{Allowance, OrderLimits},
    environment::Domain,
    inventory::{FoundInHost, FoundObjects, HostsDue, InventoryDue, InventoryReport, Orphan},
    placement::ProviderKey,
};

/// A checked CreateTenant.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Resource name.
    pub name: TenantName,
    /// Spec.
    pub spec: TenantSpec,
    /// Placement chosen. At a shared level, credential scope and account become the host cluster's.
    pub placement: Placement,
    /// The orphan whose objects it takes over; `None`: it is rebuilt.
    pub adopt: Option<TenantUid>,
    /// Which host cluster it needs; `None`: none. One is chosen in the transaction that accepts the
    /// tenant, so that creates at the same moment can't overfill it.
    pub hosts: Option<HostSelector>,
    /// Its request; the idempotency key is unique per customer.
    pub request: RequestContext,
}

/// A checked CreateHostCluster or AdoptHostCluster.
#[derive(Debug, Clone)]
pub struct NewHostCluster {
    /// Id.
    pub id: HostClusterId,
    /// Spec.
    pub spec: HostClusterSpec,
    /// Placement.
    pub placement: Placement,
    /// Its request; the idempotency key is unique among host clusters.
    pub request: RequestContext,
}

/// A checked change of an existing tenant or host cluster.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time; it is never stored in bulk")]
pub enum Change {
    /// UpdateTenant with the whole new spec. Raises the generation if work is needed; an
    /// update of the record only ends its operation at once.
    Update {
        /// New spec.
        spec: TenantSpec,
        /// New placement.
        placement: Placement,
    },
    /// UpdateTenantRevision, UpdateHostClusterRevision: an environment that stays what it is, with other revisions.
    Renew {
        /// New placement.
        placement: Placement,
    },
    /// RetryTenant: failed stages start again. FailedPrecondition unless FAILED.
    Retry,
}

/// A checked DeleteTenant.
#[derive(Debug, Clone)]
pub struct DeleteRequest {
    /// Skip asking an unreachable API server to release what it made.
    pub force: bool,
    /// Which version it is for.
    pub precondition: Precondition,
    /// Its request.
    pub request: RequestContext,
}

/// An accepted change.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The environment after the change; `None` in the response to a replay whose environment is gone since.
    pub environment: Option<Environment>,
    /// Its operation.
    pub operation: Operation,
    /// Whether this is the response to a replayed request id.
    pub replayed: bool,
}

/// A page of results.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Results.
    pub items: Vec<T>,
    /// Name of the last item when more may follow; `after` of the next query.
    pub next: Option<String>,
}

/// The API's face of the store. Every acknowledged change is durable.
#[async_trait]
pub trait TenantStore: Send + Sync + 'static {
    /// Tenant, operation and first event in one transaction. A replayed request id returns
    /// the operation that it made. Refused as [`Self::check_domain`] refuses.
    async fn create(&self, new: NewTenant) -> Result<Accepted, StoreError>;

    /// [`StoreError::DomainTaken`] if `domain` can't be the domain of the tenant `name` now: another tenant has it, or one of
    /// another customer has one above or below it. A tenant that is being deleted still has its own.
    async fn check_domain(&self, name: &TenantName, domain: &Domain) -> Result<(), StoreError>;

    /// The same for a host cluster.
    async fn create_host_cluster(&self, new: NewHostCluster) -> Result<Accepted, StoreError>;

    /// Has a host cluster take no new tenants (`cordoned`), or take them again, if `precondition`
    /// holds.
    async fn cordon(
        &self,
        id: &HostClusterId,
        precondition: Precondition,
        cordoned: bool,
        request: RequestContext,
    ) -> Result<Environment, StoreError>;

    /// All host clusters by name, with who lives in each at this moment.
    async fn candidates(&self, customer: Option<&CustomerId>) -> Result<Vec<Candidate>, StoreError>;

    /// The host cluster of a tenant as it is now; `None`: it has a cluster of its own. Of a host
    /// cluster: itself.
    async fn host_of(&self, environment: &Environment) -> Result<Option<HostView>, StoreError>;

    /// The response to an earlier request of the same scope with the same request id, if there was
    /// one. RequestIdReused if that requested something else.
    async fn replayed(&self, scope: &RequestScope, request: &RequestKey) -> Result<Option<Accepted>, StoreError>;

    /// Objects of unknown tenants, by provider and uid.
    async fn orphans(&self) -> Result<Vec<Orphan>, StoreError>;

    /// Refuses what a create with [`NewTenant::adopt`] would refuse: an orphan that is not on the list, one of another
    /// provider, credential scope or region, and one in another host cluster than `host`. Changes nothing.
    async fn check_adoption(
        &self,
        uid: TenantUid,
        placement: &Placement,
        host: Option<&HostClusterRef>,
    ) -> Result<(), StoreError>;

    /// Accepts the removal of an orphan's objects: as the delete of a tenant of the customer `orphans` that goes with them.
    async fn delete_orphan(&self, uid: TenantUid, force: bool, request: RequestContext)
    -> Result<Accepted, StoreError>;

    /// An environment by name. One with a tenant's name is a tenant's, one with a host cluster's is a host cluster.
    async fn get(&self, name: &EnvironmentName) -> Result<Environment, StoreError>;

    /// What is recorded of a tenant's stage now; `None`: it was not begun, or the tenant is gone.
    async fn stage(
        &self,
        tenant: TenantUid,
        desired_state: DesiredState,
        stage: &Stage,
    ) -> Result<Option<StageRecord>, StoreError>;

    /// A page of environments.
    async fn list(&self, query: &EnvironmentQuery) -> Result<Page<Environment>, StoreError>;

    /// Changes a tenant if `precondition` holds. The running operation, if any,
    /// ends as superseded.
    async fn change(
        &self,
        name: &EnvironmentName,
        precondition: Precondition,
        change: Change,
        request: RequestContext,
    ) -> Result<Accepted, StoreError>;

    /// Accepts deletion; [`StoreError::HostInUse`] for a host cluster in which tenants live. Deleting what is being deleted returns the running operation.
    async fn delete(&self, name: &EnvironmentName, request: DeleteRequest) -> Result<Accepted, StoreError>;

    /// Requests cancellation of a running operation: a create of what is not protected unwinds, anything else stops where
    /// it is ([`crate::lifecycle::cancellation`]). FailedPrecondition for a delete; HostInUse for the create of a host
    /// cluster in which tenants wait.
    async fn cancel(&self, id: OperationId, request: RequestContext) -> Result<(), StoreError>;

    /// An operation by id, with its stages. Operations outlive their tenants.
    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError>;

    /// A page of operations (their stages may be left out).
    async fn operations(&self, query: &OperationQuery) -> Result<Page<Operation>, StoreError>;

    /// A page of events, oldest first: read whole before it returns, so that no caller's speed holds anything of the store.
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError>;

    /// Waits, at no cost, until there may be an event for `query` after its position; then read a page.
    /// The position that it returns is to be waited from if that page is empty. Cancelling the wait loses nothing. Whoever
    /// waits ends the wait at shutdown: no event ends it then.
    async fn wait_for_event(&self, query: &EventQuery) -> i64;

    /// Position of the newest event.
    async fn newest_event(&self) -> Result<i64, StoreError>;

    /// What all daemons on this store know and no client does: by it they seal the tokens that they hand out. The same for as
    /// long as the store lives.
    async fn token_secret(&self) -> Result<[u8; 32], StoreError>;
}

/// The right to work on one tenant until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Tenant.
    pub uid: TenantUid,
    /// Owner that holds it.
    pub owner: String,
    /// Raised by every claim; an older fence can't write.
    pub fence: i64,
    /// Whether another daemon made the calls of its account until this claim.
    pub taken_over: Option<TakenOver>,
}

/// An account that another daemon called before. What is left of its rate limits, nobody here knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// The account ([`crate::Placement::account_key`]).
    pub account: String,
    /// For how long that daemon can have called it no more.
    pub free_for: Duration,
}

/// Everything needed to decide what to do for one tenant.
#[derive(Debug, Clone)]
pub struct Work {
    /// The environment as of now.
    pub environment: Environment,
    /// Kind of its newest operation.
    pub operation_kind: OperationKind,
    /// Whether that operation has ended.
    pub operation_done: bool,
    /// Generation for which that operation was accepted.
    pub operation_generation: i64,
    /// All stage records, both directions.
    pub stages: Vec<StageRecord>,
    /// The host cluster of a tenant in a shared cluster; of a host cluster itself: `None`.
    pub host: Option<HostView>,
    /// Why its customer's tenants are left as they are, but for deletion; `None`: they are not.
    pub frozen: Option<String>,
    /// The database's clock when this was read.
    pub now: Timestamp,
}

/// How an operation ends.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationEnd {
    /// Which.
    pub id: OperationId,
    /// How.
    pub outcome: OperationOutcome,
}

/// Whether a claim is given back, and when it is due again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Release {
    /// The work goes on.
    #[default]
    Hold,
    /// Due after this long.
    After(Duration),
    /// Due when the API changes something.
    UntilChanged,
}

/// One fenced transaction of the engine.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Stage records to insert or replace.
    pub stages: Vec<StageRecord>,
    /// Change of the environment's row.
    pub environment: EnvironmentPatch,
    /// End of the running operation; its stages are kept with it as they stand.
    pub operation: Option<OperationEnd>,
    /// Events.
    pub events: Vec<NewEvent>,
    /// Whether the claim is given back. If the API changed the environment since the work was loaded, it is due at once
    /// whatever stands here.
    pub release: Release,
    /// Remove the environment and its stages (the operation and the events stay). Implies release.
    pub remove: bool,
}

/// The engine's face of the store.
#[async_trait]
pub trait WorkStore: Send + Sync + 'static {
    /// Claims up to `limit` due tenants whose lease is free or over, most urgent first
    /// (deletes, then creates and updates, then resyncs; fair between customers), raising
    /// each one's fence. None of a provider whose inventory is to be compared first ([`InventoryStore`]).
    async fn claim(&self, owner: &str, limit: u32, lease_ttl: Duration) -> Result<Vec<Claim>, StoreError>;

    /// Loads what is needed to decide.
    async fn load(&self, claim: &Claim) -> Result<Work, StoreError>;

    /// Prolongs the lease.
    async fn renew(&self, claim: &Claim, lease_ttl: Duration) -> Result<(), StoreError>;

    /// One fenced transaction; [`StoreError::FenceLost`] if the claim no longer stands, and
    /// then nothing was written.
    async fn commit(&self, claim: &Claim, commit: Commit) -> Result<(), StoreError>;

    /// Takes a place for a certificate that the claimed tenant is about to have ordered, once for the same names of the same
    /// authority, and if the limits leave one: orders at once, of several daemons, never exceed them. A tenant that `served` its customer
    /// before waits for nothing; the first that it is seen with is what it has, and counts from when the tenant was accepted.
    async fn order_certificate(
        &self,
        claim: &Claim,
        order: &CertificateOrder,
        limits: &OrderLimits,
        served: bool,
    ) -> Result<Allowance, StoreError>;

    /// How long until something is due that `owner` may claim, or until the lease of another daemon on an account ends, whichever
    /// comes first; `None`: nothing is scheduled.
    async fn next_due(&self, owner: &str) -> Result<Option<Duration>, StoreError>;

    /// Waits until another daemon has given back what it held. A hint: it may be missed, and a store that one daemon has never
    /// gives it.
    async fn wait_for_hand_over(&self) {
        std::future::pending().await
    }

    /// Makes due now whatever is due further ahead than `longest`: nothing waits that long, so the clock was set back. Gives
    /// how many.
    async fn clamp_dues(&self, longest: Duration) -> Result<u64, StoreError>;

    /// Ends all leases at start-up. Does something only where the store can prove that no
    /// other owner lives (SQLite's exclusive lock); elsewhere leases run out by themselves.
    async fn recover_leases(&self) -> Result<u64, StoreError>;
}

/// What a store that goes on from a copy must learn before the first change. Until a provider's inventory was compared in the
/// store's present epoch, nothing of that provider can be claimed.
#[async_trait]
pub trait InventoryStore: DutyStore {
    /// Providers, of those configured and those that records name, whose inventory was not compared in this epoch.
    async fn inventories_due(&self, configured: &[ProviderKey]) -> Result<Vec<InventoryDue>, StoreError>;

    /// Compares what a provider listed with the records, in one transaction: objects of unknown tenants are kept as orphans,
    /// environments that were built and of which nothing is left are held ([`crate::lifecycle::hold`]). `None`: the provider
    /// is not configured, so nobody can list anything; its environments fail by themselves, and it is due again when it is
    /// configured.
    async fn compare_inventory(
        &self,
        key: &ProviderKey,
        found: Option<Vec<FoundObjects>>,
    ) -> Result<InventoryReport, StoreError>;

    /// Host clusters that can be asked what tenants have there, with everybody who is known now.
    async fn hosts_due(&self) -> Result<HostsDue, StoreError>;

    /// Replaces what is kept of objects of tenants without a record in one host cluster; gives the tenants that were not on
    /// the list. Of `found`, those whose tenant has a record are left out.
    async fn compare_host(&self, host: &HostView, found: Vec<FoundInHost>) -> Result<Vec<TenantUid>, StoreError>;
}
