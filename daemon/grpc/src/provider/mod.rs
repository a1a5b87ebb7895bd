//! ProviderService over the plugins' health, and whether the plugin that a placement needs is up.

use landlord_core::{
    Placement,
    access::Resource,
    ports::{ProviderHealth, Providers, StoreError},
};
use landlord_proto::v1;
use tonic::{Request, Response, Status};

use crate::{
    access::Access,
    convert,
    error::Error,
    list::{
        filter::{Field, Kind, Value},
        in_memory::{InMemory, Wanted},
        scan::Item,
    },
    ports::Ports,
};

/// Fields that a filter or an order can name.
const FIELDS: [Field; 5] = [
    Field::text("name"),
    Field::text("version"),
    Field::new("healthy", Kind::Bool),
    Field::text("detail"),
    Field::new("capabilities", Kind::List),
];

/// ProviderService.
pub(crate) struct ProviderList {
    pub(crate) ports: Ports,
}

/// Why nothing can be built there: the plugin never came up.
pub(crate) fn start_failure(providers: &dyn Providers, placement: &Placement) -> Option<String> {
    // Of a class that takes the credential scope of whatever host cluster is chosen nothing is known yet.
    if placement.credentials.is_empty() {
        return None;
    }
    let key = placement.provider_key();
    let why = providers.start_failure(&key)?;
    let class = &placement.class;
    Some(format!(
        "class {class} needs the plugin {key}, which is not up: {why}; see `landlord plugins` and the daemon's log"
    ))
}

fn provider(health: ProviderHealth) -> v1::Provider {
    let description = health.description.unwrap_or_default();
    v1::Provider {
        name: format!("providers/{}.{}", health.key.provider, health.key.credentials),
        version: description.version,
        healthy: health.healthy,
        detail: health.detail,
        path: health.path,
        sha256: health.sha256,
        pid: health.pid.map_or(0, |pid| i32::try_from(pid).unwrap_or(0)),
        restart_count: i64::try_from(health.restarts).unwrap_or(i64::MAX),
        ready_time: health.ready_time.map(convert::timestamp),
        capabilities: description.capabilities,
    }
}

impl Item for v1::Provider {
    fn position(&self) -> String {
        self.name.clone()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "name" => Value::text(self.name.as_str()),
            "version" => Value::text(self.version.as_str()),
            "healthy" => Value::Bool(self.healthy),
            "detail" => Value::text(self.detail.as_str()),
            "capabilities" => Value::List(self.capabilities.iter().map(String::as_str).collect()),
            _ => Value::Absent,
        }
    }
}

impl ProviderList {
    async fn list(
        &self,
        access: &Access,
        request: &v1::ListProvidersRequest,
    ) -> Result<v1::ListProvidersResponse, Error> {
        let wanted = Wanted {
            filter: &request.filter,
            order_by: &request.order_by,
            size: request.page_size,
            token: &request.page_token,
        };
        let list = InMemory::parse("providers", &FIELDS, wanted, &self.ports.tokens)?;
        let providers = self.ports.providers.health().into_iter().map(provider);
        let shown = |provider: &v1::Provider| access.shows(&Resource::Provider(provider.name.clone()));
        let providers: Vec<_> = providers.filter(shown).collect();
        let (providers, next_page_token) = list.page(&providers).await?;
        Ok(v1::ListProvidersResponse { providers, next_page_token })
    }
}

#[tonic::async_trait]
impl v1::provider_service_server::ProviderService for ProviderList {
    async fn list_providers(
        &self,
        request: Request<v1::ListProvidersRequest>,
    ) -> Result<Response<v1::ListProvidersResponse>, Status> {
        let access = Access::of(request.extensions())?;
        Ok(Response::new(self.list(&access, request.get_ref()).await?))
    }

    async fn get_provider(&self, request: Request<v1::GetProviderRequest>) -> Result<Response<v1::Provider>, Status> {
        let access = Access::of(request.extensions())?;
        let name = request.into_inner().name;
        access.check(&Resource::Provider(name.clone())).map_err(Error::from)?;
        let mut providers = self.ports.providers.health().into_iter().map(provider);
        let found = providers.find(|provider| provider.name == name);
        let found = found.ok_or_else(|| Error::from(StoreError::NotFound(name)))?;
        Ok(Response::new(found))
    }
}
