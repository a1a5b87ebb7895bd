//! DiffTenant: what UpdateTenantRevision would change of a tenant's objects. Changes nothing.

use landlord_core::ports::{FieldDiff, ObjectDiff};
use landlord_proto::v1;

use crate::{error::Error, list::environment::class_differences, name, ports::Ports};

pub(super) async fn diff(ports: &Ports, request: &v1::DiffTenantRequest) -> Result<v1::DiffTenantResponse, Error> {
    let name = name::tenant("name", &request.name)?;
    let tenant = ports.store.get(&name.into()).await?;
    let objects = ports.diff.diff(&tenant).await?;
    Ok(v1::DiffTenantResponse {
        class_differences: class_differences(&ports.catalog.now(), &tenant),
        objects: objects.into_iter().map(object).collect(),
    })
}

fn object(object: ObjectDiff) -> v1::ObjectDiff {
    let ObjectDiff { app, kind, name, change, fields } = object;
    v1::ObjectDiff { app, kind, name, change, fields: fields.into_iter().map(field).collect() }
}

fn field(field: FieldDiff) -> v1::FieldDiff {
    v1::FieldDiff { path: field.path, live: field.live, offered: field.offered }
}
