//! TenantService over the store and the catalog.

use std::pin::Pin;

use futures::Stream;
use landlord_core::{
    ClassName, ProviderName, State, TenantName, TenantSpec, Violation, Violations, ids::TenantId,
    ports::{Accepted, Change, DeleteRequest, EventQuery, NewTenant, TenantQuery},
};
use landlord_proto::{google::longrunning::Operation, v1};
use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use crate::{Ports, convert, filter, page, request, status, watch};

/// TenantService.
pub(crate) struct Tenants {
    pub(crate) ports: Ports,
    pub(crate) stop: tokio_util::sync::CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

/// Fields that an update may change.
const CHANGEABLE: [&str; 7] = [
    "display_name", "labels", "storage_gib", "node_count", "stack_values", "deletion_protection",
    "paused",
];

impl Tenants {
    fn accepted(&self, accepted: &Accepted) -> Response<Operation> {
        if !accepted.replayed {
            self.ports.wake.wake();
        }
        Response::new(convert::operation(&accepted.operation, accepted.tenant.as_ref()))
    }

    fn created(&self, asked: &v1::CreateTenantRequest) -> Result<NewTenant, Status> {
        let mut violations = Vec::new();
        let mut add = |field: &str, description: String| {
            violations.push(Violation { field: field.into(), description });
        };
        let customer = match asked.parent.strip_prefix("customers/").unwrap_or_default().parse() {
            Ok(customer) => Some(customer),
            Err(error) => {
                add("parent", format!("must be customers/{{customer}}: {error}"));
                None
            }
        };
        let tenant = asked
            .tenant_id
            .parse::<TenantId>()
            .map_err(|error| add("tenant_id", error.to_string()))
            .ok();
        let input = convert::spec_input(asked.tenant.clone().unwrap_or_default());
        let spec = TenantSpec::parse(input)
            .map_err(|more| {
                let more = more.0.into_iter();
                violations.extend(more.map(|v| Violation { field: format!("tenant.{}", v.field), ..v }));
            })
            .ok();
        let (Some(customer), Some(tenant), Some(spec)) = (customer, tenant, spec) else {
            return Err(status::invalid(&Violations(violations)));
        };
        let name = TenantName { customer, tenant };
        let offer = self.ports.catalog.place(&name, &spec).map_err(|more| prefixed(more, "tenant."))?;
        let request = request::key("CreateTenant", &asked.request_id, asked)?;
        Ok(NewTenant { name, spec, offer, request })
    }

    async fn updated(&self, asked: &v1::UpdateTenantRequest) -> Result<(TenantName, Change), Status> {
        let wanted = asked.tenant.clone().unwrap_or_default();
        let name = request::tenant_name("tenant.name", &wanted.name)?;
        let current = self.ports.store.get(&name).await.map_err(|error| status::store(&error))?;
        let mut merged = convert::tenant(&current);
        let paths: Vec<String> = match &asked.update_mask {
            Some(mask) if !mask.paths.is_empty() => mask.paths.clone(),
            _ => CHANGEABLE.map(str::to_owned).to_vec(),
        };
        let mut violations = Vec::new();
        for path in &paths {
            match path.as_str() {
                "display_name" => merged.display_name.clone_from(&wanted.display_name),
                "labels" => merged.labels.clone_from(&wanted.labels),
                "storage_gib" => merged.storage_gib = wanted.storage_gib,
                "node_count" => merged.node_count = wanted.node_count,
                "stack_values" => merged.stack_values.clone_from(&wanted.stack_values),
                "deletion_protection" => merged.deletion_protection = wanted.deletion_protection,
                "paused" => merged.paused = wanted.paused,
                "domain" => merged.domain.clone_from(&wanted.domain),
                "class" => merged.class.clone_from(&wanted.class),
                "region" => merged.region.clone_from(&wanted.region),
                other => violations.push(Violation {
                    field: "update_mask".into(),
                    description: format!("{other:?} can't be changed; changeable are: {}", CHANGEABLE.join(", ")),
                }),
            }
        }
        let spec = TenantSpec::parse(convert::spec_input(merged));
        let spec = match spec {
            Ok(spec) => {
                violations.extend(current.spec.forbidden_changes(&spec));
                Some(spec)
            }
            Err(more) => {
                violations.extend(more.0);
                None
            }
        };
        let (Some(spec), true) = (spec, violations.is_empty()) else {
            return Err(prefixed(Violations(violations), "tenant."));
        };
        let offer = if current.spec.needs_work(&spec) {
            self.ports.catalog.place(&name, &spec).map_err(|more| prefixed(more, "tenant."))?
        } else {
            current.offer
        };
        Ok((name, Change::Update { spec, offer }))
    }
}

fn prefixed(violations: Violations, prefix: &str) -> Status {
    let prefixed = violations.0.into_iter().map(|violation| {
        let field = if violation.field == "update_mask" { violation.field } else { format!("{prefix}{}", violation.field) };
        Violation { field, description: violation.description }
    });
    status::invalid(&Violations(prefixed.collect()))
}

fn list_query(asked: &v1::ListTenantsRequest) -> Result<TenantQuery, Status> {
    let mut filter = filter::parse(&asked.filter, &["state", "customer", "provider", "class"])?;
    let mut one = |field: &str| -> Result<Option<String>, Status> {
        let mut values = filter.remove(field).unwrap_or_default();
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(status::invalid_field("filter", format!("{field} can have one value only"))),
        }
    };
    let name = |field: &'static str, error: landlord_core::ids::InvalidName| {
        status::invalid_field("filter", format!("{field}: {error}"))
    };
    let customer = one("customer")?;
    let provider = one("provider")?;
    let class = one("class")?;
    let states = filter.remove("state").unwrap_or_default();
    let states = states.iter().map(|word| state(word)).collect::<Result<Vec<_>, _>>()?;
    let customer = match customer {
        Some(id) => Some(id.parse().map_err(|error| name("customer", error))?),
        None => request::customer_or_all(&asked.parent)?,
    };
    let scope = format!("tenants {} {}", asked.parent, asked.filter);
    Ok(TenantQuery {
        customer,
        states,
        provider: provider.map(|id| id.parse::<ProviderName>()).transpose().map_err(|e| name("provider", e))?,
        class: class.map(|id| id.parse::<ClassName>()).transpose().map_err(|e| name("class", e))?,
        after: page::position(&scope, &asked.page_token)?,
        limit: page::size(asked.page_size)?,
    })
}

fn state(word: &str) -> Result<State, Status> {
    const STATES: [State; 6] = [
        State::Pending, State::Provisioning, State::Ready, State::Updating, State::Deleting,
        State::Failed,
    ];
    STATES.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
        let known = STATES.map(State::as_str).join(", ");
        status::invalid_field("filter", format!("{word:?} is no state; the states are: {known}"))
    })
}

#[tonic::async_trait]
impl v1::tenant_service_server::TenantService for Tenants {
    async fn create_tenant(&self, asked: Request<v1::CreateTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let new = self.created(&asked)?;
        if asked.validate_only {
            return match self.ports.store.get(&new.name).await {
                Ok(_) => Err(status::store(&landlord_core::ports::StoreError::AlreadyExists(new.name.to_string()))),
                Err(landlord_core::ports::StoreError::NotFound(_)) => {
                    Ok(Response::new(Operation { done: true, ..Operation::default() }))
                }
                Err(error) => Err(status::store(&error)),
            };
        }
        let accepted = self.ports.store.create(new).await.map_err(|error| status::store(&error))?;
        Ok(self.accepted(&accepted))
    }

    async fn get_tenant(&self, asked: Request<v1::GetTenantRequest>) -> Answer<v1::Tenant> {
        let name = request::tenant_name("name", &asked.into_inner().name)?;
        let tenant = self.ports.store.get(&name).await.map_err(|error| status::store(&error))?;
        Ok(Response::new(convert::tenant(&tenant)))
    }

    async fn list_tenants(
        &self,
        asked: Request<v1::ListTenantsRequest>,
    ) -> Answer<v1::ListTenantsResponse> {
        let asked = asked.into_inner();
        let query = list_query(&asked)?;
        let found = self.ports.store.list(&query).await.map_err(|error| status::store(&error))?;
        let scope = format!("tenants {} {}", asked.parent, asked.filter);
        Ok(Response::new(v1::ListTenantsResponse {
            tenants: found.items.iter().map(convert::tenant).collect(),
            next_page_token: page::token(&scope, found.next.as_deref()),
        }))
    }

    async fn update_tenant(&self, asked: Request<v1::UpdateTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let (name, change) = self.updated(&asked).await?;
        if asked.validate_only {
            return Ok(Response::new(Operation { done: true, ..Operation::default() }));
        }
        let etag = asked.tenant.as_ref().map(|tenant| tenant.etag.clone()).filter(|etag| !etag.is_empty());
        let key = request::key("UpdateTenant", &asked.request_id, &asked)?;
        let accepted = self
            .ports
            .store
            .change(&name, etag.as_deref(), change, key)
            .await
            .map_err(|error| status::store(&error))?;
        Ok(self.accepted(&accepted))
    }

    async fn delete_tenant(&self, asked: Request<v1::DeleteTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let name = request::tenant_name("name", &asked.name)?;
        if asked.validate_only {
            let tenant = self.ports.store.get(&name).await.map_err(|error| status::store(&error))?;
            if tenant.spec.deletion_protection {
                let error = landlord_core::ports::StoreError::DeletionProtected(asked.name);
                return Err(status::store(&error));
            }
            return Ok(Response::new(Operation { done: true, ..Operation::default() }));
        }
        let delete = DeleteRequest {
            force: asked.force,
            etag: (!asked.etag.is_empty()).then(|| asked.etag.clone()),
            request: request::key("DeleteTenant", &asked.request_id, &asked)?,
        };
        let accepted =
            self.ports.store.delete(&name, delete).await.map_err(|error| status::store(&error))?;
        Ok(self.accepted(&accepted))
    }

    async fn retry_tenant(&self, asked: Request<v1::RetryTenantRequest>) -> Answer<Operation> {
        let asked = asked.into_inner();
        let name = request::tenant_name("name", &asked.name)?;
        let etag = (!asked.etag.is_empty()).then_some(asked.etag.as_str());
        let key = request::key("RetryTenant", &asked.request_id, &asked)?;
        let accepted = self
            .ports
            .store
            .change(&name, etag, Change::Retry, key)
            .await
            .map_err(|error| status::store(&error))?;
        Ok(self.accepted(&accepted))
    }

    type WatchTenantsStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchTenantsResponse, Status>> + Send>>;

    async fn watch_tenants(
        &self,
        asked: Request<v1::WatchTenantsRequest>,
    ) -> Answer<Self::WatchTenantsStream> {
        let stream = watch::stream(self.ports.store.clone(), asked.into_inner(), self.stop.clone());
        Ok(Response::new(Box::pin(stream.await?)))
    }

    async fn list_tenant_events(
        &self,
        asked: Request<v1::ListTenantEventsRequest>,
    ) -> Answer<v1::ListTenantEventsResponse> {
        let asked = asked.into_inner();
        let scope = format!("events {}", asked.parent);
        let after = page::position(&scope, &asked.page_token)?;
        let limit = page::size(asked.page_size)?;
        let query = EventQuery {
            after_seq: after.and_then(|seq| seq.parse().ok()).unwrap_or(0),
            customer: None,
            tenant: Some(request::tenant_name("parent", &asked.parent)?),
            limit,
        };
        let found = self.ports.store.events(&query).await.map_err(|error| status::store(&error))?;
        let full = found.len() >= limit as usize;
        let next = found.last().filter(|_| full).map(|event| event.seq.to_string());
        Ok(Response::new(v1::ListTenantEventsResponse {
            events: found.iter().map(convert::event).collect(),
            next_page_token: page::token(&scope, next.as_deref()),
        }))
    }

    async fn generate_kubeconfig(
        &self,
        asked: Request<v1::GenerateKubeconfigRequest>,
    ) -> Answer<v1::GenerateKubeconfigResponse> {
        let name = request::tenant_name("name", &asked.into_inner().name)?;
        let tenant = self.ports.store.get(&name).await.map_err(|error| status::store(&error))?;
        let access =
            self.ports.kube_access.access(&tenant).await.map_err(|failure| status::failure(&failure))?;
        let cluster = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name.tenant.as_str(),
            "contexts": [{"name": name.tenant.as_str(), "context": {"cluster": "tenant", "user": "operator"}}],
            "clusters": [{"name": "tenant", "cluster": {
                "server": access.endpoint,
                "certificate-authority-data":
                    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &access.ca_pem),
            }}],
            "users": [{"name": "operator", "user": {"token": access.token.expose_secret()}}],
        });
        // JSON is YAML.
        let kubeconfig = serde_json::to_string_pretty(&cluster).unwrap_or_default();
        Ok(Response::new(v1::GenerateKubeconfigResponse {
            kubeconfig,
            expire_time: Some(convert::timestamp(access.expire_time)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_states_are_refused_with_the_known_ones() {
        let status = state("GREEN").unwrap_err();
        assert!(status.message().contains("READY"), "{}", status.message());
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
    }
}
