//! The API's face: accepted changes, each with its operation and first event in one transaction.

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    Direction, Operation, OperationId, OperationKind, OperationOutcome, StageRecord,
    StageState, State, Tenant, TenantName, TenantUid, Timestamp,
    ports::{
        Accepted, Change, DeleteRequest, Event, EventKind, EventQuery, NewEvent, NewTenant,
        OperationQuery, Page, RequestKey, StoreError, TenantQuery, TenantStore,
    },
    tenant::TenantStatus,
};
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use crate::{
    SqliteStore, clock, events,
    rows::{self, direction_word, json, kind_word, priority, stage_json, state_word, unavailable},
};

/// Largest page, whatever was asked for.
const PAGE_MAX: u32 = 1_000;

#[async_trait]
impl TenantStore for SqliteStore {
    async fn create(&self, new: NewTenant) -> Result<Accepted, StoreError> {
        let events_max = self.options.events_max;
        self.writer.write(move |connection| create(connection, new, events_max).boxed()).await
    }

    async fn get(&self, name: &TenantName) -> Result<Tenant, StoreError> {
        let mut connection = self.reader().await?;
        find(&mut connection, name).await
    }

    async fn list(&self, query: &TenantQuery) -> Result<Page<Tenant>, StoreError> {
        let mut connection = self.reader().await?;
        list(&mut connection, query).await
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
                    if let Some(earlier) = replay(connection, &name, &request).await? {
                        return Ok(earlier);
                    }
                    let tenant = find(connection, &name).await?;
                    check_etag(&tenant, etag.as_deref())?;
                    apply_change(connection, tenant, change, &request, events_max).await
                }
                .boxed()
            })
            .await
    }

    async fn delete(
        &self,
        name: &TenantName,
        request: DeleteRequest,
    ) -> Result<Accepted, StoreError> {
        let name = name.clone();
        let events_max = self.options.events_max;
        self.writer
            .write(move |connection| delete(connection, name, request, events_max).boxed())
            .await
    }

    async fn cancel(&self, id: OperationId) -> Result<(), StoreError> {
        let events_max = self.options.events_max;
        self.writer.write(move |connection| cancel(connection, id, events_max).boxed()).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        let mut transaction =
            self.readers.begin().await.map_err(unavailable("reading an operation"))?;
        let mut operation = read_operation(&mut transaction, id).await?;
        if operation.outcome.is_none() {
            let stages = read_stages(&mut transaction, operation.tenant_uid).await?;
            operation.stages = of_operation(operation.kind, operation.cancel_requested, stages);
        }
        Ok(operation)
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Page<Operation>, StoreError> {
        let mut connection = self.reader().await?;
        operations(&mut connection, query).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        events::read(&self.readers, query).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(seq) FROM events")
            .fetch_one(&self.readers)
            .await
            .map_err(unavailable("reading events"))?;
        Ok(newest.unwrap_or(0))
    }
}

impl SqliteStore {
    async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(unavailable("reading"))
    }
}

async fn create(
    connection: &mut SqliteConnection,
    new: NewTenant,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    if let Some(earlier) = replay(connection, &new.name, &new.request).await? {
        return Ok(earlier);
    }
    if maybe(connection, &new.name).await?.is_some() {
        return Err(StoreError::AlreadyExists(new.name.to_string()));
    }
    let now = clock::now(connection).await?;
    let status = TenantStatus {
        state: State::Pending,
        observed_generation: 0,
        conditions: Vec::new(),
        endpoints: Vec::new(),
    };
    let tenant = Tenant {
        uid: TenantUid(Uuid::new_v4()),
        name: new.name,
        spec: new.spec,
        offer: new.offer,
        generation: 1,
        direction: Direction::Present,
        force_delete: false,
        status,
        etag: String::new(),
        operation: OperationId(Uuid::now_v7()),
        cancel_requested: false,
        last_ready: None,
        create_time: now,
        update_time: now,
        delete_time: None,
    };
    insert_tenant(connection, &tenant).await?;
    let accepted = accept(connection, &tenant, OperationKind::Create, &new.request, now).await?;
    let told = told(EventKind::Operation, "CreateAccepted", format!("create of {} accepted", tenant.name));
    events::append(connection, now, tenant.uid, &tenant.name, &[told], events_max).await?;
    Ok(accepted)
}

async fn insert_tenant(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tenants (uid, customer, tenant, class, provider, spec, offer, generation, \
         direction, force_delete, state, status, version, operation, cancel_requested, last_ready, \
         create_time, update_time, delete_time, revision, claimed_revision, owner, fence, \
         lease_until, next_due, priority) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, \
         1, $12, 0, NULL, $13, $13, NULL, 1, 0, '', 0, 0, $13, $14)",
    )
    .bind(tenant.uid.to_string())
    .bind(tenant.name.customer.as_str())
    .bind(tenant.name.tenant.as_str())
    .bind(tenant.offer.class.as_str())
    .bind(tenant.offer.provider.as_str())
    .bind(json("spec", &tenant.spec)?)
    .bind(json("offer", &tenant.offer)?)
    .bind(tenant.generation)
    .bind(direction_word(tenant.direction))
    .bind(state_word(tenant.status.state))
    .bind(json("status", &tenant.status)?)
    .bind(tenant.operation.to_string())
    .bind(tenant.create_time.0)
    .bind(priority(Direction::Present, false))
    .execute(connection)
    .await
    .map_err(unavailable("writing a tenant"))?;
    Ok(())
}

/// Records the operation of a change; the tenant's row names it already.
async fn accept(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    kind: OperationKind,
    request: &RequestKey,
    now: Timestamp,
) -> Result<Accepted, StoreError> {
    sqlx::query(
        "INSERT INTO operations (id, tenant_uid, customer, tenant, kind, generation, request_id, \
         request_hash, create_time, end_time, cancel_requested, outcome, stages) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, 0, NULL, NULL)",
    )
    .bind(tenant.operation.to_string())
    .bind(tenant.uid.to_string())
    .bind(tenant.name.customer.as_str())
    .bind(tenant.name.tenant.as_str())
    .bind(kind_word(kind))
    .bind(tenant.generation)
    .bind(request.request_id.map(|id| id.to_string()))
    .bind(&request.request_hash)
    .bind(now.0)
    .execute(&mut *connection)
    .await
    .map_err(unavailable("writing an operation"))?;
    Ok(Accepted {
        tenant: Some(find(connection, &tenant.name).await?),
        operation: read_operation(connection, tenant.operation).await?,
        replayed: false,
    })
}

/// The answer to an earlier request with the same id.
async fn replay(
    connection: &mut SqliteConnection,
    name: &TenantName,
    request: &RequestKey,
) -> Result<Option<Accepted>, StoreError> {
    let Some(request_id) = request.request_id else { return Ok(None) };
    let row = sqlx::query("SELECT * FROM operations WHERE customer = $1 AND request_id = $2")
        .bind(name.customer.as_str())
        .bind(request_id.to_string())
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable("looking for a request id"))?;
    let Some(row) = row else { return Ok(None) };
    let hash: String = row.try_get("request_hash").map_err(unavailable("reading a request"))?;
    if hash != request.request_hash {
        return Err(StoreError::RequestIdReused(request_id.to_string()));
    }
    let operation = rows::operation(&row)?;
    let tenant = maybe(connection, &operation.tenant).await?;
    let tenant = tenant.filter(|tenant| tenant.uid == operation.tenant_uid);
    Ok(Some(Accepted { tenant, operation, replayed: true }))
}

async fn maybe(
    connection: &mut SqliteConnection,
    name: &TenantName,
) -> Result<Option<Tenant>, StoreError> {
    sqlx::query("SELECT * FROM tenants WHERE customer = $1 AND tenant = $2")
        .bind(name.customer.as_str())
        .bind(name.tenant.as_str())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading a tenant"))?
        .map(|row| rows::tenant(&row))
        .transpose()
}

async fn find(
    connection: &mut SqliteConnection,
    name: &TenantName,
) -> Result<Tenant, StoreError> {
    maybe(connection, name).await?.ok_or_else(|| StoreError::NotFound(name.to_string()))
}

fn check_etag(tenant: &Tenant, etag: Option<&str>) -> Result<(), StoreError> {
    match etag {
        Some(etag) if etag != tenant.etag => {
            Err(StoreError::EtagMismatch { name: tenant.name.to_string() })
        }
        _ => Ok(()),
    }
}

fn told(kind: EventKind, reason: &str, message: String) -> NewEvent {
    NewEvent { kind, stage: String::new(), reason: reason.into(), message }
}

async fn apply_change(
    connection: &mut SqliteConnection,
    mut tenant: Tenant,
    change: Change,
    request: &RequestKey,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    let now = clock::now(connection).await?;
    let name = tenant.name.clone();
    let (kind, works) = match change {
        Change::Update { spec, offer } => {
            if tenant.direction == Direction::Absent {
                return Err(StoreError::FailedPrecondition(format!("{name} is being deleted")));
            }
            let works = tenant.spec.needs_work(&spec);
            // Pausing and going on change what the engine does, though nothing in the cloud.
            let touches = works || tenant.spec.paused != spec.paused;
            (tenant.spec, tenant.offer) = (spec, offer);
            tenant.generation += i64::from(works);
            (OperationKind::Update, touches)
        }
        Change::Retry => {
            if tenant.status.state != State::Failed {
                return Err(StoreError::FailedPrecondition(format!(
                    "{name} is {}, not FAILED; there is nothing to retry",
                    tenant.status.state.as_str()
                )));
            }
            restart_failed(connection, &tenant, now).await?;
            (OperationKind::Retry, true)
        }
    };
    let record_only = kind == OperationKind::Update
        && tenant.status.observed_generation == tenant.generation
        && !tenant.spec.paused;
    let earlier = tenant.operation;
    tenant.operation = OperationId(Uuid::now_v7());
    supersede(connection, earlier, &tenant, now).await?;
    if works {
        tenant.status.state = match (tenant.direction, tenant.last_ready.is_some()) {
            (Direction::Absent, _) => State::Deleting,
            (Direction::Present, true) => State::Updating,
            (Direction::Present, false) => State::Provisioning,
        };
    }
    rewrite(connection, &tenant, now, works || !record_only).await?;
    let mut accepted = accept(connection, &tenant, kind, request, now).await?;
    if record_only && !works {
        end_operation(connection, tenant.operation, &OperationOutcome::Ready, tenant.uid, now).await?;
        accepted.operation = read_operation(connection, tenant.operation).await?;
    }
    let reason = if kind == OperationKind::Retry { "RetryAccepted" } else { "UpdateAccepted" };
    let event = told(EventKind::Operation, reason, format!("{} of {name} accepted", kind_word(kind)));
    events::append(connection, now, tenant.uid, &name, &[event], events_max).await?;
    Ok(accepted)
}

/// Failed stages run again, and the patience with those in trouble begins anew.
async fn restart_failed(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    now: Timestamp,
) -> Result<(), StoreError> {
    for mut record in read_stages(connection, tenant.uid).await? {
        let open = matches!(record.state, StageState::Failed | StageState::Running);
        if record.direction != tenant.direction || !open {
            continue;
        }
        record.state = StageState::Running;
        record.end_time = None;
        record.start_time = now;
        record.poll_time = now;
        record.failing_since = None;
        record.failures = 0;
        sqlx::query(
            "UPDATE stages SET record = $1 WHERE tenant_uid = $2 AND direction = $3 AND stage = $4",
        )
        .bind(stage_json(&record)?)
        .bind(tenant.uid.to_string())
        .bind(direction_word(record.direction))
        .bind(record.stage.to_string())
        .execute(&mut *connection)
        .await
        .map_err(unavailable("restarting a stage"))?;
    }
    Ok(())
}

async fn supersede(
    connection: &mut SqliteConnection,
    earlier: OperationId,
    tenant: &Tenant,
    now: Timestamp,
) -> Result<(), StoreError> {
    let outcome = OperationOutcome::Superseded { by: tenant.operation };
    end_operation(connection, earlier, &outcome, tenant.uid, now).await
}

/// Ends an operation that runs, keeping its stages as they stand; one that has ended stays.
pub(crate) async fn end_operation(
    connection: &mut SqliteConnection,
    id: OperationId,
    outcome: &OperationOutcome,
    uid: TenantUid,
    now: Timestamp,
) -> Result<(), StoreError> {
    let operation = read_operation(connection, id).await?;
    if operation.outcome.is_some() {
        return Ok(());
    }
    let stages = read_stages(connection, uid).await?;
    let stages: Vec<StageRecord> =
        of_operation(operation.kind, operation.cancel_requested, stages)
            .into_iter()
            .map(|record| StageRecord { checkpoint: Vec::new(), status: Vec::new(), ..record })
            .collect();
    sqlx::query("UPDATE operations SET outcome = $1, end_time = $2, stages = $3 WHERE id = $4")
        .bind(json("outcome", outcome)?)
        .bind(now.0)
        .bind(json("stages", &stages)?)
        .bind(id.to_string())
        .execute(connection)
        .await
        .map_err(unavailable("ending an operation"))?;
    Ok(())
}

/// The API's write of a tenant: its version and revision rise, and it is due at once.
async fn rewrite(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    now: Timestamp,
    due: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE tenants SET spec = $1, offer = $2, generation = $3, direction = $4, \
         force_delete = $5, state = $6, status = $7, version = version + 1, operation = $8, \
         cancel_requested = 0, update_time = $9, delete_time = $10, revision = revision + 1, \
         next_due = CASE WHEN $11 = 1 THEN $9 ELSE next_due END, priority = $12 WHERE uid = $13",
    )
    .bind(json("spec", &tenant.spec)?)
    .bind(json("offer", &tenant.offer)?)
    .bind(tenant.generation)
    .bind(direction_word(tenant.direction))
    .bind(i64::from(tenant.force_delete))
    .bind(state_word(tenant.status.state))
    .bind(json("status", &tenant.status)?)
    .bind(tenant.operation.to_string())
    .bind(now.0)
    .bind(tenant.delete_time.map(|time| time.0))
    .bind(i64::from(due))
    .bind(priority(tenant.direction, false))
    .bind(tenant.uid.to_string())
    .execute(connection)
    .await
    .map_err(unavailable("updating a tenant"))?;
    Ok(())
}

async fn delete(
    connection: &mut SqliteConnection,
    name: TenantName,
    request: DeleteRequest,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    if let Some(earlier) = replay(connection, &name, &request.request).await? {
        return Ok(earlier);
    }
    let mut tenant = find(connection, &name).await?;
    check_etag(&tenant, request.etag.as_deref())?;
    if tenant.spec.deletion_protection {
        return Err(StoreError::DeletionProtected(name.to_string()));
    }
    let now = clock::now(connection).await?;
    let running = read_operation(connection, tenant.operation).await?;
    let deleting = tenant.direction == Direction::Absent;
    if deleting && running.outcome.is_none() && running.kind == OperationKind::Delete {
        if request.force && !tenant.force_delete {
            tenant.force_delete = true;
            rewrite(connection, &tenant, now, true).await?;
        }
        let tenant = Some(find(connection, &name).await?);
        return Ok(Accepted { tenant, operation: running, replayed: false });
    }
    let earlier = tenant.operation;
    tenant.operation = OperationId(Uuid::now_v7());
    tenant.direction = Direction::Absent;
    tenant.force_delete = request.force;
    tenant.delete_time = tenant.delete_time.or(Some(now));
    tenant.status.state = State::Deleting;
    // A delete that had failed begins again where it stood.
    restart_failed(connection, &tenant, now).await?;
    supersede(connection, earlier, &tenant, now).await?;
    rewrite(connection, &tenant, now, true).await?;
    let accepted = accept(connection, &tenant, OperationKind::Delete, &request.request, now).await?;
    let event = told(EventKind::Operation, "DeleteAccepted", format!("delete of {name} accepted"));
    events::append(connection, now, tenant.uid, &name, &[event], events_max).await?;
    Ok(accepted)
}

async fn cancel(
    connection: &mut SqliteConnection,
    id: OperationId,
    events_max: u64,
) -> Result<(), StoreError> {
    let operation = read_operation(connection, id).await?;
    let failed = unavailable("cancelling an operation");
    if operation.outcome.is_some() {
        // AIP-151: cancelling what has ended changes nothing.
        return Ok(());
    }
    if operation.kind == OperationKind::Delete {
        return Err(StoreError::FailedPrecondition(
            "a delete can't be cancelled: part of the environment may be gone already".into(),
        ));
    }
    let now = clock::now(connection).await?;
    sqlx::query("UPDATE operations SET cancel_requested = 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    sqlx::query(
        "UPDATE tenants SET cancel_requested = 1, revision = revision + 1, version = version + 1, \
         update_time = $1, next_due = $1 WHERE uid = $2 AND operation = $3",
    )
    .bind(now.0)
    .bind(operation.tenant_uid.to_string())
    .bind(id.to_string())
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    let event = told(EventKind::Operation, "CancelRequested", format!("cancellation of operations/{id} requested"));
    events::append(connection, now, operation.tenant_uid, &operation.tenant, &[event], events_max).await
}

/// An operation, with the stages kept at its end.
pub(crate) async fn read_operation(
    connection: &mut SqliteConnection,
    id: OperationId,
) -> Result<Operation, StoreError> {
    let row = sqlx::query("SELECT * FROM operations WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading an operation"))?
        .ok_or_else(|| StoreError::NotFound(format!("operations/{id}")))?;
    rows::operation(&row)
}

/// All stage records of a tenant.
pub(crate) async fn read_stages(
    connection: &mut SqliteConnection,
    uid: TenantUid,
) -> Result<Vec<StageRecord>, StoreError> {
    sqlx::query("SELECT * FROM stages WHERE tenant_uid = $1")
        .bind(uid.to_string())
        .fetch_all(connection)
        .await
        .map_err(unavailable("reading stages"))?
        .iter()
        .map(rows::stage)
        .collect()
}

/// The stages that an operation is about; a cancelled one also shows how it is unwound.
fn of_operation(
    kind: OperationKind,
    cancelled: bool,
    stages: Vec<StageRecord>,
) -> Vec<StageRecord> {
    let wanted = |record: &StageRecord| match kind {
        OperationKind::Delete => record.direction == Direction::Absent,
        _ => record.direction == Direction::Present || cancelled,
    };
    let mut stages: Vec<StageRecord> = stages.into_iter().filter(wanted).collect();
    stages.sort_by(|a, b| (a.direction, a.start_time, &a.stage).cmp(&(b.direction, b.start_time, &b.stage)));
    stages
}

async fn list(
    connection: &mut SqliteConnection,
    query: &TenantQuery,
) -> Result<Page<Tenant>, StoreError> {
    let limit = query.limit.clamp(1, PAGE_MAX);
    let states: Vec<&str> = query.states.iter().copied().map(state_word).collect();
    let after = query
        .after
        .as_deref()
        .map(str::parse::<TenantName>)
        .transpose()
        .map_err(|error| StoreError::InvalidArgument(format!("page token: {error}")))?;
    let (customer, tenant) = after
        .as_ref()
        .map_or(("", ""), |name| (name.customer.as_str(), name.tenant.as_str()));
    let rows = sqlx::query(
        "SELECT * FROM tenants WHERE ($1 = '' OR customer = $1) AND ($2 = '' OR provider = $2) \
         AND ($3 = '' OR class = $3) AND ($4 = '' OR $4 LIKE '%|' || state || '|%') \
         AND (customer > $5 OR (customer = $5 AND tenant > $6)) \
         ORDER BY customer, tenant LIMIT $7",
    )
    .bind(query.customer.as_ref().map_or("", |customer| customer.as_str()))
    .bind(query.provider.as_ref().map_or("", |provider| provider.as_str()))
    .bind(query.class.as_ref().map_or("", |class| class.as_str()))
    .bind(if states.is_empty() { String::new() } else { format!("|{}|", states.join("|")) })
    .bind(customer)
    .bind(tenant)
    .bind(i64::from(limit) + 1)
    .fetch_all(connection)
    .await
    .map_err(unavailable("listing tenants"))?;
    let items: Vec<Tenant> = rows.iter().map(rows::tenant).collect::<Result<_, _>>()?;
    Ok(page(items, limit, |tenant| tenant.name.to_string()))
}

fn page<T>(mut items: Vec<T>, limit: u32, name: impl Fn(&T) -> String) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = more.then(|| items.last().map(name)).flatten();
    Page { items, next }
}

async fn operations(
    connection: &mut SqliteConnection,
    query: &OperationQuery,
) -> Result<Page<Operation>, StoreError> {
    let limit = query.limit.clamp(1, PAGE_MAX);
    let after = match query.after.as_deref() {
        None => String::new(),
        Some(text) => text
            .parse::<OperationId>()
            .map_err(|error| StoreError::InvalidArgument(format!("page token: {error}")))?
            .to_string(),
    };
    let done = match query.done {
        None => -1,
        Some(done) => i64::from(done),
    };
    // UUIDv7 ids grow with time, so their order is the order of creation.
    let rows = sqlx::query(
        "SELECT * FROM operations WHERE ($1 = '' OR customer = $1) AND ($2 = '' OR tenant = $2) \
         AND ($3 = -1 OR ($3 = 1) = (outcome IS NOT NULL)) AND ($4 = '' OR id < $4) \
         ORDER BY id DESC LIMIT $5",
    )
    .bind(query.tenant.as_ref().map_or("", |name| name.customer.as_str()))
    .bind(query.tenant.as_ref().map_or("", |name| name.tenant.as_str()))
    .bind(done)
    .bind(after)
    .bind(i64::from(limit) + 1)
    .fetch_all(connection)
    .await
    .map_err(unavailable("listing operations"))?;
    let items: Vec<Operation> = rows.iter().map(rows::operation).collect::<Result<_, _>>()?;
    Ok(page(items, limit, |operation| operation.id.to_string()))
}

