//! `delete`, and what it removed.

use landlord_proto::{google::longrunning::operation::Result as Ended, v1};
use serde_json::Value;

use super::wait;
use crate::{
    arguments::Delete,
    client::Client,
    error::Error,
    name,
    output::{self, Column, text},
};

const REMOVED: &[Column<'_>] = &[
    ("TYPE", false, |object| text(object, "type")),
    ("ID", false, |object| text(object, "id")),
    ("NAME", false, |object| text(object, "displayName")),
];

pub(crate) async fn run(server: &str, delete: Delete, customer: Option<&str>) -> Result<(), Error> {
    let name = name::tenant(&delete.name, customer)?;
    let mut client = Client::connect(server).await?;
    let request = v1::DeleteTenantRequest {
        name: name.clone(),
        etag: delete.etag,
        force: delete.force,
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only: false,
    };
    let operation = client.tenants.delete_tenant(request).await?.into_inner();
    if !delete.wait {
        return output::print(&format!("{name} deleting ({})", operation.name));
    }
    let ended = wait::operation(&mut client, &operation.name, delete.timeout).await?;
    let Some(Ended::Response(any)) = ended.result else { return Ok(()) };
    let response: v1::DeleteTenantResponse = any.to_msg().unwrap_or_default();
    let removed: Vec<Value> = response.removed.iter().map(output::json).collect::<Result<_, _>>()?;
    super::remark(&format!("{name} is gone; {} objects were removed:", removed.len()));
    output::items(delete.output, &removed, REMOVED, false)
}
