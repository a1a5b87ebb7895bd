//! `get`, `events` and `plugins`: lists and single objects.

use std::collections::BTreeMap;

use landlord_proto::{
    google::longrunning::{GetOperationRequest, ListOperationsRequest, Operation},
    v1,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    class, customer, host, metadata,
    pages::{PAGE, all_tenants, each, show, tenant_page},
    watch,
};
use crate::{
    arguments::{Get, Output},
    client::Client,
    error::Error,
    name::{self, Target},
    output::{self, Column, age, text, words},
};

const TENANT: &[Column<'_>] = &[
    ("CUSTOMER", false, |tenant| part(tenant, 1)),
    ("TENANT", false, |tenant| part(tenant, 3)),
    ("STATE", false, |tenant| text(tenant, "state")),
    ("CLASS", false, |tenant| text(&tenant["placement"], "tenantClass")),
    ("PROVIDER", false, |tenant| text(&tenant["placement"], "provider")),
    ("REGION", false, |tenant| text(&tenant["placement"], "region")),
    ("LEVEL", true, |tenant| text(&tenant["placement"], "level")),
    ("HOST", true, |tenant| text(&tenant["placement"], "hostCluster").replace("hostClusters/", "")),
    ("DOMAIN", true, |tenant| text(tenant, "domain")),
    ("STORAGE", true, |tenant| format!("{}Gi", text(tenant, "storageGib"))),
    ("GENERATION", true, |tenant| format!("{}/{}", text(tenant, "observedGeneration"), text(tenant, "generation"))),
    ("CLASS DIFFERS", true, |tenant| words(&tenant["classDifferences"])),
    ("UID", true, |tenant| text(tenant, "uid")),
    ("AGE", false, |tenant| age(tenant, "createTime")),
];

const OPERATION: &[Column<'_>] = &[
    ("NAME", false, |operation| text(operation, "name")),
    ("KIND", false, |operation| text(&operation["metadata"], "kind")),
    ("OF", false, operation_of),
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

const DAEMON: &[Column<'_>] = &[
    ("NAME", false, |daemon| text(daemon, "name")),
    ("HOST", false, |daemon| text(daemon, "host")),
    ("VERSION", false, |daemon| text(daemon, "version")),
    ("ENVIRONMENTS", false, |daemon| text(daemon, "environmentLeaseCount")),
    ("ACCOUNTS", false, |daemon| text(daemon, "accountLeaseCount")),
    ("SEEN", false, |daemon| age(daemon, "heardTime")),
    ("AGE", false, |daemon| age(daemon, "startTime")),
    ("PID", true, |daemon| text(daemon, "pid")),
    ("ANSWERING", true, |daemon| text(daemon, "answering")),
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

fn operation_of(operation: &Value) -> String {
    let metadata = &operation["metadata"];
    let tenant = text(metadata, "tenant");
    if tenant.is_empty() { text(metadata, "hostCluster") } else { tenant }
}

fn operation_state(operation: &Value) -> String {
    match (operation["done"].as_bool(), operation["error"].is_object()) {
        (Some(true), true) => "FAILED".into(),
        (Some(true), false) => "DONE".into(),
        _ => "RUNNING".into(),
    }
}

pub(crate) async fn run(client: &mut Client, get: Get, own: Option<&str>) -> Result<(), Error> {
    let own = own.filter(|_| !get.all_customers);
    match (get.what.as_str(), get.name.as_deref()) {
        ("tenants" | "tenant", None) => tenants(client, &get, own).await,
        ("hostclusters" | "hostcluster", None) => host::list(client, &get.filter, get.output).await,
        ("hostclusters" | "hostcluster", Some(name)) => host(client, &name::host(name)?, get.output).await,
        ("customers", None) => customer::list(client, &get.filter, get.output).await,
        ("customers" | "customer", Some(name)) => customer::get(client, name, get.output).await,
        ("classes" | "class" | "tenantclasses", None) => class::list(client, &get.filter, get.output).await,
        ("classes" | "class" | "tenantclass", Some(name)) => class::get(client, name, get.output).await,
        ("operations" | "operation", None) => operations(client, &get, get.filter.clone()).await,
        ("providers" | "provider" | "plugins", None) => providers(client, get.output).await,
        ("daemons" | "daemon", None) => daemons(client, &get).await,
        ("provider" | "providers", Some(name)) => provider(client, name, get.output).await,
        ("tenant" | "tenants", Some(name)) => tenant(client, name, own, get.output).await,
        ("operation" | "operations", Some(name)) if name.contains('/') && !name.starts_with("operations/") => {
            let of = match name::target(&[name.to_owned()], own)? {
                Target::Tenant(name) => format!("tenant = \"{name}\""),
                Target::Host(name) => format!("host_cluster = \"{name}\""),
            };
            operations(client, &get, super::narrowed(of, &get.filter)).await
        }
        ("operation" | "operations", Some(name)) => {
            let name = name.strip_prefix("operations/").unwrap_or(name);
            operation(client, &format!("operations/{name}"), get.output).await
        }
        (what, None) if what.starts_with("operations/") => operation(client, what, get.output).await,
        (what, None) if what.starts_with("providers/") => provider(client, what, get.output).await,
        (what, None) if what.contains('/') => match name::target(&[what.to_owned()], own)? {
            Target::Tenant(name) => tenant(client, &name, own, get.output).await,
            Target::Host(name) => host(client, &name, get.output).await,
        },
        (what, _) => Err(Error::Usage(format!(
            "{what:?} is nothing to get; get tenants, hostclusters, customers, classes, operations, providers, daemons, or a tenant by its name"
        ))),
    }
}

async fn tenant(client: &mut Client, text: &str, customer: Option<&str>, form: Output) -> Result<(), Error> {
    let request = v1::GetTenantRequest { name: name::tenant(text, customer)? };
    let tenant = client.tenants.get_tenant(request).await?.into_inner();
    output::items(form, &[output::json(&tenant)?], TENANT, true)
}

async fn host(client: &mut Client, name: &str, form: Output) -> Result<(), Error> {
    output::items(form, &[output::json(&host::get(client, name).await?)?], host::HOST, true)
}

async fn tenants(client: &mut Client, get: &Get, customer: Option<&str>) -> Result<(), Error> {
    let parent = name::parent(customer);
    if !get.watch {
        return list_tenants(client, &parent, get).await;
    }
    // Known before the list is read, so that no change falls between.
    let since = watch::newest(client, &parent).await?;
    let items = all_tenants(client, &parent, &get.filter).await?;
    if items.is_empty() {
        super::remark("no tenants found");
    }
    let form = if get.output == Output::Json { Output::Jsonl } else { get.output };
    output::items(form, &items, TENANT, false)?;
    let mut shown: BTreeMap<String, Value> = items.into_iter().map(|t| (text(&t, "name"), t)).collect();
    let filter = get.filter.as_str();
    watch::events(client, watch::Watched::Tenants(parent), since, async |client, event| {
        let now = present(client, &event.name, filter).await?;
        if shown.get(&event.name) == now.as_ref() {
            return Ok(());
        }
        let row = match now {
            Some(now) => {
                shown.insert(event.name.clone(), now.clone());
                now
            }
            None => match shown.remove(&event.name) {
                Some(mut last) => {
                    last["state"] = "GONE".into();
                    last
                }
                None => return Ok(()),
            },
        };
        output::rows(form, &[row], TENANT)
    })
    .await
}

async fn list_tenants(client: &mut Client, parent: &str, get: &Get) -> Result<(), Error> {
    let shown = show((get.output, TENANT), async |page_token| {
        let page = tenant_page(client, parent, &get.filter, page_token).await?;
        Ok((page.tenants, page.next_page_token))
    });
    if shown.await? == 0 {
        super::remark("no tenants found");
    }
    Ok(())
}

/// A tenant as it is now, if it is there and within the filter.
async fn present(client: &mut Client, name: &str, filter: &str) -> Result<Option<Value>, Error> {
    let request = v1::GetTenantRequest { name: name.to_owned() };
    let tenant = match client.tenants.get_tenant(request).await {
        Ok(response) => response.into_inner(),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(status.into()),
    };
    if filter.is_empty() {
        return output::json(&tenant).map(Some);
    }
    let parent = name.split("/tenants/").next().unwrap_or_default();
    let all = all_tenants(client, parent, filter).await?;
    Ok(all.into_iter().find(|tenant| text(tenant, "name") == name))
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
            value["response"] = match any.type_url.rsplit('.').next().unwrap_or_default() {
                "DeleteTenantResponse" => output::json(&any.to_msg::<v1::DeleteTenantResponse>().unwrap_or_default())?,
                "DeleteHostClusterResponse" => {
                    output::json(&any.to_msg::<v1::DeleteHostClusterResponse>().unwrap_or_default())?
                }
                "HostCluster" => output::json(&any.to_msg::<v1::HostCluster>().unwrap_or_default())?,
                _ => output::json(&any.to_msg::<v1::Tenant>().unwrap_or_default())?,
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

async fn operations(client: &mut Client, get: &Get, filter: String) -> Result<(), Error> {
    let mut list = output::Listing::new(get.output, OPERATION);
    let page = async |page_token| {
        let request = ListOperationsRequest {
            name: "operations".into(),
            filter: filter.clone(),
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        let page = client.operations.list_operations(request).await?.into_inner();
        Ok((page.operations, page.next_page_token))
    };
    each(page, |operations: Vec<Operation>| {
        list.page(&operations.iter().map(operation_json).collect::<Result<Vec<_>, _>>()?)
    })
    .await?;
    if list.end()? == 0 {
        super::remark("no operations found");
    }
    Ok(())
}

async fn daemons(client: &mut Client, get: &Get) -> Result<(), Error> {
    let page = async |page_token| {
        let request = v1::ListDaemonsRequest { filter: get.filter.clone(), page_token, ..Default::default() };
        let page = client.daemons.list_daemons(request).await?.into_inner();
        Ok((page.daemons, page.next_page_token))
    };
    show((get.output, DAEMON), page).await.map(|_| ())
}

async fn provider(client: &mut Client, text: &str, form: Output) -> Result<(), Error> {
    let id = text.strip_prefix("providers/").unwrap_or(text);
    let request = v1::GetProviderRequest { name: format!("providers/{id}") };
    let provider = client.providers.get_provider(request).await?.into_inner();
    output::items(form, &[output::json(&provider)?], PROVIDER, true)
}

pub(crate) async fn providers(client: &mut Client, form: Output) -> Result<(), Error> {
    let page = client.providers.list_providers(v1::ListProvidersRequest::default()).await?;
    let items = page.into_inner().providers.iter().map(output::json).collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() {
        super::remark("no providers are configured ([providers] in landlord.toml)");
    }
    output::items(form, &items, PROVIDER, false)
}

pub(crate) async fn events(client: &mut Client, target: Target, form: Output) -> Result<(), Error> {
    let (form, page_size) = ((form, EVENT), PAGE);
    let shown = match target {
        Target::Tenant(parent) => {
            let page = async |page_token| {
                let parent = parent.clone();
                let request = v1::ListTenantEventsRequest { parent, page_size, page_token, ..Default::default() };
                let page = client.tenants.list_tenant_events(request).await?.into_inner();
                Ok((page.events, page.next_page_token))
            };
            show(form, page).await
        }
        Target::Host(parent) => {
            let page = async |page_token| {
                let parent = parent.clone();
                let request = v1::ListHostClusterEventsRequest { parent, page_size, page_token, ..Default::default() };
                let page = client.hosts.list_host_cluster_events(request).await?.into_inner();
                Ok((page.events, page.next_page_token))
            };
            show(form, page).await
        }
    };
    if shown? == 0 {
        super::remark("no events found");
    }
    Ok(())
}
