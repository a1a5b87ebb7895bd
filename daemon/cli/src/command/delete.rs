//! `delete`, and what it removed.

use landlord_proto::{google::longrunning::operation::Result as Ended, v1};
use serde_json::Value;

use super::wait;
use crate::{
    arguments::Delete,
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
    let ended = wait::operation(&mut client, &operation.name, delete.timeout).await?;
    let Some(Ended::Response(any)) = ended.result else { return Ok(()) };
    let objects = match name.starts_with("hostClusters/") {
        true => any.to_msg::<v1::DeleteHostClusterResponse>().unwrap_or_default().removed,
        false => any.to_msg::<v1::DeleteTenantResponse>().unwrap_or_default().removed,
    };
    let removed: Vec<Value> = objects.iter().map(output::json).collect::<Result<_, _>>()?;
    super::remark(&format!("{name} is gone; {} objects were removed:", removed.len()));
    output::items(delete.output, &removed, REMOVED, false)
}
