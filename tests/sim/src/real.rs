//! Real machines of each simulated cluster: the first that joins runs containers, and the first of each pool with taints of its
//! own. Those that join later are only shown and take no pods. Needs root.
//!
//! Knows no cloud. Images are those of `landlord-test-kube`, since none can be pulled.

use anyhow::Context;
use landlord_test_kube::{
    APP_IMAGES, AcmeServer, ControlPlane, NODES_MAX, Node, NodeArtifacts, NodeOptions, PLATFORM_IMAGES,
    cloud::{LocalVolumes, NodeSpec, NodeTaint},
    images,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The claim whose volume holds the models from the beginning.
const MODELS_CLAIM: &str = "llm";
/// Where the LLM server of that stack keeps them in its volume.
const MODELS_FOLDER: &str = "store";
/// In a cluster's folder: which machines of it run containers.
const MACHINES_FILE: &str = "real-machines.json";
/// On machines that run no containers.
const PRETENDED: &str = "landlord.test/pretended";

/// A machine that runs containers, as its cluster's folder keeps it for whoever continues from there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Among those of its cluster; the first one's is 0.
    number: u8,
    pub(crate) name: String,
    zone: String,
    provider_id: String,
    /// `KEY=VALUE:EFFECT`; they tell one pool from another.
    taints: Vec<String>,
}

impl Machine {
    /// The machine that has to run containers, if it is the first of its cluster or of a pool with taints.
    pub(crate) fn wanted(present: &[Self], spec: &NodeSpec) -> Option<Self> {
        let taint = |taint: &NodeTaint| format!("{}={}:{}", taint.key, taint.value, taint.effect);
        let taints: Vec<String> = spec.taints.iter().map(taint).collect();
        let number = (0..NODES_MAX).find(|number| present.iter().all(|machine| machine.number != *number))?;
        let is_first = number == 0 || (!taints.is_empty() && present.iter().all(|machine| machine.taints != taints));
        is_first.then(|| Self {
            number,
            name: spec.name.clone(),
            zone: spec.zone.clone(),
            provider_id: spec.provider_id.clone(),
            taints,
        })
    }

    /// Those of a cluster that ran before, the first one first.
    pub(crate) fn kept(data_dir: &Path) -> Vec<Self> {
        let kept = std::fs::read(data_dir.join(MACHINES_FILE)).ok();
        kept.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub(crate) fn keep(all: &[Self], data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(MACHINES_FILE);
        std::fs::write(&path, serde_json::to_vec(all)?).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The programs and images of real machines.
#[derive(Debug)]
pub(crate) struct Machines {
    artifacts: NodeArtifacts,
    /// Images that every machine has.
    apps: Vec<PathBuf>,
    /// What the platform runs on the first machine; a pool with taints is for a tenant's apps.
    platform: Vec<PathBuf>,
    /// A folder as the volume of the models holds it.
    models: PathBuf,
    acme: AcmeServer,
}

impl Machines {
    /// Builds what this machine does not have yet: minutes, the first time. `folder` takes a link to the models.
    pub(crate) fn ensure(folder: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Self> {
        let artifacts = NodeArtifacts::ensure(progress).context("the programs of a real node are missing")?;
        progress("images");
        let apps = images(&APP_IMAGES).context("the images are missing")?;
        let platform = images(&PLATFORM_IMAGES).context("the platform's images are missing")?;
        let store = images(&["models"])?.pop().context("no models")?;
        let models = folder.join("models");
        std::fs::create_dir_all(&models).with_context(|| format!("cannot make {}", models.display()))?;
        let link = models.join(MODELS_FOLDER);
        if !link.exists() {
            std::os::unix::fs::symlink(&store, &link).with_context(|| format!("cannot make {}", link.display()))?;
        }
        let acme = AcmeServer::ensure(&folder.join("acme")).context("the ACME server has no certificate")?;
        Ok(Self { artifacts, apps, platform, models, acme })
    }

    /// Where volumes of the cluster lie that keeps its data in `data_dir`.
    pub(crate) fn volumes(&self, data_dir: &Path) -> LocalVolumes {
        let seeds = [(MODELS_CLAIM.to_owned(), self.models.clone())].into();
        LocalVolumes { folder: data_dir.join("volumes"), seeds }
    }

    /// Starts a machine that has the images. `resolver` resolves names outside of its cluster.
    pub(crate) async fn start(
        &self,
        control_plane: &ControlPlane,
        machine: &Machine,
        resolver: PathBuf,
    ) -> anyhow::Result<Node> {
        let mut options = NodeOptions::new(&machine.name);
        options.number = machine.number;
        options.taints.clone_from(&machine.taints);
        options.labels = [("topology.kubernetes.io/zone".to_owned(), machine.zone.clone())].into();
        options.provider_id.clone_from(&machine.provider_id);
        options.resolver = Some(resolver);
        let is_first = machine.number == 0;
        options.acme = is_first.then(|| self.acme.clone());
        options.images.clone_from(&self.apps);
        if is_first {
            options.images.extend_from_slice(&self.platform);
        }
        Ok(Node::start(control_plane, &self.artifacts, &options).await?)
    }
}

/// Their processes end one after another, which takes seconds; the first node last.
pub(crate) async fn stop_nodes(nodes: Vec<(Machine, Node)>) -> anyhow::Result<()> {
    for (_, node) in nodes.into_iter().rev() {
        tokio::task::spawn_blocking(move || node.stop()).await??;
    }
    Ok(())
}

/// A machine that is only shown.
pub(crate) fn pretended(mut spec: NodeSpec) -> NodeSpec {
    let taint = NodeTaint { key: PRETENDED.into(), value: String::new(), effect: "NoSchedule".into() };
    spec.taints.push(taint);
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_machine_of_a_cluster_and_of_each_pool_with_taints_is_real() {
        let spec = |name: &str, tenant: Option<&str>| NodeSpec {
            name: name.into(),
            labels: [].into(),
            taints: tenant
                .iter()
                .map(|tenant| NodeTaint { key: "tenant".into(), value: (*tenant).into(), effect: "NoSchedule".into() })
                .collect(),
            provider_id: String::new(),
            instance_type: String::new(),
            zone: String::new(),
            address: None,
            cpu: 2,
            memory_mib: 1024,
            pods_max: 10,
        };
        let mut present: Vec<Machine> = Vec::new();
        let mut joins = |name: &str, tenant: Option<&str>| {
            let wanted = Machine::wanted(&present, &spec(name, tenant));
            let number = wanted.as_ref().map(|machine| machine.number);
            present.extend(wanted);
            number
        };
        let joined = [("a", None), ("b", None), ("c", Some("acme")), ("d", Some("acme")), ("e", Some("globex"))]
            .map(|(name, tenant)| joins(name, tenant));
        assert_eq!(joined, [Some(0), None, Some(1), None, Some(2)]);
        assert_eq!(joins("f", Some("initech")), None, "no more than a cluster may have");
    }
}
