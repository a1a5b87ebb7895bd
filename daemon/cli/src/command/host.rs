//! Host clusters: shown, ordered and adopted from files, cordoned.

use std::fmt::Write as _;

use landlord_proto::{
    google::longrunning::{GetOperationRequest, Operation},
    v1,
};
use serde_json::Value;
use tonic::Code;

use super::{
    describe,
    pages::{PAGE, all, all_tenants},
};
use crate::{
    arguments::Output,
    client::Client,
    connection::Connection,
    error::Error,
    file::HostFile,
    output::{self, Column, age, text, words},
};

pub(super) const HOST: &[Column<'_>] = &[
    ("NAME", false, |host| text(host, "name").split('/').nth(1).unwrap_or_default().to_owned()),
    ("STATE", false, |host| text(host, "state")),
    ("TENANTS", false, |host| format!("{}/{}", text(host, "tenantCount"), text(host, "tenantsMax"))),
    ("FREE", false, |host| text(host, "freeCount")),
    ("CORDONED", false, |host| text(host, "cordoned")),
    ("PROVIDER", false, |host| text(host, "provider")),
    ("REGION", false, |host| text(host, "region")),
    ("CLASS", true, |host| if host["adoption"].is_object() { "(adopted)".into() } else { text(host, "tenantClass") }),
    ("CPU FREE", true, |host| free(host, "cpuMilli", "m")),
    ("MEMORY FREE", true, |host| free(host, "memoryMib", "Mi")),
    ("PODS FREE", true, |host| free(host, "pods", "")),
    ("ACCOUNT", true, |host| text(host, "account")),
    ("CLASS DIFFERS", true, |host| words(&host["classDifferences"])),
    ("UID", true, |host| text(host, "uid")),
    ("AGE", false, |host| age(host, "createTime")),
];

/// Empty while nothing was counted.
fn free(host: &Value, resource: &str, unit: &str) -> String {
    let free = &host["capacity"]["free"];
    if free.is_object() { format!("{}{unit}", text(free, resource)) } else { String::new() }
}

/// One host cluster.
pub(super) async fn get(client: &mut Client, name: &str) -> Result<v1::HostCluster, Error> {
    let request = v1::GetHostClusterRequest { name: name.to_owned() };
    Ok(client.hosts.get_host_cluster(request).await?.into_inner())
}

pub(super) async fn list(client: &mut Client, filter: &str, form: Output) -> Result<(), Error> {
    let items = all(async |page_token| {
        let filter = filter.to_owned();
        let request = v1::ListHostClustersRequest { page_size: PAGE, page_token, filter, ..Default::default() };
        let page = client.hosts.list_host_clusters(request).await?.into_inner();
        Ok((page.host_clusters, page.next_page_token))
    })
    .await?;
    if items.is_empty() {
        super::remark("no host clusters found");
    }
    output::items(form, &items, HOST, false)
}

/// As `kubectl cordon`: who lives there stays.
pub(super) async fn cordon(client: &mut Client, name: String, etag: String) -> Result<(), Error> {
    let request = v1::CordonHostClusterRequest { name, etag, ..Default::default() };
    let host = client.hosts.cordon_host_cluster(request).await?.into_inner();
    output::print(&format!("{} cordoned; {} tenants live there", host.name, host.tenant_count))
}

pub(super) async fn uncordon(client: &mut Client, name: String, etag: String) -> Result<(), Error> {
    let request = v1::UncordonHostClusterRequest { name, etag, ..Default::default() };
    let host = client.hosts.uncordon_host_cluster(request).await?.into_inner();
    output::print(&format!("{} uncordoned; {} tenants live there", host.name, host.tenant_count))
}

/// Brings a host cluster to what is on offer now.
pub(super) async fn update(
    server: &Connection,
    name: String,
    parts: Vec<String>,
    validate_only: bool,
) -> Result<(), Error> {
    let request = v1::UpdateHostClusterRevisionRequest {
        name: name.clone(),
        parts,
        etag: String::new(),
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only,
    };
    let mut client = Client::connect(server).await?;
    let operation = client.hosts.update_host_cluster_revision(request).await?.into_inner();
    super::updating(&name, &operation, validate_only)
}

/// Who lives there, and what is free.
pub(super) async fn describe(client: &mut Client, name: &str) -> Result<(), Error> {
    let host = get(client, name).await?;
    let request = GetOperationRequest { name: host.latest_operation.clone() };
    let operation = client.operations.get_operation(request).await?.into_inner();
    let tenants = all_tenants(client, "customers/-", &format!("host_cluster = \"{name}\"")).await?;
    output::print(&description(&host, &operation, &tenants))
}

fn description(host: &v1::HostCluster, operation: &Operation, tenants: &[Value]) -> String {
    let mut shown = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(shown, "Name:        {}", host.name);
    let _ = writeln!(shown, "UID:         {}", host.uid);
    let _ = writeln!(shown, "State:       {}", host.state().as_str_name());
    let origin = match &host.adoption {
        Some(adoption) if adoption.cluster_name.is_empty() => "adopted".to_owned(),
        Some(adoption) => format!("adopted, cluster {}", adoption.cluster_name),
        None => format!("class {}", host.tenant_class),
    };
    let _ = writeln!(shown, "Place:       {} {} {} ({origin})", host.provider, host.account, host.region);
    describe::about_class(&mut shown, &host.class_differences);
    let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !labels.is_empty() {
        let _ = writeln!(shown, "Labels:      {}", labels.join(", "));
    }
    let cordoned = if host.cordoned { ", cordoned" } else { "" };
    let _ = writeln!(
        shown,
        "Tenants:     {} of {}; takes {} more{cordoned}",
        host.tenant_count, host.tenants_max, host.free_count
    );
    about_capacity(&mut shown, &host.capacity.unwrap_or_default());
    describe::about_conditions(&mut shown, &host.conditions);
    for tenant in tenants {
        let placement = &tenant["placement"];
        let _ = writeln!(
            shown,
            "  {:<40} {:<10} {:<12} {}",
            text(tenant, "name"),
            text(placement, "level"),
            text(tenant, "state"),
            text(&placement["isolation"], "namespace")
        );
    }
    describe::about_operation(&mut shown, operation);
    shown
}

/// What it has, and what is free of it.
fn about_capacity(shown: &mut String, capacity: &v1::HostCapacity) {
    match capacity.observe_time {
        None => shown.push_str("Capacity:    not counted yet\n"),
        Some(time) => {
            let nodes = capacity.node_count;
            let _ = writeln!(shown, "Capacity:    {nodes} shared nodes, counted {} ago", output::since(time.seconds));
        }
    }
    let _ = writeln!(shown, "  {:<24} {:>10} {:>12} {:>8}", "", "CPU", "MEMORY", "PODS");
    for (what, amounts) in [
        ("allocatable", capacity.allocatable),
        ("requested", capacity.requested),
        ("requested by tenants", capacity.requested_by_tenants),
        ("reserved for tenants", capacity.reserved),
        ("free", capacity.free),
    ] {
        let Some(amounts) = amounts else { continue };
        let (cpu, memory) = (format!("{}m", amounts.cpu_milli), format!("{}Mi", amounts.memory_mib));
        let _ = writeln!(shown, "  {what:<24} {cpu:>10} {memory:>12} {:>8}", amounts.pods);
    }
}

/// Orders or adopts a host cluster that does not exist; one that exists as described is left alone.
pub(super) async fn apply(
    client: &mut Client,
    wanted: HostFile,
    request_id: String,
    validate_only: bool,
) -> Result<(&'static str, Option<String>), Error> {
    let request = v1::GetHostClusterRequest { name: wanted.host_cluster.name.clone() };
    match client.hosts.get_host_cluster(request).await {
        Ok(response) => {
            let current = response.into_inner();
            return match changed(&current, &wanted.host_cluster) {
                fields if fields.is_empty() => Ok(("unchanged", Some(current.latest_operation))),
                fields => Err(Error::Usage(format!(
                    "{} can't be changed ({} differ); order another one and cordon this one",
                    current.name,
                    fields.join(", ")
                ))),
            };
        }
        // A name that the daemon refuses: create names all that is wrong at once.
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {}
        Err(status) => return Err(status.into()),
    }
    let (host_cluster_id, host_cluster) = (wanted.id, Some(wanted.host_cluster));
    if host_cluster.as_ref().is_some_and(|host| host.adoption.is_some()) {
        let request = v1::AdoptHostClusterRequest { host_cluster_id, host_cluster, request_id, validate_only };
        let operation = client.hosts.adopt_host_cluster(request).await?.into_inner();
        return Ok(("adopted", Some(operation.name)));
    }
    let request = v1::CreateHostClusterRequest { host_cluster_id, host_cluster, request_id, validate_only };
    Ok(("created", Some(client.hosts.create_host_cluster(request).await?.into_inner().name)))
}

fn changed(current: &v1::HostCluster, wanted: &v1::HostCluster) -> Vec<&'static str> {
    // What the file leaves out has its default, which the daemon has filled in.
    let differs = [
        ("labels", current.labels != wanted.labels),
        ("tenantClass", current.tenant_class != wanted.tenant_class),
        ("region", !wanted.region.is_empty() && current.region != wanted.region),
        ("nodeCount", current.node_count != wanted.node_count),
        ("tenantsMax", wanted.tenants_max != 0 && current.tenants_max != wanted.tenants_max),
        ("deletionProtection", current.deletion_protection != wanted.deletion_protection),
        ("adoption", current.adoption != wanted.adoption),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}
