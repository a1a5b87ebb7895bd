//! `delete`, and what it removed.

use std::time::Duration;

use landlord_proto::{google::longrunning::operation::Result as Ended, v1};
use serde_json::Value;

use super::wait;
use crate::{
    arguments::{Delete, Output},
    client::Client,
    connection::Connection,
    error::Error,
    name::{self, Target},
    output::{self, Column, text},
};

const REMOVED: &[Column<'_>] = &[
    ("TYPE", false, |object| text(object, "type")),
    ("ID", false, |object| text(object, "id")),
    ("NAME", false, |object| text(object, "displayName")),
];

pub(crate) async fn run(server: &Connection, delete: Delete, customer: Option<&str>) -> Result<(), Error> {
    let target = name::target(&delete.name, customer)?;
    let mut client = Client::connect(server).await?;
    let (etag, force, request_id) = (delete.etag, delete.force, uuid::Uuid::new_v4().to_string());
    let (name, operation) = match target {
        Target::Tenant(name) => {
            let request = v1::DeleteTenantRequest { name: name.clone(), etag, force, request_id, validate_only: false };
            (name, client.tenants.delete_tenant(request).await?.into_inner())
        }
        Target::Host(name) => {
            let request =
                v1::DeleteHostClusterRequest { name: name.clone(), etag, force, request_id, validate_only: false };
            (name, client.hosts.delete_host_cluster(request).await?.into_inner())
        }
    };
    if !delete.wait {
        return output::print(&format!("{name} deleting ({})", operation.name));
    }
    gone(&mut client, &name, &operation.name, delete.timeout, delete.output).await
}

/// Waits for a delete, and prints what was removed.
pub(super) async fn gone(
    client: &mut Client,
    name: &str,
    operation: &str,
    timeout: Duration,
    form: Output,
) -> Result<(), Error> {
    let ended = wait::operation(client, operation, timeout).await?;
    let Some(Ended::Response(any)) = ended.result else { return Ok(()) };
    let objects = match name.starts_with("hostClusters/") {
        true => any.to_msg::<v1::DeleteHostClusterResponse>().unwrap_or_default().removed,
        false => any.to_msg::<v1::DeleteTenantResponse>().unwrap_or_default().removed,
    };
    let removed: Vec<Value> = objects.iter().map(output::json).collect::<Result<_, _>>()?;
    super::remark(&format!("{name} is gone; {} objects were removed:", removed.len()));
    output::items(form, &removed, REMOVED, false)
}
