//! Records as a caller may see them: what a tenant's record says of host clusters and accounts is for those who may read
//! them. Only for what is shown: a change starts from the record itself.

use std::collections::HashMap;

use landlord_core::{
    Environment, EnvironmentName, HostClusterId, HostClusterRef, Owner, Placement, TenantUid,
    access::{EnvironmentAttributes, Resource},
    placement::ProviderKey,
    ports::StoreError,
};

use crate::access::Access;

/// What one call has decided; the records of a page share host clusters and providers.
pub(crate) struct Displayed<'a> {
    access: &'a Access,
    hosts: HashMap<TenantUid, bool>,
    providers: HashMap<ProviderKey, bool>,
}

impl<'a> Displayed<'a> {
    pub(crate) fn to(access: &'a Access) -> Self {
        Self { access, hosts: HashMap::new(), providers: HashMap::new() }
    }

    /// A record without what the caller may not read. That of a host cluster stays whole: who reads it may know it.
    ///
    /// # Errors
    /// A store that can't be read.
    pub(crate) async fn record(&mut self, mut environment: Environment) -> Result<Environment, StoreError> {
        let Owner::Tenant(tenant) = &mut environment.owner else { return Ok(environment) };
        if let Some(host) = &tenant.host
            && !self.shows_host(host).await?
        {
            tenant.host = None;
        }
        environment.placement = self.placement(environment.placement);
        Ok(environment)
    }

    /// A placement without the account of a provider that the caller may not read.
    pub(crate) fn placement(&mut self, placement: Placement) -> Placement {
        let key = placement.provider_key();
        let access = self.access;
        let shown = *self.providers.entry(key).or_insert_with_key(|key| {
            access.reads(&Resource::Provider(format!("providers/{}.{}", key.provider, key.credentials)))
        });
        if shown { placement } else { Placement { account: String::new(), ..placement } }
    }

    async fn shows_host(&mut self, host: &HostClusterRef) -> Result<bool, StoreError> {
        if let Some(shown) = self.hosts.get(&host.uid) {
            return Ok(*shown);
        }
        let name = EnvironmentName::from(host.id.clone());
        let attributes = self.access.attributes().of(&name, host.uid).await?;
        let shown = self.reads_host(name, attributes);
        self.hosts.insert(host.uid, shown);
        Ok(shown)
    }

    /// Whether the caller may know which tenants live in a host cluster that it names.
    ///
    /// # Errors
    /// A store that can't be read.
    pub(crate) async fn shows_host_named(&self, id: &HostClusterId) -> Result<bool, StoreError> {
        let name = EnvironmentName::from(id.clone());
        let attributes = self.access.attributes().named(&name).await?;
        Ok(self.reads_host(name, attributes))
    }

    fn reads_host(&self, name: EnvironmentName, attributes: Option<EnvironmentAttributes>) -> bool {
        self.access.reads(&Resource::Environment { name, attributes })
    }
}
