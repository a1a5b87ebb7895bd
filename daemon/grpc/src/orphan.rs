//! OrphanService: what a cloud holds for tenants that have no record, shown and removed.

use landlord_core::{
    Catalog, Orphan, TenantUid, Violation, Violations,
    access::Resource,
    environment::ORPHANS,
    ports::{Accepted, RequestContext, RequestScope, StoreError},
};
use landlord_proto::{google::longrunning::Operation, v1};
use tonic::{Request, Response, Status};

use crate::{
    accept::{self, Write},
    access::Access,
    convert,
    error::{Error, violation},
    list::{
        filter::{Field, Value},
        in_memory::{InMemory, Wanted},
        scan::Item,
    },
    ports::Ports,
};

/// Fields that a filter or an order can name.
const FIELDS: [Field; 4] =
    [Field::text("name"), Field::text("provider"), Field::text("credentials"), Field::text("region")];

/// OrphanService.
pub(crate) struct Orphans {
    pub(crate) ports: Ports,
}

impl Item for v1::Orphan {
    fn position(&self) -> String {
        self.name.clone()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "name" => Value::text(self.name.as_str()),
            "provider" => Value::text(self.provider.as_str()),
            "credentials" => Value::text(self.credentials.as_str()),
            "region" => Value::text(self.region.as_str()),
            _ => Value::Absent,
        }
    }
}

/// One for each uid, with the objects of all regions.
fn merged(all: Vec<Orphan>) -> Vec<v1::Orphan> {
    let mut merged: Vec<v1::Orphan> = Vec::new();
    for orphan in all {
        let name = format!("orphans/{}", orphan.uid);
        let objects = orphan.objects.into_iter();
        let objects =
            objects.map(|object| v1::RemovedObject { r#type: object.r#type, id: object.id, display_name: object.name });
        match merged.iter_mut().find(|known| known.name == name) {
            Some(known) => known.objects.extend(objects),
            None => merged.push(v1::Orphan {
                name,
                provider: orphan.key.provider.to_string(),
                credentials: orphan.key.credentials,
                region: orphan.region,
                objects: objects.collect(),
                found_time: Some(convert::timestamp(orphan.found_time)),
            }),
        }
    }
    merged
}

async fn list(ports: &Ports, request: &v1::ListOrphansRequest) -> Result<v1::ListOrphansResponse, Error> {
    let wanted = Wanted {
        filter: &request.filter,
        order_by: &request.order_by,
        size: request.page_size,
        token: &request.page_token,
    };
    let list = InMemory::parse("orphans", &FIELDS, wanted, &ports.tokens)?;
    let orphans = merged(ports.store.orphans().await?);
    let (orphans, next_page_token) = list.page(&orphans).await?;
    Ok(v1::ListOrphansResponse { orphans, next_page_token })
}

#[tonic::async_trait]
impl Write for v1::DeleteOrphanRequest {
    const METHOD: &'static str = "DeleteOrphan";
    type Change = TenantUid;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    /// The store checks among the requests of the customer that stands for orphans.
    fn scope(&self) -> Option<RequestScope> {
        ORPHANS.parse().ok().map(RequestScope::Customer)
    }

    fn parent(&self, _: &Catalog) -> Option<Resource> {
        Some(Resource::Installation)
    }

    async fn check(&self, _: &Ports, mut violations: Vec<Violation>) -> Result<TenantUid, Error> {
        if !self.etag.is_empty() {
            violations.push(violation("etag", "must be empty: orphans have no versions"));
        }
        let uid = self.name.strip_prefix("orphans/").and_then(|uid| uid.parse().ok());
        match uid {
            Some(uid) if violations.is_empty() => Ok(uid),
            Some(_) => Err(Violations(violations).into()),
            None => {
                violations.push(violation("name", format!("{:?} must have the form orphans/{{uuid}}", self.name)));
                Err(Violations(violations).into())
            }
        }
    }

    async fn dry_run(&self, ports: &Ports, uid: &TenantUid) -> Result<(), Error> {
        let known = ports.store.orphans().await?.iter().any(|orphan| orphan.uid == *uid);
        if known { Ok(()) } else { Err(StoreError::NotFound(self.name.clone()).into()) }
    }

    async fn commit(&self, ports: &Ports, uid: TenantUid, request: RequestContext) -> Result<Accepted, Error> {
        Ok(ports.store.delete_orphan(uid, self.force, request).await?)
    }
}

#[tonic::async_trait]
impl v1::orphan_service_server::OrphanService for Orphans {
    async fn list_orphans(
        &self,
        request: Request<v1::ListOrphansRequest>,
    ) -> Result<Response<v1::ListOrphansResponse>, Status> {
        let ports = Access::of(request.extensions())?.guard(&self.ports);
        Ok(Response::new(list(&ports, request.get_ref()).await?))
    }

    async fn delete_orphan(&self, request: Request<v1::DeleteOrphanRequest>) -> Result<Response<Operation>, Status> {
        accept::run(&self.ports, request).await
    }
}
