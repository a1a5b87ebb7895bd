//! Tenant classes: what can be ordered, and what an order says.

use landlord_proto::v1;
use serde_json::Value;

use super::pages::{PAGE, all};
use crate::{
    arguments::Output,
    client::Client,
    error::Error,
    output::{self, Column, text, words},
};

const CLASS: &[Column<'_>] = &[
    ("NAME", false, |class| text(class, "name").trim_start_matches("tenantClasses/").to_owned()),
    ("LEVEL", false, |class| text(class, "level")),
    ("PROVIDER", false, |class| text(class, "provider")),
    ("REGIONS", false, |class| words(&class["regions"])),
    ("STACK", false, |class| text(class, "stack")),
    ("REQUIRED", true, required),
    ("DESCRIPTION", false, |class| text(class, "description")),
];

/// What an order must say.
fn required(class: &Value) -> String {
    let parameters = class["parameters"].as_array().into_iter().flatten();
    let required = parameters.filter(|parameter| parameter["required"] == true);
    required.map(|parameter| text(parameter, "field")).collect::<Vec<_>>().join(",")
}

pub(super) async fn list(client: &mut Client, filter: &str, form: Output) -> Result<(), Error> {
    let items = all(async |page_token| {
        let filter = filter.to_owned();
        let request = v1::ListTenantClassesRequest { page_size: PAGE, page_token, filter, ..Default::default() };
        let page = client.classes.list_tenant_classes(request).await?.into_inner();
        Ok((page.tenant_classes, page.next_page_token))
    })
    .await?;
    if items.is_empty() {
        super::remark("no classes found");
    }
    output::items(form, &items, CLASS, false)
}

pub(super) async fn get(client: &mut Client, name: &str, form: Output) -> Result<(), Error> {
    let id = name.trim_start_matches("tenantClasses/");
    let request = v1::GetTenantClassRequest { name: format!("tenantClasses/{id}") };
    let class = client.classes.get_tenant_class(request).await?.into_inner();
    output::items(form, &[output::json(&class)?], CLASS, true)
}
