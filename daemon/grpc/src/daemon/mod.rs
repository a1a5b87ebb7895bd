//! DaemonService: which daemons share the store.

use landlord_core::{
    access::Resource,
    ports::{DaemonState, StoreError},
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
const FIELDS: [Field; 4] =
    [Field::text("name"), Field::text("host"), Field::text("version"), Field::new("answering", Kind::Bool)];

/// DaemonService.
pub(crate) struct Daemons {
    pub(crate) ports: Ports,
}

impl Item for v1::Daemon {
    fn position(&self) -> String {
        self.name.clone()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "name" => Value::text(self.name.as_str()),
            "host" => Value::text(self.host.as_str()),
            "version" => Value::text(self.version.as_str()),
            "answering" => Value::Bool(self.answering),
            _ => Value::Absent,
        }
    }
}

impl Daemons {
    fn daemon(&self, state: DaemonState) -> v1::Daemon {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        v1::Daemon {
            answering: state.info.id == self.ports.daemon,
            name: format!("daemons/{}", state.info.id),
            host: state.info.host,
            pid: i32::try_from(state.info.pid).unwrap_or_default(),
            version: state.info.version,
            start_time: Some(convert::timestamp(state.start_time)),
            heard_time: Some(convert::timestamp(state.heard_time)),
            environment_lease_count: count(state.leases.environments),
            account_lease_count: count(state.leases.accounts),
        }
    }

    async fn all(&self) -> Result<Vec<v1::Daemon>, StoreError> {
        let daemons = self.ports.daemons.daemons().await?;
        Ok(daemons.into_iter().map(|state| self.daemon(state)).collect())
    }

    async fn list(&self, request: &v1::ListDaemonsRequest) -> Result<v1::ListDaemonsResponse, Error> {
        let wanted = Wanted {
            filter: &request.filter,
            order_by: &request.order_by,
            size: request.page_size,
            token: &request.page_token,
        };
        let list = InMemory::parse("daemons", &FIELDS, wanted, &self.ports.tokens)?;
        let daemons = self.all().await?;
        let (daemons, next_page_token) = list.page(&daemons).await?;
        Ok(v1::ListDaemonsResponse { daemons, next_page_token })
    }

    async fn get(&self, name: String) -> Result<v1::Daemon, Error> {
        let found = self.all().await?.into_iter().find(|daemon| daemon.name == name);
        Ok(found.ok_or(StoreError::NotFound(name))?)
    }
}

#[tonic::async_trait]
impl v1::daemon_service_server::DaemonService for Daemons {
    async fn list_daemons(
        &self,
        request: Request<v1::ListDaemonsRequest>,
    ) -> Result<Response<v1::ListDaemonsResponse>, Status> {
        let access = Access::of(request.extensions())?;
        access.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.list(request.get_ref()).await?))
    }

    async fn get_daemon(&self, request: Request<v1::GetDaemonRequest>) -> Result<Response<v1::Daemon>, Status> {
        let access = Access::of(request.extensions())?;
        access.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.get(request.into_inner().name).await?))
    }
}
