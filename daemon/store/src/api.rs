//! The API's face: accepted changes, each with its operation and first event in one transaction.

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    Amounts, Candidate, CustomerId, Direction, HostClusterId, HostView, Offer, Operation, OperationId, OperationKind,
    OperationOutcome, Stage, StageRecord, State, Tenant, TenantName, TenantSpec, TenantUid, Timestamp, lifecycle,
    ports::{
        Accepted, Change, DeleteRequest, Event, EventKind, EventQuery, EventScope, NewEvent, NewHost, NewTenant,
        OperationQuery, Page, RequestKey, StoreError, TenantQuery, TenantStore,
    },
    tenant::{Domain, TenantStatus},
};
use sqlx::{Sqlite, SqliteConnection, pool::PoolConnection};
use uuid::Uuid;

use crate::{
    SqliteStore, clock, domains, events, hosts, operations,
    rows::{kind_word, unavailable},
    stages, tenants,
};

#[async_trait]
impl TenantStore for SqliteStore {
    async fn create(&self, new: NewTenant) -> Result<Accepted, StoreError> {
        let events_max = self.options.events_max;
        self.writer.write(move |connection| create(connection, new, events_max).boxed()).await
    }

    async fn check_domain(&self, name: &TenantName, domain: &Domain) -> Result<(), StoreError> {
        domains::refuse_taken(&mut *self.reader().await?, name, domain).await
    }

    async fn create_host(&self, new: NewHost) -> Result<Accepted, StoreError> {
        let events_max = self.options.events_max;
        self.writer.write(move |connection| create_host(connection, new, events_max).boxed()).await
    }

    async fn drain(&self, id: &HostClusterId, etag: Option<&str>, drained: bool) -> Result<Tenant, StoreError> {
        let (id, etag) = (id.clone(), etag.map(str::to_owned));
        self.writer.write(move |connection| hosts::drain(connection, id, etag, drained).boxed()).await
    }

    async fn candidates(&self, customer: Option<&CustomerId>) -> Result<Vec<Candidate>, StoreError> {
        hosts::candidates(&mut *self.reader().await?, customer).await
    }

    async fn host_of(&self, tenant: &Tenant) -> Result<Option<HostView>, StoreError> {
        hosts::view(&mut *self.snapshot().await?, tenant).await
    }

    async fn replayed(&self, customer: &CustomerId, request: &RequestKey) -> Result<Option<Accepted>, StoreError> {
        operations::replay(&mut *self.snapshot().await?, customer, request).await
    }

    async fn get(&self, name: &TenantName) -> Result<Tenant, StoreError> {
        tenants::find(&mut *self.reader().await?, name).await
    }

    async fn stage(
        &self,
        tenant: TenantUid,
        direction: Direction,
        stage: &Stage,
    ) -> Result<Option<StageRecord>, StoreError> {
        stages::one(&mut *self.reader().await?, tenant, direction, stage).await
    }

    async fn list(&self, query: &TenantQuery) -> Result<Page<Tenant>, StoreError> {
        tenants::list(&mut *self.reader().await?, query).await
    }

    async fn change(
        &self,
        name: &TenantName,
        etag: Option<&str>,
        change: Change,
        request: RequestKey,
    ) -> Result<Accepted, StoreError> {
        let (name, etag) = (name.clone(), etag.map(str::to_owned));
        let events_max = self.options.events_max;
        self.writer
            .write(move |connection| {
                async move {
                    if let Some(earlier) = operations::replay(connection, &name.customer, &request).await? {
                        return Ok(earlier);
                    }
                    let tenant = tenants::find(connection, &name).await?;
                    check_etag(&tenant, etag.as_deref())?;
                    match change {
                        Change::Update { spec, offer } => {
                            let wanted = Tenant { spec, offer, ..tenant.clone() };
                            update(connection, tenant, wanted, &request, events_max).await
                        }
                        Change::Retry => retry(connection, tenant, &request, events_max).await,
                    }
                }
                .boxed()
            })
            .await
    }

    async fn delete(&self, name: &TenantName, request: DeleteRequest) -> Result<Accepted, StoreError> {
        let name = name.clone();
        let events_max = self.options.events_max;
        self.writer.write(move |connection| delete(connection, name, request, events_max).boxed()).await
    }

    async fn cancel(&self, id: OperationId) -> Result<(), StoreError> {
        let events_max = self.options.events_max;
        self.writer.write(move |connection| cancel(connection, id, events_max).boxed()).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let operation = operations::read(&mut snapshot, id).await?;
        operations::with_stages(&mut snapshot, operation).await
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Page<Operation>, StoreError> {
        operations::list(&mut *self.reader().await?, query).await
    }

    #[expect(clippy::disallowed_methods, reason = "awaited at once; it ends with one bounded read")]
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        let (store, query) = (self.clone(), query.clone());
        // In a task of its own: a caller that stops polling, as a stream to a slow client does, holds no connection.
        let page = tokio::spawn(async move { events::read(&mut *store.snapshot().await?, &query).await });
        page.await
            .map_err(|error| StoreError::Unavailable { context: "reading events".into(), source: error.into() })?
    }

    async fn wait_for_event(&self, query: &EventQuery) -> i64 {
        let customer = match (&query.tenant, &query.customer) {
            (Some(name), _) => Some(name.customer.as_str()),
            (None, Some(customer)) => Some(customer.as_str()),
            (None, None) => match query.scope {
                // The customer that host clusters have in the table.
                EventScope::HostClusters => Some(""),
                EventScope::Tenants | EventScope::All => None,
            },
        };
        self.notifier.wait(customer, query.after_seq).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        events::newest(&mut *self.reader().await?).await
    }
}

impl SqliteStore {
    /// A connection for one statement of the API.
    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.api.acquire().await.map_err(unavailable("reading"))
    }

    /// A connection of the API whose statements all see the same moment.
    async fn snapshot(&self) -> Result<sqlx::Transaction<'static, Sqlite>, StoreError> {
        self.api.begin().await.map_err(unavailable("reading"))
    }
}

async fn create(connection: &mut SqliteConnection, new: NewTenant, events_max: u64) -> Result<Accepted, StoreError> {
    if let Some(earlier) = operations::replay(connection, &new.name.customer, &new.request).await? {
        return Ok(earlier);
    }
    if tenants::maybe(connection, &new.name).await?.is_some() {
        return Err(StoreError::AlreadyExists(new.name.to_string()));
    }
    domains::refuse_taken(connection, &new.name, &new.spec.domain).await?;
    let now = clock::now(connection).await?;
    let mut tenant = pending(TenantUid(Uuid::new_v4()), new.name, new.spec, new.offer, now);
    if let Some(selector) = &new.hosts {
        hosts::place(connection, &mut tenant, selector, now, events_max).await?;
    }
    let reserve = new.hosts.map_or_else(Amounts::default, |selector| selector.reserve);
    accept_new(connection, &tenant, reserve, &new.request, events_max).await
}

async fn create_host(connection: &mut SqliteConnection, new: NewHost, events_max: u64) -> Result<Accepted, StoreError> {
    let name = TenantName::of_host_cluster(&new.id);
    if let Some(earlier) = operations::replay(connection, &name.customer, &new.request).await? {
        return Ok(earlier);
    }
    if tenants::maybe(connection, &name).await?.is_some() {
        return Err(StoreError::AlreadyExists(name.to_string()));
    }
    let now = clock::now(connection).await?;
    let (record, request) = hosts::record(TenantUid(Uuid::new_v4()), new, now);
    accept_new(connection, &record, Amounts::default(), &request, events_max).await
}

/// Writes a new record with its operation and first event.
async fn accept_new(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    reserve: Amounts,
    request: &RequestKey,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    tenants::insert(connection, tenant, reserve).await?;
    let accepted = operations::accept(connection, tenant, OperationKind::Create, request, tenant.create_time).await?;
    tell_accepted(connection, &accepted.operation, events_max).await?;
    Ok(accepted)
}

/// A record that was just accepted.
pub(crate) fn pending(uid: TenantUid, name: TenantName, spec: TenantSpec, offer: Offer, now: Timestamp) -> Tenant {
    Tenant {
        uid,
        name,
        spec,
        offer,
        host: None,
        hosting: None,
        generation: 1,
        direction: Direction::Present,
        force_delete: false,
        status: TenantStatus {
            state: State::Pending,
            observed_generation: 0,
            conditions: Vec::new(),
            endpoints: Vec::new(),
        },
        etag: String::new(),
        operation: new_operation(),
        cancel_requested: false,
        last_ready: None,
        create_time: now,
        update_time: now,
        delete_time: None,
    }
}

async fn update(
    connection: &mut SqliteConnection,
    before: Tenant,
    mut tenant: Tenant,
    request: &RequestKey,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    if before.direction == Direction::Absent {
        return Err(StoreError::FailedPrecondition(format!("{} is being deleted", before.name)));
    }
    let now = clock::now(connection).await?;
    let works = before.spec.needs_work(&tenant.spec);
    if works {
        tenant.generation += 1;
        tenant.status.state = working_state(&tenant);
    } else {
        // What was resolved belongs to the generation that it was resolved for.
        tenant.offer = before.offer;
    }
    // A change of the record only; one that finds the tenant as wanted is done at once.
    let settled =
        !works && before.status.observed_generation == before.generation && before.status.state != State::Failed;
    // Pausing and going on change what the engine does, though nothing in the cloud.
    let due = !settled || before.spec.paused != tenant.spec.paused;
    tenant.operation = new_operation();
    operations::supersede(connection, before.operation, tenant.operation, now).await?;
    tenants::rewrite(connection, &tenant, now, due).await?;
    let kind = OperationKind::Update;
    let mut accepted = operations::accept(connection, &tenant, kind, request, now).await?;
    if settled {
        operations::end(connection, tenant.operation, &OperationOutcome::Ready, now).await?;
        accepted.operation = operations::read(connection, tenant.operation).await?;
    }
    tell_accepted(connection, &accepted.operation, events_max).await?;
    Ok(accepted)
}

async fn retry(
    connection: &mut SqliteConnection,
    mut tenant: Tenant,
    request: &RequestKey,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    if tenant.status.state != State::Failed {
        return Err(StoreError::FailedPrecondition(format!(
            "{} is {}, not FAILED; there is nothing to retry",
            tenant.name,
            tenant.status.state.as_str()
        )));
    }
    let now = clock::now(connection).await?;
    let earlier = tenant.operation;
    tenant.operation = new_operation();
    tenant.status.state = working_state(&tenant);
    operations::supersede(connection, earlier, tenant.operation, now).await?;
    stages::restart_failed(connection, &tenant, now).await?;
    tenants::rewrite(connection, &tenant, now, true).await?;
    let kind = OperationKind::Retry;
    let accepted = operations::accept(connection, &tenant, kind, request, now).await?;
    tell_accepted(connection, &accepted.operation, events_max).await?;
    Ok(accepted)
}

async fn delete(
    connection: &mut SqliteConnection,
    name: TenantName,
    request: DeleteRequest,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    if let Some(earlier) = operations::replay(connection, &name.customer, &request.request).await? {
        return Ok(earlier);
    }
    let mut tenant = tenants::find(connection, &name).await?;
    check_etag(&tenant, request.etag.as_deref())?;
    let present = tenant.direction == Direction::Present;
    // What is unwinding already (a cancelled create) has nothing left to protect.
    if tenant.spec.deletion_protection && present {
        return Err(StoreError::DeletionProtected(name.to_string()));
    }
    hosts::refuse_if_in_use(connection, &tenant).await?;
    let now = clock::now(connection).await?;
    let running = operations::read(connection, tenant.operation).await?;
    if !present && running.outcome.is_none() && running.kind == OperationKind::Delete {
        if request.force && !tenant.force_delete {
            tenant.force_delete = true;
            tenants::rewrite(connection, &tenant, now, true).await?;
        }
        let operation = operations::with_stages(connection, running).await?;
        let tenant = Some(tenants::find(connection, &name).await?);
        return Ok(Accepted { tenant, operation, replayed: false });
    }
    let earlier = tenant.operation;
    tenant.operation = new_operation();
    operations::supersede(connection, earlier, tenant.operation, now).await?;
    tenant.direction = Direction::Absent;
    tenant.force_delete |= request.force;
    tenant.delete_time = tenant.delete_time.or(Some(now));
    tenant.status.state = State::Deleting;
    // A delete that had failed begins again where it stood.
    stages::restart_failed(connection, &tenant, now).await?;
    tenants::rewrite(connection, &tenant, now, true).await?;
    let kind = OperationKind::Delete;
    let accepted = operations::accept(connection, &tenant, kind, &request.request, now).await?;
    tell_accepted(connection, &accepted.operation, events_max).await?;
    Ok(accepted)
}

async fn cancel(connection: &mut SqliteConnection, id: OperationId, events_max: u64) -> Result<(), StoreError> {
    let operation = operations::read(connection, id).await?;
    // An unwinding host cluster would take its tenants with it.
    let record = tenants::maybe(connection, &operation.tenant).await?;
    if let Some(record) = record.filter(|record| record.operation == id)
        && lifecycle::may_unwind(&record, operation.kind, operation.outcome.is_some())
    {
        hosts::refuse_if_in_use(connection, &record).await?;
    }
    let now = clock::now(connection).await?;
    if !operations::request_cancel(connection, &operation, now).await? {
        return Ok(());
    }
    let message = format!("cancellation of operations/{id} requested");
    let event = told("CancelRequested", message);
    let (uid, name) = (operation.tenant_uid, &operation.tenant);
    events::append(connection, now, uid, name, &[event], events_max).await
}

/// Ids grow with time: lists rely on it.
fn new_operation() -> OperationId {
    OperationId(Uuid::now_v7())
}

fn working_state(tenant: &Tenant) -> State {
    match (tenant.direction, tenant.last_ready.is_some()) {
        (Direction::Absent, _) => State::Deleting,
        (Direction::Present, true) => State::Updating,
        (Direction::Present, false) => State::Provisioning,
    }
}

pub(crate) fn check_etag(tenant: &Tenant, etag: Option<&str>) -> Result<(), StoreError> {
    match etag {
        Some(etag) if etag != tenant.etag => Err(StoreError::EtagMismatch { name: tenant.name.to_string() }),
        _ => Ok(()),
    }
}

fn told(reason: &str, message: String) -> NewEvent {
    NewEvent { kind: EventKind::Operation, stage: String::new(), reason: reason.into(), message }
}

pub(crate) async fn tell_accepted(
    connection: &mut SqliteConnection,
    operation: &Operation,
    events_max: u64,
) -> Result<(), StoreError> {
    let reason = match operation.kind {
        OperationKind::Create => "CreateAccepted",
        OperationKind::Update => "UpdateAccepted",
        OperationKind::Delete => "DeleteAccepted",
        OperationKind::Retry => "RetryAccepted",
    };
    let name = &operation.tenant;
    let event = told(reason, format!("{} of {name} accepted", kind_word(operation.kind)));
    let (uid, time) = (operation.tenant_uid, operation.create_time);
    events::append(connection, time, uid, name, &[event], events_max).await
}
