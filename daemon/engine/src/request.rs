//! From a tenant's record to the messages of the provider contract.

use landlord_core::{
    DesiredState, Environment, EnvironmentKind, EnvironmentName, ErrorKind, HostView, Level, Stage, StageRecord,
    StageState, Tenant, TenantUid,
    environment::Adoption,
    isolation::{PoolLabel, SharedTarget},
    ports::{CloudAccount, DeployTarget, KubeCredentials, PlatformTarget, TargetCluster, Work},
    stage::Ownership,
    step::record_in,
};
use landlord_provider_api::v1;
use prost::Message;

use crate::limits::{Caller, Urgency};

/// Role of the only node pool of a tenant with a cluster of its own.
const POOL_ROLE: &str = "default";
/// Label and taint by which a tenant's nodes are known.
pub(crate) const POOL_LABEL: &str = "landlord.dev/tenant";

/// Role of a tenant's node pool, unique within its cluster.
pub(crate) fn pool_role(work: &Work) -> String {
    match work.host {
        None => POOL_ROLE.into(),
        Some(_) => format!("t-{}", work.environment.uid.0.simple()),
    }
}

/// Scope of a tenant's calls.
pub(crate) fn scope(installation: &str, work: &Work) -> v1::Scope {
    let environment = &work.environment;
    // A cluster that was adopted has a name of its own, which is known before it was reached.
    let own = environment.host_cluster().and_then(|host| host.spec.adoption.as_ref());
    let adoption = own.or(work.host.as_ref().and_then(|host| host.adoption.as_ref()));
    let adopted = adoption.map(|adoption| adoption.cluster_name.clone());
    let known = work.host.as_ref().map(|host| cluster_of(host).name).filter(|name| !name.is_empty());
    let host_cluster = known.or(adopted);
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    v1::Scope {
        installation: installation.to_owned(),
        tenant_uid: environment.uid.to_string(),
        region: environment.placement.region.clone(),
        account: environment.placement.account.clone(),
        labels: match environment.name() {
            EnvironmentName::Tenant(name) => {
                let customer = label("landlord-customer", name.customer.as_str());
                [customer, label("landlord-tenant", name.tenant.as_str())].into()
            }
            EnvironmentName::HostCluster(id) => [label("landlord-tenant", id.as_str())].into(),
        },
        generation: environment.generation,
        host_cluster: host_cluster.unwrap_or_default(),
        // Of the call itself: whoever carries it knows.
        traceparent: String::new(),
    }
}

/// Whose a call of a stage is, and how urgent.
pub(crate) fn caller(work: &Work, stage: &Stage) -> Caller {
    let environment = &work.environment;
    let urgency = match (environment.desired_state, record_in(work, environment.desired_state, stage)) {
        (DesiredState::Absent, _) => Urgency::Repair,
        (DesiredState::Present, Some(record)) => urgency(record),
        (DesiredState::Present, None) => Urgency::Change,
    };
    // A customer's id has no capitals: host clusters share one turn, and take nobody's.
    let customer = environment.name().customer().map_or_else(|| "HOST CLUSTERS".to_owned(), ToString::to_string);
    Caller { customer, tenant: environment.uid, urgency }
}

fn urgency(record: &StageRecord) -> Urgency {
    let throttled = record.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Throttled);
    // A call that changes something has returned nothing yet, or was only sent away.
    let begun = record.checkpoint.is_empty() && (record.detail.is_empty() || throttled);
    match record.state {
        StageState::Done => Urgency::Drift,
        _ if record.failures > 0 => Urgency::Repair,
        _ if begun => Urgency::Change,
        _ => Urgency::Poll,
    }
}

/// Scope of calls about a host cluster itself, on behalf of a tenant in it.
pub(crate) fn host_scope(installation: &str, host: &HostView) -> v1::Scope {
    let adoption = host.adoption.as_ref();
    v1::Scope {
        installation: installation.to_owned(),
        tenant_uid: host.host.uid.to_string(),
        region: host.placement.region.clone(),
        account: host.placement.account.clone(),
        host_cluster: adoption.map(|adoption| adoption.cluster_name.clone()).unwrap_or_default(),
        ..v1::Scope::default()
    }
}

/// A host cluster's cluster as its provider reported it.
pub(crate) fn cluster_of(host: &HostView) -> v1::ClusterStatus {
    v1::ClusterStatus::decode(host.cluster.as_slice()).unwrap_or_default()
}

/// The cluster that a tenant lives in, as far as it is known.
pub(crate) fn cluster(work: &Work) -> v1::ClusterStatus {
    work.host.as_ref().map_or_else(|| status(work, &Stage::Cluster), cluster_of)
}

/// The network of the cluster that a tenant lives in.
pub(crate) fn network(work: &Work) -> v1::NetworkStatus {
    match &work.host {
        None => status(work, &Stage::Network),
        Some(HostView { adoption: Some(adoption), .. }) => v1::NetworkStatus {
            network_id: adoption.network_id.clone(),
            private_subnet_ids: adoption.private_subnet_ids.clone(),
            public_subnet_ids: adoption.public_subnet_ids.clone(),
            attributes: adoption.network_attributes.clone().into_iter().collect(),
        },
        Some(host) => v1::NetworkStatus::decode(host.network.as_slice()).unwrap_or_default(),
    }
}

/// Whose token opens the cluster that a tenant lives in, and the question for one.
pub(crate) fn access(installation: &str, work: &Work, scope: &v1::Scope) -> (TenantUid, v1::KubeAccessRequest) {
    match &work.host {
        None => {
            let (scope, cluster) = (Some(scope.clone()), Some(cluster(work)));
            (work.environment.uid, v1::KubeAccessRequest { scope, cluster })
        }
        Some(host) => (host.host.uid, host_access(installation, host)),
    }
}

/// The question for a token that opens a host cluster.
pub(crate) fn host_access(installation: &str, host: &HostView) -> v1::KubeAccessRequest {
    let (scope, cluster) = (host_scope(installation, host), cluster_of(host));
    v1::KubeAccessRequest { scope: Some(scope), cluster: Some(cluster) }
}

/// What is known of a cluster that is adopted.
pub(crate) fn adopted(adoption: &Adoption) -> v1::ClusterStatus {
    let attributes = &adoption.cluster_attributes;
    let named = |key: &str| attributes.get(key).cloned().unwrap_or_default();
    v1::ClusterStatus {
        name: adoption.cluster_name.clone(),
        endpoint: named("endpoint"),
        ca_pem: named("ca_pem"),
        kubernetes_version: named("kubernetes_version"),
        attributes: attributes.clone().into_iter().collect(),
    }
}

/// The class's parameters; in a host cluster laid over those that it was built by, so that nodes fit
/// their cluster.
pub(crate) fn parameters(work: &Work) -> String {
    let mut parameters = work.host.as_ref().map(|host| host.placement.parameters.clone()).unwrap_or_default();
    parameters.extend(work.environment.placement.parameters.clone());
    serde_json::Value::Object(parameters).to_string()
}

/// The status that a stage reached, as the provider gave it; empty if it never did.
pub(crate) fn status<M: Message + Default>(work: &Work, stage: &Stage) -> M {
    record_in(work, DesiredState::Present, stage)
        .and_then(|record| M::decode(record.status.as_slice()).ok())
        .unwrap_or_default()
}

/// The cache of ids of a stage. A delete goes on with what the create knew.
pub(crate) fn checkpoint(work: &Work, stage: &Stage) -> Vec<u8> {
    [work.environment.desired_state, DesiredState::Present]
        .into_iter()
        .filter_map(|desired_state| record_in(work, desired_state, stage))
        .map(|record| record.checkpoint.clone())
        .find(|checkpoint| !checkpoint.is_empty())
        .unwrap_or_default()
}

/// What the label of a tenant's nodes says.
pub(crate) fn pool_label(work: &Work) -> String {
    let uid = work.environment.uid;
    work.host.as_ref().map_or_else(|| uid.to_string(), |_| PoolLabel::of(uid).to_string())
}

/// The node pool wanted, which its cloud may scale up to `nodes_max`.
pub(crate) fn node_pool(work: &Work, nodes_max: u32) -> v1::NodePoolSpec {
    let placement = &work.environment.placement;
    let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let label = pool_label(work);
    // In a shared cluster nobody else may run there, and the isolation lets nobody else tolerate it.
    let taint = || v1::Taint { key: POOL_LABEL.into(), value: label.clone(), effect: "NoSchedule".into() };
    let taints = work.host.iter().map(|_| taint()).collect();
    v1::NodePoolSpec {
        role: pool_role(work),
        machine_type: placement.machine_type.clone(),
        node_count: whole(placement.node_count),
        node_count_max: whole(nodes_max),
        disk_size_gib: whole(placement.disk_size_gib),
        labels: [(POOL_LABEL.to_owned(), label.clone())].into(),
        taints,
    }
}

/// Whether the environment has nodes of its own.
pub(crate) fn has_pool(work: &Work) -> bool {
    work.environment.kind() != EnvironmentKind::Tenant(Level::Namespace)
}

/// The domain of a tenant; a host cluster has none, and of an orphan nobody knows it: all its zones are meant.
fn domain(work: &Work) -> Option<String> {
    let tenant = work.environment.tenant().filter(|tenant| !tenant.is_orphan())?;
    Some(tenant.spec.domain.as_str().to_owned())
}

/// The zone wanted; `None`: a host cluster has none.
pub(crate) fn dns_zone(work: &Work) -> Option<v1::DnsZoneSpec> {
    domain(work).map(|domain| v1::DnsZoneSpec { domain })
}

/// What a provider's identities need in the cluster.
pub(crate) fn accounts(status: v1::IdentityStatus) -> Vec<CloudAccount> {
    let account = |account: v1::ServiceAccount| CloudAccount {
        namespace: account.namespace,
        name: account.name,
        annotations: account.annotations.into_iter().collect(),
        pod_labels: account.pod_labels.into_iter().collect(),
    };
    status.service_accounts.into_iter().map(account).collect()
}

/// Whether the journal says that a stage's objects are the tenant's, whatever they are marked with.
pub(crate) fn is_ours(work: &Work, stage: &Stage) -> bool {
    record_in(work, DesiredState::Present, stage).is_some_and(|record| record.ownership != Ownership::Foreign)
}

/// Whether anything holds the removal of the cluster.
pub(crate) fn for_removal(work: &Work, scope: v1::Scope) -> v1::ObserveRequest {
    v1::ObserveRequest {
        scope: Some(scope),
        kind: v1::ResourceKind::Cluster.into(),
        role: pool_role(work),
        domain: domain(work).unwrap_or_default(),
        for_removal: true,
    }
}

/// What a delete of a stage is about.
pub(crate) fn delete(work: &Work, scope: v1::Scope, stage: &Stage) -> Option<v1::DeleteRequest> {
    let kind = stage.resource()?;
    Some(v1::DeleteRequest {
        scope: Some(scope),
        kind: kind.into(),
        role: pool_role(work),
        domain: domain(work).unwrap_or_default(),
        checkpoint: checkpoint(work, stage),
        recorded: is_ours(work, stage),
    })
}

/// What the platform's stages work on; `None`: there is none.
pub(crate) fn platform(installation: &str, work: &Work, kube: KubeCredentials) -> Option<PlatformTarget> {
    let environment = &work.environment;
    let tenant = environment.tenant();
    Some(PlatformTarget {
        kube,
        installation: installation.to_owned(),
        uid: environment.uid,
        name: environment.name(),
        cluster_name: cluster(work).name,
        platform: environment.placement.platform.clone()?,
        values: environment.placement.platform_options.values.clone(),
        domain: tenant.map(|tenant| tenant.spec.domain.clone()),
        revision: environment.placement.revisions.platform.clone(),
        stack: environment.placement.stack.clone(),
        stack_revision: environment.placement.revisions.stack.clone(),
    })
}

/// What the deploy stage works on; `None` for a host cluster, and without a stack in a cluster of its own.
pub(crate) fn target(installation: &str, work: &Work, kube: KubeCredentials) -> Option<DeployTarget> {
    let environment = &work.environment;
    let tenant = environment.tenant()?;
    let cluster = if work.host.is_some() { tenants_cluster(environment) } else { TargetCluster::OwnCluster };
    // A namespace is isolated and removed whatever is in it.
    if environment.placement.stack.is_none() && cluster.shared().is_none() {
        return None;
    }
    let target = tenants_target(installation, (environment, tenant), kube, cluster);
    Some(DeployTarget { name_servers: status::<v1::DnsZoneStatus>(work, &Stage::DnsZone).name_servers, ..target })
}

/// The cluster that a tenant's apps run in, by its level.
pub(crate) fn tenants_cluster(environment: &Environment) -> TargetCluster {
    let guardrails = || environment.placement.guardrails.clone().unwrap_or_default();
    match environment.placement.level {
        Level::Cluster => TargetCluster::OwnCluster,
        Level::Node => TargetCluster::Shared(Box::new(SharedTarget::node(environment.uid, guardrails()))),
        Level::Namespace => TargetCluster::Shared(Box::new(SharedTarget::namespace(environment.uid, guardrails()))),
    }
}

/// Whether an environment was READY once.
pub(crate) fn was_ready(environment: &Environment) -> bool {
    environment.status.observed_generation > 0
}

/// A tenant's apps in a cluster; of its zone nothing is known.
pub(crate) fn tenants_target(
    installation: &str,
    (environment, tenant): (&Environment, &Tenant),
    kube: KubeCredentials,
    cluster: TargetCluster,
) -> DeployTarget {
    DeployTarget {
        kube,
        cluster,
        installation: installation.to_owned(),
        uid: environment.uid,
        name: tenant.name.clone(),
        spec: tenant.spec.clone(),
        generation: environment.generation,
        was_ready: was_ready(environment),
        stack: environment.placement.stack.clone(),
        revision: environment.placement.revisions.stack.clone(),
        name_servers: Vec::new(),
        skip_checks: environment.placement.skip_checks.clone(),
        checks_from: environment.placement.checks_from,
    }
}
