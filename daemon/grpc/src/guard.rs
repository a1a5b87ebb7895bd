//! The store as one caller may use it: every read is of what it may read, every write of what it may change.
//!
//! # Guarantees
//! - A record's attributes (class, level, labels, state) take part in the decision, so it is read first; a write is made to
//!   the version that was decided about, and decided about again if another one came between.
//! - Lists are filtered before they are cut into pages. Of a caller that acts for a customer the store is requested that
//!   customer's only: how many others there are changes neither pages nor times.
//! - Errors name nothing that the caller may not read.

use std::{future::Future, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use landlord_core::{
    Candidate, CustomerId, DesiredState, Environment, EnvironmentName, HostClusterId, HostClusterRef, HostView,
    Operation, OperationId, Orphan, Placement, Precondition, Stage, StageRecord, TenantName, TenantUid,
    access::{Action, EnvironmentAttributes, Resource},
    environment::Domain,
    ports::{
        Accepted, Change, DeleteRequest, EnvironmentQuery, Event, EventQuery, EventScope, NewHostCluster, NewTenant,
        OperationQuery, Owners, Page, RequestContext, RequestKey, RequestScope, StoreError, TenantStore,
    },
};

use crate::{access::Access, error::maybe, ports::Ports};

/// A page of a list is filled from at most this many batches of the store; a shorter one then says where to go on.
const BATCHES_MAX: usize = 20;
/// Items of a batch after the first one, in which something was hidden.
const BATCH: u32 = 500;
/// A write without an etag is decided about again this often when another order comes between.
const DECISIONS_MAX: u32 = 10;
/// Tenants that keep a host cluster, of those that the caller may read.
const NAMED_MAX: u32 = 20;

/// The store as one caller may use it.
pub(crate) struct Guard {
    store: Arc<dyn TenantStore>,
    access: Access,
}

impl Access {
    /// Ports through which only what the caller may do can be done.
    pub(crate) fn guard(&self, ports: &Ports) -> Ports {
        Ports { store: Arc::new(Guard::new(ports.store.clone(), self.clone())), ..ports.clone() }
    }
}

impl Guard {
    pub(crate) fn new(store: Arc<dyn TenantStore>, access: Access) -> Self {
        Self { store, access }
    }

    fn check(&self, resource: &Resource) -> Result<(), StoreError> {
        self.access.check(resource)
    }

    /// The record behind a name, or the name alone, with the version that it has.
    async fn resource(&self, name: &EnvironmentName) -> Result<(Resource, Precondition), StoreError> {
        Ok(match maybe(self.store.get(name).await)? {
            Some(environment) => (Resource::from(&environment), Precondition::same_order(&environment)),
            None => (Resource::Environment { name: name.clone(), attributes: None }, Precondition::None),
        })
    }

    /// Decides about an environment, and writes to the version that was decided about.
    async fn write<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        name: &EnvironmentName,
        precondition: Precondition,
        write: impl Fn(Precondition) -> F,
    ) -> Result<T, StoreError> {
        let mut decisions_left = DECISIONS_MAX;
        loop {
            decisions_left -= 1;
            let (resource, decided) = self.resource(name).await?;
            self.check(&resource)?;
            let written = write(if precondition == Precondition::None { decided } else { precondition.clone() }).await;
            match written {
                Err(StoreError::EtagMismatch { .. }) if precondition == Precondition::None && decisions_left > 0 => {}
                Err(error) => return Err(self.redacted(error).await),
                Ok(written) => return Ok(written),
            }
        }
    }

    /// Has a query ask for the caller's customer only; false: it requests another's.
    fn narrow(&self, customer: &mut Option<CustomerId>) -> bool {
        let Some(own) = &self.access.principal().customer else { return true };
        customer.get_or_insert_with(|| own.clone()) == own
    }

    async fn check_operation(&self, operation: &Operation) -> Result<(), StoreError> {
        self.check(&self.resource_of(operation).await?)
    }

    async fn resource_of(&self, operation: &Operation) -> Result<Resource, StoreError> {
        let attributes = self.access.attributes().of(&operation.name, operation.uid).await?;
        Ok(Resource::Operation { id: operation.id, of: operation.name.clone(), attributes })
    }

    /// An error as the caller may read it.
    async fn redacted(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::NoHostClusterCapacity(why) => self.access.no_capacity(&*self.store, why).await,
            StoreError::HostInUse { name, tenants } => {
                let tenants = self.tenants_message(&name).await.unwrap_or(tenants);
                StoreError::HostInUse { name, tenants }
            }
            error => error,
        }
    }

    /// Who lives in a host cluster, as far as the caller may read it; `None`: it may read all of them.
    async fn tenants_message(&self, host: &str) -> Option<String> {
        let hidden = || Some("tenants that you may not read".to_owned());
        let Ok(EnvironmentName::HostCluster(id)) = host.parse() else { return hidden() };
        let owners = Owners::Tenants { customer: None, host_cluster: Some(id) };
        let query = EnvironmentQuery { owners, limit: NAMED_MAX, ..EnvironmentQuery::default() };
        let Ok(page) = self.store.list(&query).await else { return hidden() };
        let shown: Vec<String> = page
            .items
            .iter()
            .filter(|tenant| self.access.shows(&Resource::from(*tenant)))
            .map(|tenant| tenant.name().to_string())
            .collect();
        match (shown.is_empty(), shown.len() == page.items.len()) {
            (true, _) => hidden(),
            (false, true) => None,
            (false, false) => Some(format!("{} and others", shown.join(", "))),
        }
    }
}

/// A batch of the store, each item with whether it is shown.
type Batch<T> = Result<Page<(T, bool)>, StoreError>;

/// Fills a page with what is shown.
async fn filled<'a, T: Send + 'a>(
    (mut after, wanted): (Option<String>, u32),
    read: impl Fn(Option<String>, u32) -> BoxFuture<'a, Batch<T>> + Send + Sync,
    position: fn(&T) -> String,
) -> Result<Page<T>, StoreError> {
    let mut items: Vec<T> = Vec::new();
    let mut limit = wanted;
    for _ in 0..BATCHES_MAX {
        let batch = read(after, limit).await?;
        let count = batch.items.len();
        after = batch.next;
        for (index, (item, _)) in batch.items.into_iter().enumerate().filter(|(_, (_, shown))| *shown) {
            let place = position(&item);
            items.push(item);
            if items.len() >= wanted as usize {
                let more = index + 1 < count || after.is_some();
                return Ok(Page { items, next: Some(place).filter(|_| more) });
            }
        }
        if after.is_none() {
            break;
        }
        limit = wanted.max(BATCH);
    }
    Ok(Page { items, next: after })
}

impl Guard {
    /// Whose the objects were, nobody knows any more: whoever acts for one customer has no part in them.
    fn check_orphans(&self, action: Action) -> Result<(), StoreError> {
        if self.access.principal().customer.is_some() {
            return Err(self.access.refusal(action, &Resource::Installation));
        }
        self.access.check_action(action, &Resource::Installation)
    }
}

#[tonic::async_trait]
impl TenantStore for Guard {
    async fn create(&self, new: NewTenant) -> Result<Accepted, StoreError> {
        let attributes = Some(EnvironmentAttributes::of_order(&new.placement, &new.spec.labels));
        self.check(&Resource::Environment { name: new.name.clone().into(), attributes })?;
        if new.adopt.is_some() {
            // It takes the objects over, and removes them with the tenant.
            self.check_orphans(Action::DeleteOrphan)?;
        }
        match self.store.create(new).await {
            Err(error) => Err(self.redacted(error).await),
            created => created,
        }
    }

    async fn check_domain(&self, name: &TenantName, domain: &Domain) -> Result<(), StoreError> {
        self.check(&Resource::Customer(name.customer.clone()))?;
        self.store.check_domain(name, domain).await
    }

    async fn create_host_cluster(&self, new: NewHostCluster) -> Result<Accepted, StoreError> {
        let attributes = Some(EnvironmentAttributes::of_order(&new.placement, &new.spec.labels));
        self.check(&Resource::Environment { name: new.id.clone().into(), attributes })?;
        self.store.create_host_cluster(new).await
    }

    async fn cordon(
        &self,
        id: &HostClusterId,
        precondition: Precondition,
        cordoned: bool,
        request: RequestContext,
    ) -> Result<Environment, StoreError> {
        let write = |precondition: Precondition| {
            let request = request.clone();
            async move { self.store.cordon(id, precondition, cordoned, request).await }
        };
        self.write(&id.clone().into(), precondition, write).await
    }

    /// Counts of host clusters that take part in a placement; names leave the daemon only by rpcs about them.
    async fn candidates(&self, customer: Option<&CustomerId>) -> Result<Vec<Candidate>, StoreError> {
        self.store.candidates(customer).await
    }

    async fn host_of(&self, environment: &Environment) -> Result<Option<HostView>, StoreError> {
        self.store.host_of(environment).await
    }

    async fn replayed(&self, scope: &RequestScope, request: &RequestKey) -> Result<Option<Accepted>, StoreError> {
        let Some(accepted) = self.store.replayed(scope, request).await? else { return Ok(None) };
        self.check(&self.resource(&accepted.operation.name).await?.0)?;
        Ok(Some(accepted))
    }

    async fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        self.check_orphans(Action::ListOrphans)?;
        self.store.orphans().await
    }

    async fn check_adoption(
        &self,
        uid: TenantUid,
        placement: &Placement,
        host: Option<&HostClusterRef>,
    ) -> Result<(), StoreError> {
        // As the create itself: a dry run promises what it would do.
        self.check_orphans(Action::DeleteOrphan)?;
        match self.store.check_adoption(uid, placement, host).await {
            Err(error) => Err(self.redacted(error).await),
            Ok(()) => Ok(()),
        }
    }

    async fn delete_orphan(
        &self,
        uid: TenantUid,
        force: bool,
        request: RequestContext,
    ) -> Result<Accepted, StoreError> {
        self.check_orphans(Action::DeleteOrphan)?;
        self.store.delete_orphan(uid, force, request).await
    }

    async fn get(&self, name: &EnvironmentName) -> Result<Environment, StoreError> {
        let environment = self.store.get(name).await?;
        self.check(&Resource::from(&environment))?;
        Ok(environment)
    }

    async fn stage(
        &self,
        tenant: TenantUid,
        desired_state: DesiredState,
        stage: &Stage,
    ) -> Result<Option<StageRecord>, StoreError> {
        self.store.stage(tenant, desired_state, stage).await
    }

    async fn list(&self, query: &EnvironmentQuery) -> Result<Page<Environment>, StoreError> {
        let mut query = query.clone();
        if let Owners::Tenants { customer, .. } = &mut query.owners
            && !self.narrow(customer)
        {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let read = |after: Option<String>, limit: u32| {
            let query = EnvironmentQuery { after, limit, ..query.clone() };
            async move {
                let Page { items, next } = self.store.list(&query).await?;
                let shown = |environment: Environment| {
                    let shown = self.access.shows(&Resource::from(&environment));
                    (environment, shown)
                };
                Ok(Page { items: items.into_iter().map(shown).collect(), next })
            }
            .boxed()
        };
        filled((query.after.clone(), query.limit), read, |environment| environment.name().to_string()).await
    }

    async fn change(
        &self,
        name: &EnvironmentName,
        precondition: Precondition,
        change: Change,
        request: RequestContext,
    ) -> Result<Accepted, StoreError> {
        let ordered = match &change {
            Change::Update { spec, placement } => Some(EnvironmentAttributes::of_order(placement, &spec.labels)),
            // The tenant stays what it is.
            Change::Renew { .. } | Change::Retry => None,
        };
        // What it would become is decided about, too: nobody changes a tenant into one that it may not change.
        if let Some(ordered) = ordered {
            let state = self.store.get(name).await.map(|environment| environment.status.state.as_str().into());
            let attributes = EnvironmentAttributes { state: state.unwrap_or_default(), ..ordered };
            self.check(&Resource::Environment { name: name.clone(), attributes: Some(attributes) })?;
        }
        let write = |precondition: Precondition| {
            let (change, request) = (change.clone(), request.clone());
            async move { self.store.change(name, precondition, change, request).await }
        };
        self.write(name, precondition, write).await
    }

    async fn delete(&self, name: &EnvironmentName, request: DeleteRequest) -> Result<Accepted, StoreError> {
        let write = |precondition: Precondition| {
            let request = DeleteRequest { precondition, ..request.clone() };
            async move { self.store.delete(name, request).await }
        };
        self.write(name, request.precondition.clone(), write).await
    }

    async fn cancel(&self, id: OperationId, request: RequestContext) -> Result<(), StoreError> {
        self.check_operation(&self.store.operation(id).await?).await?;
        match self.store.cancel(id, request).await {
            Err(error) => Err(self.redacted(error).await),
            cancelled => cancelled,
        }
    }

    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        let operation = self.store.operation(id).await?;
        self.check_operation(&operation).await?;
        Ok(operation)
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Page<Operation>, StoreError> {
        let mut query = query.clone();
        if !self.narrow(&mut query.customer) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let read = |after: Option<String>, limit: u32| {
            let query = OperationQuery { after, limit, ..query.clone() };
            async move {
                let Page { items, next } = self.store.operations(&query).await?;
                let mut decided = Vec::with_capacity(items.len());
                for operation in items {
                    let shown = self.access.shows(&self.resource_of(&operation).await?);
                    decided.push((operation, shown));
                }
                Ok(Page { items: decided, next })
            }
            .boxed()
        };
        filled((query.after.clone(), query.limit), read, |operation| operation.id.to_string()).await
    }

    /// Events of one name are decided about by that; wider scopes are filtered by whoever streams them.
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        if let EventScope::Environment(name) = &query.scope {
            self.check(&self.resource(name).await?.0)?;
            return self.store.events(query).await;
        }
        let mut shown = Vec::new();
        for event in self.store.events(query).await? {
            let attributes = self.access.attributes().of(&event.name, event.uid).await?;
            if self.access.shows(&Resource::Environment { name: event.name.clone(), attributes }) {
                shown.push(event);
            }
        }
        Ok(shown)
    }

    async fn wait_for_event(&self, query: &EventQuery) -> i64 {
        self.store.wait_for_event(query).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        self.store.newest_event().await
    }

    /// Nobody's who calls.
    async fn token_secret(&self) -> Result<[u8; 32], StoreError> {
        Err(StoreError::NotFound("the secret of tokens".into()))
    }
}
