//! The store as one caller may use it: every read is of what it may read, every write of what it may change.
//!
//! A record's attributes (class, level, labels, state) take part in the decision, so it is read first. Lists are filtered
//! before they are cut into pages.

use std::{collections::HashMap, sync::Arc};

use landlord_core::{
    Candidate, CustomerId, DesiredState, Environment, EnvironmentName, HostClusterId, HostView, Operation, OperationId,
    Orphan, Stage, StageRecord, TenantName, TenantUid,
    access::{Action, EnvironmentAttributes, Resource},
    environment::Domain,
    ports::{
        Accepted, Change, DeleteRequest, EnvironmentQuery, Event, EventQuery, EventScope, NewHostCluster, NewTenant,
        OperationQuery, Page, RequestContext, RequestKey, RequestScope, StoreError, TenantStore,
    },
};

use crate::{access::Access, ports::Ports};

/// A page of a list is filled from at most this many pages of the store; a shorter one then says where to go on.
const PAGES_MAX: usize = 200;

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

    /// The record behind a name, or the name alone.
    async fn resource(&self, name: &EnvironmentName) -> Result<Resource, StoreError> {
        match self.store.get(name).await {
            Ok(environment) => Ok(Resource::from(&environment)),
            Err(StoreError::NotFound(_)) => Ok(Resource::Environment { name: name.clone(), attributes: None }),
            Err(error) => Err(error),
        }
    }

    async fn attributes(&self, name: &EnvironmentName) -> Result<Option<EnvironmentAttributes>, StoreError> {
        match self.resource(name).await? {
            Resource::Environment { attributes, .. } => Ok(attributes),
            _ => Ok(None),
        }
    }

    async fn check_operation(&self, operation: &Operation) -> Result<(), StoreError> {
        let attributes = self.attributes(&operation.name).await?;
        self.check(&Resource::Operation { id: operation.id, of: operation.name.clone(), attributes })
    }
}

#[tonic::async_trait]
impl TenantStore for Guard {
    async fn create(&self, new: NewTenant) -> Result<Accepted, StoreError> {
        let attributes = Some(EnvironmentAttributes::of_order(&new.placement, &new.spec.labels));
        self.check(&Resource::Environment { name: new.name.clone().into(), attributes })?;
        if new.adopt.is_some() {
            // Whose the objects were, nobody knows any more.
            self.access.check_action(Action::ListOrphans, &Resource::Installation)?;
        }
        self.store.create(new).await
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
        etag: Option<&str>,
        cordoned: bool,
        request: RequestContext,
    ) -> Result<Environment, StoreError> {
        self.check(&self.resource(&id.clone().into()).await?)?;
        self.store.cordon(id, etag, cordoned, request).await
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
        self.check(&self.resource(&accepted.operation.name).await?)?;
        Ok(Some(accepted))
    }

    async fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        self.access.check_action(Action::ListOrphans, &Resource::Installation)?;
        self.store.orphans().await
    }

    async fn delete_orphan(
        &self,
        uid: TenantUid,
        force: bool,
        request: RequestContext,
    ) -> Result<Accepted, StoreError> {
        self.access.check_action(Action::DeleteOrphan, &Resource::Installation)?;
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
        let (mut query, wanted) = (query.clone(), query.limit);
        let mut items: Vec<Environment> = Vec::new();
        for _ in 0..PAGES_MAX {
            query.limit = wanted - u32::try_from(items.len()).unwrap_or(wanted);
            let page = self.store.list(&query).await?;
            items.extend(page.items.into_iter().filter(|environment| self.access.shows(&environment.into())));
            query.after = page.next;
            if query.after.is_none() || items.len() >= wanted as usize {
                break;
            }
        }
        Ok(Page { items, next: query.after })
    }

    async fn change(
        &self,
        name: &EnvironmentName,
        etag: Option<&str>,
        change: Change,
        request: RequestContext,
    ) -> Result<Accepted, StoreError> {
        self.check(&self.resource(name).await?)?;
        self.store.change(name, etag, change, request).await
    }

    async fn delete(&self, name: &EnvironmentName, request: DeleteRequest) -> Result<Accepted, StoreError> {
        self.check(&self.resource(name).await?)?;
        self.store.delete(name, request).await
    }

    async fn cancel(&self, id: OperationId, request: RequestContext) -> Result<(), StoreError> {
        self.check_operation(&self.store.operation(id).await?).await?;
        self.store.cancel(id, request).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        let operation = self.store.operation(id).await?;
        self.check_operation(&operation).await?;
        Ok(operation)
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Page<Operation>, StoreError> {
        let (mut query, wanted) = (query.clone(), query.limit);
        let mut items: Vec<Operation> = Vec::new();
        let mut known: HashMap<EnvironmentName, Option<EnvironmentAttributes>> = HashMap::new();
        for _ in 0..PAGES_MAX {
            query.limit = wanted - u32::try_from(items.len()).unwrap_or(wanted);
            let page = self.store.operations(&query).await?;
            for operation in page.items {
                if !known.contains_key(&operation.name) {
                    let attributes = self.attributes(&operation.name).await?;
                    known.insert(operation.name.clone(), attributes);
                }
                let attributes = known.get(&operation.name).cloned().flatten();
                let resource = Resource::Operation { id: operation.id, of: operation.name.clone(), attributes };
                if self.access.shows(&resource) {
                    items.push(operation);
                }
            }
            query.after = page.next;
            if query.after.is_none() || items.len() >= wanted as usize {
                break;
            }
        }
        Ok(Page { items, next: query.after })
    }

    /// Events of one name are decided about by that; wider scopes are filtered by whoever streams them.
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        if let EventScope::Environment(name) = &query.scope {
            self.check(&self.resource(name).await?)?;
            return self.store.events(query).await;
        }
        let mut shown = Vec::new();
        for event in self.store.events(query).await? {
            if self.access.shows(&self.resource(&event.name).await?) {
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
}
