//! Worlds with one host cluster on the simulated AWS, its Kubernetes real. Levels NODE and NAMESPACE are measured in them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use landlord_proto::v1::{
    GetHostClusterRequest, host_cluster::State, host_cluster_service_client::HostClusterServiceClient,
};
use landlord_test_harness::{HostFile, World, WorldOptions, client, cloud};
use landlord_test_kube::Artifacts;

use crate::order;

/// Class of NAMESPACE tenants with all apps.
pub(crate) const NAMESPACE: &str = "eks-namespace";
/// Class of NAMESPACE tenants without apps.
pub(crate) const BARE_NAMESPACE: &str = "bench-namespace";
/// Class of NODE tenants without apps, one node each.
pub(crate) const BARE_NODE: &str = "bench-node";
/// Host clusters of large machines: a tenant with all apps requests 4 pods, and a machine takes 110. Nothing is reserved:
/// the quotas of a thousand tenants would be more than there is, and they use little of them.
const CLASSES: &str = "\
[classes.bench-host]
description = 'host cluster of large machines'
level = 'CLUSTER'
provider = 'eks'
credentials = 'default'
regions = ['eu-central-1']
machine_type = 'm7i.24xlarge'
node_count = 8
node_count_max = 100
[classes.bench-host.parameters]
public_access_cidrs = ['203.0.113.0/24']
[classes.bench-namespace]
description = 'an isolated namespace without apps'
level = 'NAMESPACE'
provider = 'eks'
credentials = 'default'
regions = ['eu-central-1']
[classes.bench-namespace.hosts]
labels = { tier = 'shared' }
reserve_percent = { cpu = 0, memory = 0, pods = 0 }
[classes.eks-namespace.hosts.reserve_percent]
cpu = 0
memory = 0
pods = 0
[classes.bench-node]
description = 'a node of its own, without apps'
level = 'NODE'
provider = 'eks'
credentials = 'default'
regions = ['eu-central-1']
machine_type = 'm7i.large'
node_count = 1
node_count_max = 10
[classes.bench-node.hosts]
labels = { tier = 'shared' }
";
/// More than any benchmark has.
const TENANTS_MAX: u32 = 10_000;
/// A host cluster takes a quarter of a simulated hour, and a busy machine its own time.
const HOST_TIMEOUT: Duration = Duration::from_secs(600);

/// Options of a world whose clusters have a real Kubernetes, with more lines for the daemon's configuration.
pub(crate) fn options(time_scale: f64, audit: bool, more: &str) -> Result<WorldOptions> {
    Ok(WorldOptions {
        time_scale,
        kubernetes: Some(Artifacts::ensure(&mut |line| crate::say(line))?),
        audit,
        extra_config: format!("{CLASSES}{more}"),
        ..WorldOptions::default()
    })
}

/// Orders the host cluster and waits for it.
pub(crate) async fn host(world: &World, nodes: u32) -> Result<()> {
    world.simulator().control().lift_quotas(cloud::EKS.account)?;
    let file = HostFile::new("shared", "bench-host", nodes, TENANTS_MAX);
    world.cli().apply_host(&file)?;
    let client = HostClusterServiceClient::new(client::connect(&world.socket()).await?);
    let state = || {
        let (mut client, name) = (client.clone(), file.name());
        async move {
            let host = client.get_host_cluster(GetHostClusterRequest { name }).await?.into_inner();
            match host.state() {
                State::Ready => Ok(Some(())),
                State::Failed => bail!("the host cluster failed: {:?}", host.conditions),
                _ => Ok(None),
            }
        }
    };
    order::eventually("the host cluster is READY", HOST_TIMEOUT, state).await.context("no host cluster")
}
