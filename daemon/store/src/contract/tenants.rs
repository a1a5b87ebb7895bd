//! The API's face: accepted changes, each with its operation and first event in one transaction.

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    Amounts, Candidate, CustomerId, DesiredState, Environment, EnvironmentName, HostClusterId, HostClusterRef,
    HostView, Operation, OperationId, OperationKind, OperationOutcome, Orphan, Owner, Placement, Precondition, Stage,
    StageRecord, Tenant, TenantName, TenantUid,
    audit::Author,
    environment::{CustomerRules, Domain},
    lifecycle::{self, Effect, Transition},
    ports::{
        Accepted, Change, DeleteRequest, EnvironmentQuery, Event, EventQuery, EventScope, NewHostCluster, NewTenant,
        OperationQuery, Page, RequestContext, RequestKey, RequestScope, StoreError, TenantStore,
    },
};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{
    accept::{accept_new, emit_accepted, new_operation, operation_event},
    customers, domains, hosts, identity, orphans,
};
use crate::{
    rows::{self, clock, environments, events, operations, stages},
    store::Store,
};

#[async_trait]
impl TenantStore for Store {
    async fn create(&self, new: NewTenant) -> Result<Accepted, StoreError> {
        let (events_max, rules) = (self.events_max, self.customer_rules());
        self.writer.write(move |connection| create(connection, new.clone(), None, (rules, events_max)).boxed()).await
    }

    async fn check_domain(&self, name: &TenantName, domain: &Domain) -> Result<(), StoreError> {
        self.read(async |connection| domains::refuse_taken(connection, name, domain).await).await
    }

    async fn create_host_cluster(&self, new: NewHostCluster) -> Result<Accepted, StoreError> {
        let events_max = self.events_max;
        self.writer.write(move |connection| create_host_cluster(connection, new.clone(), events_max).boxed()).await
    }

    async fn cordon(
        &self,
        id: &HostClusterId,
        precondition: Precondition,
        cordoned: bool,
        request: RequestContext,
    ) -> Result<Environment, StoreError> {
        let (id, author) = (id.clone(), Author::from(&request));
        self.writer
            .write(move |connection| {
                hosts::cordon(connection, author.clone(), id.clone(), precondition.clone(), cordoned).boxed()
            })
            .await
    }

    async fn candidates(&self, customer: Option<&CustomerId>) -> Result<Vec<Candidate>, StoreError> {
        self.read(async |connection| hosts::candidates(connection, customer).await).await
    }

    async fn host_of(&self, environment: &Environment) -> Result<Option<HostView>, StoreError> {
        self.snapshot(async |connection| hosts::view(connection, environment).await).await
    }

    async fn replayed(&self, scope: &RequestScope, request: &RequestKey) -> Result<Option<Accepted>, StoreError> {
        self.snapshot(async |connection| operations::replay(connection, scope, request).await).await
    }

    async fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        self.read(async |connection| orphans::orphans(connection).await).await
    }

    async fn check_adoption(
        &self,
        uid: TenantUid,
        placement: &Placement,
        host: Option<&HostClusterRef>,
    ) -> Result<(), StoreError> {
        let check = async |connection: &mut AnyConnection| orphans::adoptable(connection, uid, placement, host).await;
        self.snapshot(check).await.map(drop)
    }

    async fn delete_orphan(
        &self,
        uid: TenantUid,
        force: bool,
        request: RequestContext,
    ) -> Result<Accepted, StoreError> {
        let events_max = self.events_max;
        self.writer
            .write(move |connection| delete_orphan(connection, uid, force, request.clone(), events_max).boxed())
            .await
    }

    async fn get(&self, name: &EnvironmentName) -> Result<Environment, StoreError> {
        self.read(async |connection| environments::find(connection, name).await).await
    }

    async fn stage(
        &self,
        tenant: TenantUid,
        desired_state: DesiredState,
        stage: &Stage,
    ) -> Result<Option<StageRecord>, StoreError> {
        self.read(async |connection| stages::one(connection, tenant, desired_state, stage).await).await
    }

    async fn list(&self, query: &EnvironmentQuery) -> Result<Page<Environment>, StoreError> {
        self.read(async |connection| environments::list(connection, query).await).await
    }

    async fn change(
        &self,
        name: &EnvironmentName,
        precondition: Precondition,
        change: Change,
        request: RequestContext,
    ) -> Result<Accepted, StoreError> {
        let name = name.clone();
        let (events_max, rules) = (self.events_max, self.customer_rules());
        self.writer
            .write(move |connection| {
                let (name, precondition, change) = (name.clone(), precondition.clone(), change.clone());
                change_tenant(connection, (name, precondition), change, request.clone(), (rules, events_max)).boxed()
            })
            .await
    }

    async fn delete(&self, name: &EnvironmentName, request: DeleteRequest) -> Result<Accepted, StoreError> {
        let name = name.clone();
        let events_max = self.events_max;
        self.writer.write(move |connection| delete(connection, name.clone(), request.clone(), events_max).boxed()).await
    }

    async fn cancel(&self, id: OperationId, request: RequestContext) -> Result<(), StoreError> {
        let (events_max, author) = (self.events_max, Author::from(&request));
        self.writer.write(move |connection| cancel(connection, author.clone(), id, events_max).boxed()).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        self.snapshot(async |connection| {
            let operation = operations::read(connection, id).await?;
            operations::with_stages(connection, operation).await
        })
        .await
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Page<Operation>, StoreError> {
        self.read(async |connection| operations::list(connection, query).await).await
    }

    #[expect(clippy::disallowed_methods, reason = "awaited at once; it ends with one bounded read")]
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        let (store, query) = (self.clone(), query.clone());
        // In a task of its own: a caller that stops polling, as a stream to a slow client does, holds no connection.
        let page =
            tokio::spawn(
                async move { store.snapshot(async |connection| events::read(connection, &query).await).await },
            );
        page.await
            .map_err(|error| StoreError::Unavailable { context: "reading events".into(), source: error.into() })?
    }

    async fn wait_for_event(&self, query: &EventQuery) -> i64 {
        let customer = match &query.scope {
            EventScope::Tenants | EventScope::All => None,
            EventScope::HostClusters => Some(rows::scope(&RequestScope::HostClusters)),
            EventScope::Customer(customer) => Some(customer.as_str()),
            EventScope::Environment(name) => Some(rows::key(name).0),
        };
        self.notifier.wait(customer, query.after_seq).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        self.read(async |connection| events::newest(connection).await).await
    }

    async fn token_secret(&self) -> Result<[u8; 32], StoreError> {
        self.read(async |connection| identity::token_secret(connection).await).await
    }
}

/// `host`: the host cluster that it lives in already.
async fn create(
    connection: &mut AnyConnection,
    new: NewTenant,
    host: Option<HostClusterRef>,
    (rules, events_max): (CustomerRules, u64),
) -> Result<Accepted, StoreError> {
    let name = EnvironmentName::from(new.name.clone());
    if let Some(earlier) = operations::replay(connection, &RequestScope::from(&name), &new.request.key).await? {
        return Ok(earlier);
    }
    if environments::maybe(connection, &name).await?.is_some() {
        return Err(StoreError::AlreadyExists(name.to_string()));
    }
    let (author, now) = (Author::from(&new.request), clock::now(connection).await?);
    customers::admit(connection, &author, (&new.name, &new.spec, &new.placement), rules, now).await?;
    domains::refuse_taken(connection, &new.name, &new.spec.domain).await?;
    let owner = Owner::Tenant(Tenant { name: new.name, spec: new.spec, host, last_ready: None });
    let uid = new.adopt.unwrap_or_else(|| TenantUid(Uuid::new_v4()));
    let mut environment = lifecycle::accept(uid, owner, new.placement, new_operation(), now);
    if let Some(selector) = &new.hosts {
        hosts::place(connection, &author, &mut environment, selector, now, events_max).await?;
    }
    if let Some(uid) = new.adopt {
        let host = environment.tenant().and_then(|tenant| tenant.host.as_ref());
        orphans::adopt(connection, uid, &environment.placement, host).await?;
    }
    let reserve = new.hosts.map_or_else(Amounts::default, |selector| selector.reserve);
    accept_new(connection, &environment, reserve, (&new.request, &author), events_max).await
}

/// Its record begins and is deleted at once, so that the removal is the one of every tenant.
async fn delete_orphan(
    connection: &mut AnyConnection,
    uid: TenantUid,
    force: bool,
    request: RequestContext,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    let scope = RequestScope::Customer(orphans::customer()?);
    if let Some(earlier) = operations::replay(connection, &scope, &request.key).await? {
        return Ok(earlier);
    }
    // The id belongs to the removal.
    let making = RequestContext { key: RequestContext::of_daemon().key, ..request.clone() };
    let (new, host) = orphans::stand_in(connection, uid, making).await?;
    let name = EnvironmentName::from(new.name.clone());
    create(connection, new, host, (CustomerRules::default(), events_max)).await?;
    delete(connection, name, DeleteRequest { force, precondition: Precondition::None, request }, events_max).await
}

async fn create_host_cluster(
    connection: &mut AnyConnection,
    new: NewHostCluster,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    let name = EnvironmentName::HostCluster(new.id.clone());
    if let Some(earlier) = operations::replay(connection, &RequestScope::HostClusters, &new.request.key).await? {
        return Ok(earlier);
    }
    if environments::maybe(connection, &name).await?.is_some() {
        return Err(StoreError::AlreadyExists(name.to_string()));
    }
    let now = clock::now(connection).await?;
    let (record, request) = hosts::record(TenantUid(Uuid::new_v4()), new, now);
    let author = Author::from(&request);
    accept_new(connection, &record, Amounts::default(), (&request, &author), events_max).await
}

async fn change_tenant(
    connection: &mut AnyConnection,
    (name, precondition): (EnvironmentName, Precondition),
    change: Change,
    request: RequestContext,
    (rules, events_max): (CustomerRules, u64),
) -> Result<Accepted, StoreError> {
    if let Some(earlier) = operations::replay(connection, &RequestScope::from(&name), &request.key).await? {
        return Ok(earlier);
    }
    let before = environments::find(connection, &name).await?;
    lifecycle::check_precondition(&before, &precondition)?;
    let id = new_operation();
    let (kind, transition) = match change {
        Change::Update { spec, placement } => {
            if let Some(tenant) = before.tenant().filter(|own| own.spec != spec || before.placement != placement) {
                let ordered = (&tenant.name, &spec, &placement);
                customers::admit_change(connection, ordered, (&tenant.spec, &before.placement), rules).await?;
            }
            (OperationKind::Update, lifecycle::update(&before, spec, placement, id)?)
        }
        Change::Renew { placement } => {
            if let Some(tenant) = before.tenant() {
                let (ordered, as_is) = ((&tenant.name, &tenant.spec, &placement), (&tenant.spec, &before.placement));
                customers::admit_change(connection, ordered, as_is, rules).await?;
            }
            (OperationKind::Update, lifecycle::renew(&before, placement, id)?)
        }
        Change::Retry => (OperationKind::Retry, lifecycle::retry(&before, id)?),
    };
    write(connection, &before, transition, (id, kind), &request, events_max).await
}

async fn delete(
    connection: &mut AnyConnection,
    name: EnvironmentName,
    request: DeleteRequest,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    if let Some(earlier) = operations::replay(connection, &RequestScope::from(&name), &request.request.key).await? {
        return Ok(earlier);
    }
    let before = environments::find(connection, &name).await?;
    lifecycle::check_precondition(&before, &request.precondition)?;
    let (id, now) = (new_operation(), clock::now(connection).await?);
    let running = operations::read(connection, before.operation).await?;
    let running = running.outcome.is_none().then_some(running.kind);
    let transition = lifecycle::delete(&before, running, request.force, id, now)?;
    hosts::refuse_if_in_use(connection, &before).await?;
    write(connection, &before, transition, (id, OperationKind::Delete), &request.request, events_max).await
}

/// Writes what a request makes of an environment, with its operation and first event.
async fn write(
    connection: &mut AnyConnection,
    before: &Environment,
    transition: Transition,
    (id, kind): (OperationId, OperationKind),
    request: &RequestContext,
    events_max: u64,
) -> Result<Accepted, StoreError> {
    let Transition { environment, effect } = transition;
    let (author, pair) = (Author::from(request), (before, &environment));
    let now = clock::now(connection).await?;
    let mut accepted = match effect {
        Effect::Joined { changed } => {
            if changed {
                environments::rewrite(connection, &author, pair, now, true).await?;
            }
            let operation = operations::read(connection, environment.operation).await?;
            let operation = operations::with_stages(connection, operation).await?;
            let environment = Some(environments::find(connection, &environment.name()).await?);
            return Ok(Accepted { environment, operation, replayed: false });
        }
        Effect::Recorded { due } => {
            environments::rewrite(connection, &author, pair, now, due).await?;
            operations::accept(connection, &environment, id, kind, request, now).await?
        }
        Effect::Work { restart_failed } => {
            operations::supersede(connection, before.operation, id, now).await?;
            if restart_failed {
                stages::restart_failed(connection, &environment, now).await?;
            }
            environments::rewrite(connection, &author, pair, now, true).await?;
            operations::accept(connection, &environment, id, kind, request, now).await?
        }
    };
    if let Effect::Recorded { .. } = effect {
        operations::end(connection, id, &OperationOutcome::Ready, now).await?;
        accepted.operation = operations::read(connection, id).await?;
    }
    emit_accepted(connection, &accepted.operation, events_max).await?;
    Ok(accepted)
}

async fn cancel(
    connection: &mut AnyConnection,
    author: Author,
    id: OperationId,
    events_max: u64,
) -> Result<(), StoreError> {
    let operation = operations::read(connection, id).await?;
    let before = environments::maybe(connection, &operation.name).await?;
    let Some(environment) = lifecycle::cancel(before.as_ref(), &operation)? else { return Ok(()) };
    // An unwinding host cluster would take its tenants with it.
    if lifecycle::may_unwind(&environment, operation.kind, operation.outcome.is_some()) {
        hosts::refuse_if_in_use(connection, &environment).await?;
    }
    let now = clock::now(connection).await?;
    operations::request_cancel(connection, id).await?;
    environments::request_cancel(connection, &author, &environment, id, now).await?;
    let message = format!("cancellation of operations/{id} requested");
    let event = operation_event("CancelRequested", message);
    events::append(connection, now, operation.uid, &operation.name, (Some(id), &[event]), events_max).await
}
