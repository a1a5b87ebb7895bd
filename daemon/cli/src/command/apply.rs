//! `apply`: creates what does not exist, changes what differs.

use landlord_proto::{google::longrunning::Operation, v1};
use tonic::Code;

use super::wait;
use crate::{
    arguments::Apply,
    client::Client,
    error::Error,
    file::{self, TenantFile},
    output,
};

pub(crate) async fn run(server: &str, apply: Apply) -> Result<(), Error> {
    let tenants = file::read(&apply.file)?;
    if apply.request_id.is_some() && tenants.len() > 1 {
        return Err(Error::Usage("--request-id is for a file with one tenant".into()));
    }
    let mut client = Client::connect(server).await?;
    let mut running = Vec::new();
    for tenant in tenants {
        let name = tenant.tenant.name.clone();
        let (verb, operation) = one(&mut client, tenant, &apply).await?;
        let dry = if apply.dry_run { " (dry run)" } else { "" };
        output::print(&format!("{name} {verb}{dry}"))?;
        if let Some(operation) = operation.filter(|_| !apply.dry_run) {
            running.push(operation.name);
        }
    }
    if apply.wait {
        for operation in running {
            wait::operation(&mut client, &operation, apply.timeout).await?;
        }
    }
    Ok(())
}

async fn one(
    client: &mut Client,
    wanted: TenantFile,
    apply: &Apply,
) -> Result<(&'static str, Option<Operation>), Error> {
    let request_id = apply.request_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let get = v1::GetTenantRequest { name: wanted.tenant.name.clone() };
    let current = match client.tenants.get_tenant(get).await {
        Ok(answer) if apply.request_id.is_none() => answer.into_inner(),
        Ok(_) => return create(client, wanted, request_id, apply.dry_run).await,
        Err(status) if status.code() == Code::NotFound => {
            return create(client, wanted, request_id, apply.dry_run).await;
        }
        // A name that the daemon refuses: create tells all that is wrong at once.
        Err(status) if status.code() == Code::InvalidArgument => {
            return create(client, wanted, request_id, apply.dry_run).await;
        }
        Err(status) => return Err(status.into()),
    };
    if same(&current, &wanted.tenant) {
        return Ok(("unchanged", None));
    }
    let mut tenant = wanted.tenant;
    tenant.etag.clone_from(&current.etag);
    let mask = changed(&current, &tenant);
    let request = v1::UpdateTenantRequest {
        tenant: Some(tenant),
        update_mask: Some(prost_types::FieldMask { paths: mask }),
        request_id,
        validate_only: apply.dry_run,
    };
    Ok(("configured", Some(client.tenants.update_tenant(request).await?.into_inner())))
}

async fn create(
    client: &mut Client,
    wanted: TenantFile,
    request_id: String,
    validate_only: bool,
) -> Result<(&'static str, Option<Operation>), Error> {
    let request = v1::CreateTenantRequest {
        parent: format!("customers/{}", wanted.customer),
        tenant_id: wanted.tenant_id,
        tenant: Some(wanted.tenant),
        request_id,
        validate_only,
    };
    Ok(("created", Some(client.tenants.create_tenant(request).await?.into_inner())))
}

fn same(current: &v1::Tenant, wanted: &v1::Tenant) -> bool {
    changed(current, wanted).is_empty()
}

/// Fields in which they differ; a field that the file leaves out has its default.
fn changed(current: &v1::Tenant, wanted: &v1::Tenant) -> Vec<String> {
    let differs = [
        ("display_name", current.display_name != wanted.display_name),
        ("labels", current.labels != wanted.labels),
        ("class", !wanted.class.is_empty() && current.class != wanted.class),
        ("region", !wanted.region.is_empty() && current.region != wanted.region),
        ("domain", current.domain != wanted.domain),
        ("storage_gib", current.storage_gib != wanted.storage_gib),
        ("node_count", current.node_count != wanted.node_count),
        ("stack_values", current.stack_values != wanted.stack_values),
        ("deletion_protection", current.deletion_protection != wanted.deletion_protection),
        ("paused", current.paused != wanted.paused),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()).collect()
}
