//! TenantClassService over the catalog and the stacks: what can be ordered, for order forms.

mod parameters;

use landlord_core::{Class, ClassName, access::Resource, ports::StoreError};
use landlord_proto::v1;
use tonic::{Request, Response, Status};

use crate::{
    access::Access,
    convert,
    error::{Error, invalid_name, violation},
    list::{
        environment::LEVEL_WORDS,
        filter::{Field, Kind, Value},
        in_memory::{InMemory, Wanted},
        scan::Item,
    },
    ports::Ports,
};

/// Fields that a filter or an order can name.
const FIELDS: [Field; 6] = [
    Field::text("name"),
    Field::text("description"),
    Field::new("level", Kind::Word(&LEVEL_WORDS)),
    Field::text("provider"),
    Field::new("regions", Kind::List),
    Field::text("stack"),
];

/// TenantClassService.
pub(crate) struct TenantClasses {
    pub(crate) ports: Ports,
}

impl Item for v1::TenantClass {
    fn position(&self) -> String {
        self.name.clone()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "name" => Value::text(self.name.as_str()),
            "description" => Value::text(self.description.as_str()),
            "level" => Value::text(self.level().as_str_name()),
            "provider" => Value::text(self.provider.as_str()),
            "regions" => Value::List(self.regions.iter().map(String::as_str).collect()),
            "stack" => Value::text(self.stack.as_str()),
            _ => Value::Absent,
        }
    }
}

impl TenantClasses {
    fn class(&self, name: &ClassName, class: &Class) -> v1::TenantClass {
        v1::TenantClass {
            name: format!("tenantClasses/{name}"),
            description: class.description.clone(),
            level: convert::level(class.level).into(),
            provider: class.provider.to_string(),
            regions: class.regions.clone(),
            stack: class.stack.as_ref().map(ToString::to_string).unwrap_or_default(),
            parameters: parameters::of(class, &*self.ports.stacks),
        }
    }

    fn get(&self, name: &str) -> Result<v1::TenantClass, Error> {
        let malformed = || violation("name", format!("{name:?} must have the form tenantClasses/{{tenant_class}}"));
        let id = name.strip_prefix("tenantClasses/").ok_or_else(malformed)?;
        let id: ClassName = id.parse().map_err(|error| invalid_name("name", &error))?;
        let found = self.ports.catalog.now().classes.get(&id).map(|class| self.class(&id, class));
        Ok(found.ok_or_else(|| StoreError::NotFound(name.to_owned()))?)
    }

    async fn list(&self, request: &v1::ListTenantClassesRequest) -> Result<v1::ListTenantClassesResponse, Error> {
        let wanted = Wanted {
            filter: &request.filter,
            order_by: &request.order_by,
            size: request.page_size,
            token: &request.page_token,
        };
        let list = InMemory::parse("tenant classes", &FIELDS, wanted, &self.ports.tokens)?;
        let catalog = self.ports.catalog.now();
        let classes: Vec<_> = catalog.classes.iter().map(|(name, class)| self.class(name, class)).collect();
        let (tenant_classes, next_page_token) = list.page(&classes).await?;
        Ok(v1::ListTenantClassesResponse { tenant_classes, next_page_token })
    }
}

#[tonic::async_trait]
impl v1::tenant_class_service_server::TenantClassService for TenantClasses {
    async fn list_tenant_classes(
        &self,
        request: Request<v1::ListTenantClassesRequest>,
    ) -> Result<Response<v1::ListTenantClassesResponse>, Status> {
        let access = Access::of(request.extensions())?;
        access.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.list(request.get_ref()).await?))
    }

    async fn get_tenant_class(
        &self,
        request: Request<v1::GetTenantClassRequest>,
    ) -> Result<Response<v1::TenantClass>, Status> {
        let access = Access::of(request.extensions())?;
        access.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.get(&request.get_ref().name)?))
    }
}
