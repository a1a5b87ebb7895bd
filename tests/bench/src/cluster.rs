//! The host cluster from the outside: the real kubectl and Helm with its administrator's access, as people use them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use landlord_test_harness::World;
use landlord_test_kube::Artifacts;
use serde_json::Value;

use crate::program;

/// The only simulated cluster of a world.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    artifacts: Artifacts,
    folder: PathBuf,
}

impl Cluster {
    /// The cluster of a world that has exactly one.
    pub(crate) fn of(world: &World) -> Result<Self> {
        let clusters = world.clusters();
        ensure!(clusters.len() == 1, "one cluster was expected, not {clusters:?}");
        let folder = clusters.into_iter().next().context("no cluster")?;
        Ok(Self { artifacts: Artifacts::ensure(&mut |_| {})?, folder })
    }

    /// What its API server wrote down about requests.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    fn kubeconfig(&self) -> String {
        self.folder.join("admin.kubeconfig").display().to_string()
    }

    /// What kubectl prints.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let kubeconfig = self.kubeconfig();
        let all = [&["kubectl", "--kubeconfig", &kubeconfig], arguments].concat();
        program::output(&self.artifacts.kubebox, &all).await
    }

    /// What kubectl prints, as JSON.
    pub(crate) async fn kubectl_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.kubectl(&[arguments, &["-o", "json"]].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {arguments:?} printed no JSON"))
    }

    /// What Helm prints.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let kubeconfig = self.kubeconfig();
        let all = [arguments, &["--kubeconfig", &kubeconfig]].concat();
        program::output(&self.artifacts.helm, &all).await
    }
}
