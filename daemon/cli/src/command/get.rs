//! `get`, `events` and `plugins`: lists and single objects.

use landlord_proto::{
    google::longrunning::{GetOperationRequest, ListOperationsRequest, Operation},
    v1,
};
use serde_json::{Value, json};

use super::metadata;
use crate::{
    arguments::{Get, Output},
    client::Client,
    error::Error,
    name,
    output::{self, Column, age, text},
};

/// Items of a page.
const PAGE: i32 = 500;

const TENANT: &[Column<'_>] = &[
    ("CUSTOMER", false, |tenant| part(tenant, 1)),
    ("TENANT", false, |tenant| part(tenant, 3)),
    ("STATE", false, |tenant| text(tenant, "state")),
    ("CLASS", false, |tenant| text(&tenant["placement"], "class")),
    ("PROVIDER", false, |tenant| text(&tenant["placement"], "provider")),
    ("REGION", false, |tenant| text(&tenant["placement"], "region")),
    ("DOMAIN", true, |tenant| text(tenant, "domain")),
    ("STORAGE", true, |tenant| format!("{}Gi", text(tenant, "storageGib"))),
    ("GENERATION", true, |tenant| {
        format!("{}/{}", text(tenant, "observedGeneration"), text(tenant, "generation"))
    }),
    ("UID", true, |tenant| text(tenant, "uid")),
    ("AGE", false, |tenant| age(tenant, "createTime")),
];

const OPERATION: &[Column<'_>] = &[
    ("NAME", false, |operation| text(operation, "name")),
    ("KIND", false, |operation| text(&operation["metadata"], "kind")),
    ("TENANT", false, |operation| text(&operation["metadata"], "tenant")),
    ("STATE", false, operation_state),
    ("AGE", false, |operation| age(&operation["metadata"], "createTime")),
    ("MESSAGE", true, |operation| text(&operation["error"], "message")),
];

const PROVIDER: &[Column<'_>] = &[
    ("NAME", false, |provider| text(provider, "name")),
    ("VERSION", false, |provider| text(provider, "version")),
    ("HEALTHY", false, |provider| text(provider, "healthy")),
    ("RESTARTS", false, |provider| text(provider, "restartCount")),
    ("DETAIL", false, |provider| text(provider, "detail")),
    ("PID", true, |provider| text(provider, "pid")),
    ("SHA256", true, |provider| text(provider, "sha256")),
    ("PATH", true, |provider| text(provider, "path")),
];

const EVENT: &[Column<'_>] = &[
    ("TIME", false, |event| text(event, "eventTime")),
    ("REASON", false, |event| text(event, "reason")),
    ("STAGE", false, |event| text(event, "stage")),
    ("MESSAGE", false, |event| text(event, "message")),
];

fn part(tenant: &Value, index: usize) -> String {
    text(tenant, "name").split('/').nth(index).unwrap_or_default().to_owned()
}

fn operation_state(operation: &Value) -> String {
    match (operation["done"].as_bool(), operation["error"].is_object()) {
        (Some(true), true) => "FAILED".into(),
        (Some(true), false) => "DONE".into(),
        _ => "RUNNING".into(),
    }
}

pub(crate) async fn run(client: &mut Client, get: Get) -> Result<(), Error> {
    match (get.what.as_str(), get.name.as_deref()) {
        ("tenants" | "tenant", None) => tenants(client, &get).await,
        ("operations" | "operation", None) => operations(client, &get).await,
        ("providers" | "provider" | "plugins", _) => providers(client, get.output).await,
        ("tenant" | "tenants", Some(name)) => tenant(client, name, get.output).await,
        ("operation" | "operations", Some(name)) => {
            let name = name.strip_prefix("operations/").unwrap_or(name);
            operation(client, &format!("operations/{name}"), get.output).await
        }
        (what, None) if what.starts_with("operations/") => {
            operation(client, what, get.output).await
        }
        (what, None) if what.contains('/') => tenant(client, what, get.output).await,
        (what, _) => Err(Error::Usage(format!(
            "{what:?} is nothing to get; get tenants, operations, providers, or a tenant by its name"
        ))),
    }
}

async fn tenant(client: &mut Client, text: &str, form: Output) -> Result<(), Error> {
    let request = v1::GetTenantRequest { name: name::tenant(text)? };
    let tenant = client.tenants.get_tenant(request).await?.into_inner();
    output::items(form, &[output::json(&tenant)?], TENANT, true)
}

async fn tenants(client: &mut Client, get: &Get) -> Result<(), Error> {
    let mut items = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListTenantsRequest {
            parent: name::parent(get.customer.as_deref()),
            page_size: PAGE,
            page_token,
            filter: get.filter.clone(),
        };
        let page = client.tenants.list_tenants(request).await?.into_inner();
        for tenant in &page.tenants {
            items.push(output::json(tenant)?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::items(get.output, &items, TENANT, false)
}

/// The metadata and response of an operation are of types that the client knows.
pub(crate) fn operation_json(operation: &Operation) -> Result<Value, Error> {
    use landlord_proto::google::longrunning::operation::Result as Ended;
    let mut value = json!({
        "name": operation.name,
        "done": operation.done,
        "metadata": output::json(&metadata(operation))?,
    });
    match &operation.result {
        Some(Ended::Error(error)) => {
            value["error"] = json!({"code": error.code, "message": error.message});
        }
        Some(Ended::Response(any)) => {
            value["response"] = if any.type_url.ends_with("DeleteTenantResponse") {
                output::json(&any.to_msg::<v1::DeleteTenantResponse>().unwrap_or_default())?
            } else {
                output::json(&any.to_msg::<v1::Tenant>().unwrap_or_default())?
            };
        }
        None => {}
    }
    Ok(value)
}

async fn operation(client: &mut Client, name: &str, form: Output) -> Result<(), Error> {
    let request = GetOperationRequest { name: name.to_owned() };
    let operation = client.operations.get_operation(request).await?.into_inner();
    output::items(form, &[operation_json(&operation)?], OPERATION, true)
}

async fn operations(client: &mut Client, get: &Get) -> Result<(), Error> {
    let request = ListOperationsRequest {
        name: "operations".into(),
        filter: get.filter.clone(),
        page_size: PAGE,
        ..Default::default()
    };
    let page = client.operations.list_operations(request).await?.into_inner();
    let items = page.operations.iter().map(operation_json).collect::<Result<Vec<_>, _>>()?;
    output::items(get.output, &items, OPERATION, false)
}

pub(crate) async fn providers(client: &mut Client, form: Output) -> Result<(), Error> {
    let page = client.providers.list_providers(v1::ListProvidersRequest::default()).await?;
    let items =
        page.into_inner().providers.iter().map(output::json).collect::<Result<Vec<_>, _>>()?;
    output::items(form, &items, PROVIDER, false)
}

pub(crate) async fn events(client: &mut Client, name: &str, form: Output) -> Result<(), Error> {
    let mut items = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListTenantEventsRequest {
            parent: name.to_owned(),
            page_size: PAGE,
            page_token,
        };
        let page = client.tenants.list_tenant_events(request).await?.into_inner();
        for event in &page.events {
            items.push(output::json(event)?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::items(form, &items, EVENT, false)
}
