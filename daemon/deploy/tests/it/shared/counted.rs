//! What is counted of the cluster, beside what kubectl counts of it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use landlord_core::ports::HostClusters as _;

use super::world::{World, place};

impl World {
    /// Of all nodes only the one that is everybody's counts, with what kubectl says of it.
    pub(crate) async fn the_cluster_is_counted(&self) -> Result<()> {
        let kube = &self.tenants[0].kube;
        let measured = self.scene.deployer.isolation.measure(kube, "test").await?;
        ensure!(measured.nodes == 1, "{measured:?}");
        let reported = self.described("shared-1")?;
        let allocated = reported.split_once("Allocated resources:").context("no allocated resources")?.1;
        let requests = |resource: &str| -> Result<String> {
            let line = allocated.lines().find(|line| line.trim_start().starts_with(resource)).context("no line")?;
            Ok(line.split_whitespace().nth(1).context("no requests")?.to_owned())
        };
        // `750m` or `2`; `640Mi` or `5Gi`.
        let cpu = requests("cpu")?;
        let cpu: u64 = match cpu.strip_suffix('m') {
            Some(milli) => milli.parse()?,
            None => cpu.parse::<u64>()? * 1_000,
        };
        let memory = requests("memory")?;
        let memory: u64 = match (memory.strip_suffix("Mi"), memory.strip_suffix("Gi")) {
            (Some(mebi), _) => mebi.parse()?,
            (None, Some(gibi)) => gibi.parse::<u64>()? * 1_024,
            (None, None) => memory.parse::<u64>()?.div_ceil(1_024 * 1_024),
        };
        let pods = reported.split_once("Non-terminated Pods:").context("no pods")?.1;
        let pods: u64 = pods.trim_start().trim_start_matches('(').split(' ').next().context("no number")?.parse()?;
        let found = measured.requested;
        ensure!((found.cpu_milli, found.memory_mib, found.pods) == (cpu, memory, pods), "{measured:?}\n{reported}");
        // Only one of the tenants has its pods there, and nobody else any.
        ensure!(found.pods > 3 && measured.by_tenants == found, "{measured:?}");
        // Each pool has the node that carries its label; namespaces are known by whose they are.
        let isolation = &self.scene.deployer.isolation;
        for tenant in &self.tenants[..2] {
            let pool = place(tenant).pool().context("a tenant with a pool")?;
            ensure!(isolation.joined(kube, &pool.to_string()).await? == 1, "nodes of {pool}");
        }
        ensure!(isolation.joined(kube, "nobodys").await? == 0, "nodes of nobody");
        let namespaces = isolation.of_tenants(kube, "test").await?;
        for tenant in &self.tenants {
            let name = place(tenant).namespace.as_str();
            ensure!(namespaces.iter().any(|found| found.uid == tenant.uid && found.name == name), "{namespaces:?}");
        }
        ensure!(isolation.of_tenants(kube, "other").await?.is_empty(), "of another installation");
        // Another installation's tenants are not ours, but take what is there all the same.
        let foreign = self.scene.deployer.isolation.measure(kube, "other").await?;
        ensure!(foreign.by_tenants.pods == 0 && foreign.requested == found, "{foreign:?}");
        Ok(())
    }

    fn described(&self, node: &str) -> Result<String> {
        let output = Command::new(&self.scene.artifacts.kubebox)
            .args(["kubectl", "describe", "node", node, "--kubeconfig"])
            .arg(self.scene.control_plane.admin_kubeconfig_path())
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}
