//! `apply`: creates what does not exist, changes what differs.

use landlord_proto::v1;
use tonic::Code;

use super::{host, wait};
use crate::{
    arguments::{Apply, Output},
    client::Client,
    connection::Connection,
    error::Error,
    file::{self, Document, TenantFile},
    output,
};

pub(crate) async fn run(server: &Connection, apply: Apply) -> Result<(), Error> {
    let documents = file::read(&apply.file)?;
    if apply.request_id.is_some() && documents.len() > 1 {
        return Err(Error::Usage("--request-id is for a file with one document".into()));
    }
    let mut client = Client::connect(server).await?;
    let mut running = Vec::new();
    for document in documents {
        let operation = match document {
            Document::Tenant(tenant) => {
                let wanted = tenant.tenant.clone();
                let (verb, operation) = one(&mut client, *tenant, &apply).await?;
                show(&mut client, wanted, verb, &apply).await?;
                operation
            }
            Document::Host(wanted) => {
                let request_id = apply.request_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
                let shown = wanted.host_cluster.clone();
                let (verb, operation) = host::apply(&mut client, *wanted, request_id, apply.dry_run).await?;
                show_host(&mut client, shown, verb, &apply).await?;
                operation
            }
        };
        running.extend(operation.filter(|_| !apply.dry_run));
    }
    if apply.wait {
        for operation in running {
            wait::operation(&mut client, &operation, apply.timeout).await?;
        }
    }
    Ok(())
}

async fn show_host(client: &mut Client, wanted: v1::HostCluster, verb: &str, apply: &Apply) -> Result<(), Error> {
    if matches!(apply.output, Output::Table | Output::Wide) {
        let dry = if apply.dry_run { " (dry run)" } else { "" };
        return output::print(&format!("{} {verb}{dry}", wanted.name));
    }
    let host = if apply.dry_run { wanted } else { host::get(client, &wanted.name).await? };
    output::items(apply.output, &[output::json(&host)?], &[], true)
}

async fn show(client: &mut Client, wanted: v1::Tenant, verb: &str, apply: &Apply) -> Result<(), Error> {
    if matches!(apply.output, Output::Table | Output::Wide) {
        let dry = if apply.dry_run { " (dry run)" } else { "" };
        return output::print(&format!("{} {verb}{dry}", wanted.name));
    }
    let tenant = if apply.dry_run {
        wanted
    } else {
        client.tenants.get_tenant(v1::GetTenantRequest { name: wanted.name }).await?.into_inner()
    };
    output::items(apply.output, &[output::json(&tenant)?], &[], true)
}

/// Applies one tenant: what was done, and the name of the operation that may still be at work.
async fn one(client: &mut Client, wanted: TenantFile, apply: &Apply) -> Result<(&'static str, Option<String>), Error> {
    let request_id = apply.request_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let get = v1::GetTenantRequest { name: wanted.tenant.name.clone() };
    let current = match client.tenants.get_tenant(get).await {
        Ok(response) if apply.request_id.is_none() => response.into_inner(),
        Ok(_) => return create(client, wanted, request_id, apply.dry_run).await,
        Err(status) if status.code() == Code::NotFound => {
            return create(client, wanted, request_id, apply.dry_run).await;
        }
        // A name that the daemon refuses: create names all that is wrong at once.
        Err(status) if status.code() == Code::InvalidArgument => {
            return create(client, wanted, request_id, apply.dry_run).await;
        }
        Err(status) => return Err(status.into()),
    };
    let mut tenant = wanted.tenant;
    tenant.etag.clone_from(&current.etag);
    let mask = changed(&current, &tenant);
    if !current.class_differences.is_empty() {
        let (name, fields) = (&current.name, current.class_differences.join(", "));
        super::remark(&format!(
            "{name} keeps what it was built with, though its class says something else by now: {fields}"
        ));
    }
    if mask.is_empty() {
        return Ok(("unchanged", Some(current.latest_operation)));
    }
    let request = v1::UpdateTenantRequest {
        tenant: Some(tenant),
        update_mask: Some(prost_types::FieldMask { paths: mask }),
        request_id,
        validate_only: apply.dry_run,
    };
    Ok(("configured", Some(client.tenants.update_tenant(request).await?.into_inner().name)))
}

async fn create(
    client: &mut Client,
    wanted: TenantFile,
    request_id: String,
    validate_only: bool,
) -> Result<(&'static str, Option<String>), Error> {
    let request = v1::CreateTenantRequest {
        parent: format!("customers/{}", wanted.customer),
        tenant_id: wanted.tenant_id,
        tenant: Some(wanted.tenant),
        request_id,
        validate_only,
        ..Default::default()
    };
    Ok(("created", Some(client.tenants.create_tenant(request).await?.into_inner().name)))
}

/// Fields in which they differ; a field that the file leaves out has its default.
fn changed(current: &v1::Tenant, wanted: &v1::Tenant) -> Vec<String> {
    let placement = current.placement.clone().unwrap_or_default();
    // Naming what the placement rules chose is no change.
    let moves = |wanted: &str, named: &str, placed: &str| {
        !wanted.is_empty() && wanted != named && !(named.is_empty() && wanted == placed)
    };
    let differs = [
        ("display_name", current.display_name != wanted.display_name),
        ("labels", current.labels != wanted.labels),
        ("tenantClass", moves(&wanted.tenant_class, &current.tenant_class, &placement.tenant_class)),
        ("region", moves(&wanted.region, &current.region, &placement.region)),
        ("domain", current.domain != wanted.domain),
        ("storage_gib", current.storage_gib != wanted.storage_gib),
        ("node_count", current.node_count != wanted.node_count),
        ("stack_values", current.stack_values != wanted.stack_values),
        ("deletion_protection", current.deletion_protection != wanted.deletion_protection),
        ("paused", current.paused != wanted.paused),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()).collect()
}
