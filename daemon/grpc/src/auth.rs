//! AuthService: who the caller is, and what it may do.

use landlord_core::access::{Action, AuthMethod, Principal, Resource};
use landlord_proto::v1;
use tonic::{Request, Response, Status};

use crate::{
    access::Access,
    error::{Error, maybe, violation},
    name,
    ports::Ports,
};

/// AuthService.
pub(crate) struct Auth {
    pub(crate) ports: Ports,
}

impl Auth {
    async fn check(&self, access: &Access, request: v1::CheckAccessRequest) -> Result<v1::CheckAccessResponse, Error> {
        let action = Action::of_name(&request.action).ok_or_else(|| {
            violation("action", format!("{:?} is no action; actions are the names of rpcs", request.action))
        })?;
        let others = access.decide(Action::CheckAccessOfOthers, &Resource::Installation).allowed;
        let principal = match request.subject {
            None => access.principal().clone(),
            Some(_) if !others => {
                access.check_action(Action::CheckAccessOfOthers, &Resource::Installation)?;
                return Ok(v1::CheckAccessResponse::default());
            }
            Some(subject) => principal(subject)?,
        };
        let Some(resource) = self.resource(access, &request.resource).await? else {
            return Ok(v1::CheckAccessResponse::default());
        };
        if !action.kinds().contains(&resource.kind()) {
            let kinds: Vec<&str> = action.kinds().iter().map(|kind| kind.as_str()).collect();
            let problem =
                format!("{} is about {}, not about {}", request.action, kinds.join(" or "), resource.kind().as_str());
            return Err(violation("resource", problem).into());
        }
        let decision = access.decide_for(&principal, action, &resource);
        let policies = if others { decision.policies } else { Vec::new() };
        Ok(v1::CheckAccessResponse { allowed: decision.allowed, policies })
    }

    /// The resource of a name, with what the caller may know of it; `None`: nothing can be decided about it.
    async fn resource(&self, access: &Access, text: &str) -> Result<Option<Resource>, Error> {
        let name = match text.split('/').next().unwrap_or_default() {
            "" => return Ok(Some(Resource::Installation)),
            "providers" => return Ok(Some(Resource::Provider(text.to_owned()))),
            "customers" if !text.contains("/tenants/") => return Ok(Some(Resource::Customer(name::customer(text)?))),
            "customers" => name::tenant("resource", text)?.into(),
            "hostClusters" => name::host_cluster("resource", text)?.into(),
            "operations" => {
                let found = maybe(self.ports.store.operation(name::operation(text)?).await)?;
                let Some(operation) = found else { return Ok(None) };
                let id = operation.id;
                let attributes = access.attributes().of(&operation.name, operation.uid).await?;
                let resource = Resource::Operation { id, of: operation.name, attributes };
                let readable = access.decide(Action::GetOperation, &resource).allowed;
                return Ok(Some(resource).filter(|_| readable));
            }
            _ => return Err(violation("resource", format!("{text:?} is no resource name")).into()),
        };
        let known = maybe(self.ports.store.get(&name).await)?;
        let readable = known.map(|environment| Resource::from(&environment)).filter(|resource| access.reads(resource));
        Ok(Some(readable.unwrap_or(Resource::Environment { name, attributes: None })))
    }
}

/// Somebody else, as an administrator describes it.
fn principal(subject: v1::Principal) -> Result<Principal, Error> {
    let customer = match subject.customer.as_str() {
        "" => None,
        name => Some(name::customer(name)?),
    };
    Ok(Principal {
        name: subject.name,
        groups: subject.groups.into_iter().collect(),
        customer,
        method: AuthMethod::Token,
        expire_time: None,
    })
}

#[tonic::async_trait]
impl v1::auth_service_server::AuthService for Auth {
    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let access = Access::of(request.extensions())?;
        let principal = access.principal();
        let customer = principal.customer.as_ref().map(|id| format!("customers/{id}"));
        Ok(Response::new(v1::WhoAmIResponse {
            principal: Some(v1::Principal {
                name: principal.name.clone(),
                groups: principal.groups.iter().cloned().collect(),
                customer: customer.unwrap_or_default(),
            }),
            method: principal.method.as_str().into(),
        }))
    }

    async fn check_access(
        &self,
        request: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        let access = Access::of(request.extensions())?;
        Ok(Response::new(self.check(&access, request.into_inner()).await?))
    }
}
