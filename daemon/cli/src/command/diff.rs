//! `diff`: what would change of a tenant's objects.

use std::fmt::Write as _;

use landlord_proto::v1;

use crate::{
    arguments::{Diff, Output},
    client::Client,
    connection::Connection,
    error::Error,
    name, output,
};

/// A line for each object, and one for each field.
pub(crate) async fn run(server: &Connection, diff: Diff, customer: Option<&str>) -> Result<(), Error> {
    let name = name::tenant(&diff.name, customer)?;
    let mut client = Client::connect(server).await?;
    let response = client.tenants.diff_tenant(v1::DiffTenantRequest { name }).await?.into_inner();
    match diff.output {
        Output::Table | Output::Wide => output::print(text(&response).trim_end()),
        other => output::items(other, &[output::json(&response)?], &[], true),
    }
}

fn text(diff: &v1::DiffTenantResponse) -> String {
    if diff.objects.is_empty() && diff.class_differences.is_empty() {
        return "nothing differs".into();
    }
    let mut text = String::new();
    for field in &diff.class_differences {
        let _ = writeln!(text, "class: {field}");
    }
    for object in &diff.objects {
        let _ = writeln!(text, "{} {} {} ({})", object.change, object.kind, object.name, object.app);
        for field in &object.fields {
            let _ = writeln!(text, "    {}: {} -> {}", field.path, field.live, field.offered);
        }
    }
    text
}
