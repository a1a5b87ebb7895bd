//! The GKE cluster: regional, private nodes, Dataplane V2, Workload Identity. Its name carries the
//! tenant's uid, so the name is the idempotency key. GKE makes a cluster with its first pool in
//! one call; the pool's own stage finds it there.

mod change;
mod removal;

pub(crate) use removal::{delete, find_own, is_foreign, observe};

use base64::Engine as _;
use google_cloud_container_v1::model::{
    AddonsConfig, Cluster, ControlPlaneEndpointsConfig, DatabaseEncryption, DatapathProvider, GatewayAPIConfig,
    GcePersistentDiskCsiDriverConfig, HttpLoadBalancing, IPAllocationPolicy, MasterAuthorizedNetworksConfig,
    NetworkConfig, ReleaseChannel, ShieldedNodes, WorkloadIdentityConfig, cluster::Status,
    control_plane_endpoints_config::IPEndpointsConfig, database_encryption::State as Encryption,
    gateway_api_config::Channel as GatewayChannel, master_authorized_networks_config::CidrBlock,
    release_channel::Channel as ReleaseName,
};
use landlord_provider_api::v1;

use crate::{
    action,
    error::{Absent as _, Result, failed, incomplete, invalid, is_taken, misses_network},
    google::Google,
    markers,
    names::Names,
    network::{self, PODS, SERVICES, attribute},
    node_pool, operation,
    parameters::{Channel, Parameters},
    progress::{self, Outcome},
};

/// Seconds between observations of a cluster under way.
const POLL_S: i64 = 15;
/// The whole of IPv4, which authorized networks cannot say better than by being off.
const EVERYBODY: &str = "0.0.0.0/0";
/// Type in the inventory.
const TYPE_NAME: &str = "container.googleapis.com/Cluster";

/// `projects/P/locations/R/clusters/C`.
pub(crate) fn path(scope: &v1::Scope, names: &Names) -> String {
    format!("{}/clusters/{}", operation::parent(scope), names.cluster())
}

/// The same of the cluster that the tenant's nodes are in.
pub(crate) fn home_path(scope: &v1::Scope, names: &Names) -> String {
    format!("{}/clusters/{}", operation::parent(scope), names.home())
}

/// Reads the shared cluster that the tenant's nodes are in. It carries the host's markers or a
/// foreign one: it is only inspected.
pub(crate) async fn find_shared(google: &Google, scope: &v1::Scope, names: &Names) -> Result<Option<Box<Cluster>>> {
    read(google, home_path(scope, names), names.home()).await
}

/// Google's message of a cluster is large, and the futures that hold one are: both are kept off the stack.
async fn read(google: &Google, path: String, name: &str) -> Result<Option<Box<Cluster>>> {
    let response = Box::pin(google.clusters.get_cluster().set_name(path).send()).await.map(Box::new);
    response.map_err(failed(action::GET_CLUSTER, name)).or_absent()
}

/// Reads the tenant's cluster; a foreign one of our name is an error.
pub(crate) async fn find(google: &Google, scope: &v1::Scope, names: &Names) -> Result<Option<Box<Cluster>>> {
    let name = names.cluster();
    let Some(cluster) = read(google, path(scope, names), name).await? else {
        return Ok(None);
    };
    if !markers::is_ours(scope, &cluster.resource_labels) {
        return Err(markers::name_taken("GKE cluster", name).into());
    }
    Ok(Some(cluster))
}

/// A call of [`ensure`].
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) scope: &'a v1::Scope,
    pub(crate) parameters: &'a Parameters,
    pub(crate) network: &'a v1::NetworkStatus,
    pub(crate) node_pool: Option<&'a v1::NodePoolSpec>,
    pub(crate) checkpoint: &'a [u8],
}

/// Makes the cluster be as the parameters say.
pub(crate) async fn ensure(google: &Google, wanted: Wanted<'_>) -> Result<(Outcome, Option<v1::ClusterStatus>)> {
    let scope = wanted.scope;
    let names = Names::new(scope)?;
    let name = names.cluster();
    let found = find(google, scope, &names).await?;
    let Some(cluster) = found else {
        return Box::pin(create_or_wait(google, wanted, &names)).await.map(|outcome| (outcome, None));
    };
    let under_way = |text: &str| format!("GKE cluster {name} is {text}");
    match &cluster.status {
        Status::Running | Status::Degraded => {}
        Status::Error => {
            let error = clear_failed(google, scope, &names, &cluster).await?;
            operation::mark_reported(google, wanted.checkpoint);
            return Err(error);
        }
        Status::Provisioning => {
            let running = operation::of_checkpoint(google, scope, wanted.checkpoint).await?;
            let known = running.as_ref().map_or("", |o| o.name.as_str());
            let detail = running.as_ref().map(operation::detail).filter(|d| !d.is_empty());
            let detail =
                detail.map_or_else(|| under_way("being created"), |d| format!("{} ({d})", under_way("being created")));
            return Ok((operation::pending(POLL_S, detail, known), None));
        }
        Status::Stopping => {
            return Ok((progress::pending(POLL_S, under_way("being deleted before it is recreated")), None));
        }
        Status::Reconciling => return Ok((progress::pending(POLL_S, under_way("being changed")), None)),
        other => {
            let text = format!("in the state {}", other.name().unwrap_or("unknown"));
            return Ok((progress::pending(POLL_S, under_way(&text)), None));
        }
    }
    if let Some(sent) = Box::pin(change::begin(google, scope, &names, wanted.parameters, &cluster)).await? {
        return Ok((sent.pending(POLL_S), None));
    }
    Ok((progress::ready(), Some(status(scope, &cluster)?)))
}

/// Creates the cluster, unless an operation of an earlier call still works on it.
async fn create_or_wait(google: &Google, wanted: Wanted<'_>, names: &Names) -> Result<Outcome> {
    let name = names.cluster();
    if let Some(earlier) = operation::of_checkpoint(google, wanted.scope, wanted.checkpoint).await? {
        if operation::is_running(&earlier) {
            return Ok(operation::pending(POLL_S, format!("GKE cluster {name} is being created"), &earlier.name));
        }
        if let Some(error) = operation::failure(action::CREATE_CLUSTER, name, &earlier)
            && google.is_news(&earlier.name)
        {
            return Err(error);
        }
    }
    let cluster = build(wanted, names)?;
    let request = google.clusters.create_cluster().set_parent(operation::parent(wanted.scope)).set_cluster(cluster);
    match Box::pin(request.send()).await.map_err(failed(action::CREATE_CLUSTER, name)) {
        Ok(begun) => Ok(operation::pending(POLL_S, format!("GKE cluster {name} is being created"), &begun.name)),
        // Made in the meantime, perhaps by an earlier call of ours: the next observation decides.
        Err(error) if is_taken(&error) || error.is_busy() => {
            find(google, wanted.scope, names).await?;
            Ok(progress::pending(POLL_S, format!("GKE cluster {name} exists already; looking again")))
        }
        // Compute Engine gave the subnetwork before GKE sees it: reads of the two are not consistent with one another.
        Err(error) if misses_network(&error, names.network()) => {
            Ok(progress::pending(POLL_S, format!("GKE does not see the network of cluster {name} yet")))
        }
        Err(error) => Err(error),
    }
}

/// A failed cluster never comes up; its name is freed for the next attempt. Gives why it failed.
async fn clear_failed(
    google: &Google,
    scope: &v1::Scope,
    names: &Names,
    cluster: &Cluster,
) -> Result<crate::error::Error> {
    let name = names.cluster();
    let subject = format!("GKE cluster {name}");
    #[expect(deprecated, reason = "given when the conditions are not")]
    let message = cluster.status_message.as_str();
    let reported = operation::by_conditions(action::CREATE_CLUSTER, name, &cluster.conditions, message);
    let error = match reported {
        Some(error) => error.into(),
        None => {
            let last = operation::last_of(google, scope, &format!("clusters/{name}")).await?;
            let failure = last.and_then(|o| operation::failure(action::CREATE_CLUSTER, name, &o));
            failure.unwrap_or_else(|| operation::unknown(&subject).into())
        }
    };
    let response = google.clusters.delete_cluster().set_name(path(scope, names)).send().await;
    match response.map(drop).map_err(failed(action::DELETE_CLUSTER, name)).or_absent() {
        Err(busy) if busy.is_busy() => Ok(error),
        result => result.map(|_| error),
    }
}

fn build(wanted: Wanted<'_>, names: &Names) -> Result<Cluster> {
    let Wanted { scope, parameters, network, .. } = wanted;
    let zones = zones(network)?;
    let pool = wanted.node_pool.ok_or_else(|| {
        invalid("the request lacks the node pool: GKE makes a cluster and its first pool in one call")
    })?;
    let pool = node_pool::build(scope, parameters, pool, &zones)?;
    let network_name = network.network_id.clone();
    let ranges = IPAllocationPolicy::new()
        .set_use_ip_aliases(true)
        .set_cluster_secondary_range_name(PODS)
        .set_services_secondary_range_name(SERVICES);
    let mut networking = NetworkConfig::new()
        .set_datapath_provider(DatapathProvider::AdvancedDatapath)
        .set_default_enable_private_nodes(true);
    if parameters.gateway_api {
        networking = networking.set_gateway_api_config(GatewayAPIConfig::new().set_channel(GatewayChannel::Standard));
    }
    let addons = AddonsConfig::new()
        .set_http_load_balancing(HttpLoadBalancing::new().set_disabled(false))
        .set_gce_persistent_disk_csi_driver_config(GcePersistentDiskCsiDriverConfig::new().set_enabled(true));
    let mut cluster = Cluster::new()
        .set_name(names.cluster())
        .set_description(format!("Cluster of a landlord tenant ({})", scope.tenant_uid))
        .set_network(network_name)
        .set_subnetwork(attribute(network, "subnetwork")?)
        .set_locations(zones)
        .set_node_pools([pool])
        .set_resource_labels(markers::labels(scope, "cluster"))
        .set_ip_allocation_policy(ranges)
        .set_network_config(networking)
        .set_control_plane_endpoints_config(endpoints(parameters))
        .set_addons_config(addons)
        .set_shielded_nodes(ShieldedNodes::new().set_enabled(true))
        .set_release_channel(ReleaseChannel::new().set_channel(channel(parameters.release_channel)))
        .set_workload_identity_config(WorkloadIdentityConfig::new().set_workload_pool(workload_pool(scope)));
    if !parameters.kubernetes_version.is_empty() {
        cluster = cluster.set_initial_cluster_version(&parameters.kubernetes_version);
    }
    if !parameters.secrets_kms_key.is_empty() {
        let encryption = DatabaseEncryption::new();
        let encryption = encryption.set_state(Encryption::Encrypted).set_key_name(&parameters.secrets_kms_key);
        cluster = cluster.set_database_encryption(encryption);
    }
    Ok(cluster)
}

/// The pool of identities that the project's clusters share.
pub(crate) fn workload_pool(scope: &v1::Scope) -> String {
    format!("{}.svc.id.goog", scope.account)
}

fn channel(of: Channel) -> ReleaseName {
    match of {
        Channel::Rapid => ReleaseName::Rapid,
        Channel::Regular => ReleaseName::Regular,
        Channel::Stable => ReleaseName::Stable,
        Channel::Extended => ReleaseName::Extended,
    }
}

/// Who may reach the API server. For everybody there is no list; for private access only, no
/// public endpoint.
fn endpoints(parameters: &Parameters) -> ControlPlaneEndpointsConfig {
    let cidrs = parameters.public_access_cidrs.as_deref().unwrap_or_default();
    let everybody = cidrs.iter().any(|c| c == EVERYBODY);
    let blocks = cidrs.iter().filter(|_| !everybody).map(|c| CidrBlock::new().set_cidr_block(c));
    let mut networks = MasterAuthorizedNetworksConfig::new().set_enabled(!everybody).set_cidr_blocks(blocks);
    if !everybody {
        // Unsaid, Google lets every virtual machine with a public address of Google Cloud past the list, other customers' too.
        networks = networks.set_gcp_public_cidrs_access_enabled(false);
    }
    let by_address = IPEndpointsConfig::new()
        .set_enabled(true)
        .set_enable_public_endpoint(!cidrs.is_empty())
        .set_authorized_networks_config(networks);
    ControlPlaneEndpointsConfig::new().set_ip_endpoints_config(by_address)
}

/// The zones of the tenant's nodes.
pub(crate) fn zones(network: &v1::NetworkStatus) -> Result<Vec<String>> {
    Ok(network::attribute(network, "zones")?.split(',').map(str::to_owned).collect())
}

/// The contract's view of a cluster that is up.
pub(crate) fn status(scope: &v1::Scope, cluster: &Cluster) -> Result<v1::ClusterStatus> {
    let present = |value: &str, what: &str| match value {
        "" => Err(incomplete(action::GET_CLUSTER, what)),
        value => Ok(value.to_owned()),
    };
    let data = cluster.master_auth.as_ref().map(|m| m.cluster_ca_certificate.as_str()).unwrap_or_default();
    let pem = base64::engine::general_purpose::STANDARD
        .decode(present(data, "the certificate authority")?.trim())
        .map_err(|_| incomplete(action::GET_CLUSTER, "a readable certificate authority"))?;
    let endpoint = present(&cluster.endpoint, "the endpoint")?;
    let endpoint = if endpoint.contains("://") { endpoint } else { format!("https://{endpoint}") };
    let attributes = [
        ("self_link", cluster.self_link.clone()),
        ("location", cluster.location.clone()),
        ("workload_pool", workload_pool(scope)),
    ];
    Ok(v1::ClusterStatus {
        name: present(&cluster.name, "the name")?,
        endpoint,
        // Whether it is a certificate is for whoever connects to judge.
        ca_pem: String::from_utf8_lossy(&pem).into_owned(),
        kubernetes_version: cluster.current_master_version.clone(),
        attributes: attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
    })
}

/// The inventory's view.
pub(crate) fn owned(cluster: &Cluster, region: &str) -> v1::OwnedObject {
    markers::owned(TYPE_NAME, &cluster.self_link, &cluster.name, &cluster.resource_labels, region)
}
