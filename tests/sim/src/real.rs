//! One real machine for each simulated cluster: the first that joins runs containers, those that join later are only shown
//! and take no pods. Needs root.
//!
//! Knows no cloud. Images are those of `landlord-test-kube`, since none can be pulled.

use anyhow::Context;
use landlord_test_kube::{
    AcmeServer, ControlPlane, Node, NodeArtifacts, NodeOptions, STACK_IMAGES,
    cloud::{LocalVolumes, NodeSpec, NodeTaint},
    images,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The claim whose volume holds the models from the beginning.
const MODELS_CLAIM: &str = "llm";
/// Where the LLM server of that stack keeps them in its volume.
const MODELS_FOLDER: &str = "store";
/// In a cluster's folder: which machine of it runs containers.
const MACHINE_FILE: &str = "real-machine.json";
/// On machines that run no containers.
const PRETENDED: &str = "landlord.test/pretended";

/// The machine that runs containers, as its cluster's folder keeps it for whoever continues from there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    name: String,
    zone: String,
    provider_id: String,
}

impl Machine {
    pub(crate) fn new(spec: &NodeSpec) -> Self {
        Self { name: spec.name.clone(), zone: spec.zone.clone(), provider_id: spec.provider_id.clone() }
    }

    /// The one of a cluster that ran before.
    pub(crate) fn kept(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(data_dir.join(MACHINE_FILE)).ok()?).ok()
    }

    pub(crate) fn keep(&self, data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(MACHINE_FILE);
        std::fs::write(&path, serde_json::to_vec(self)?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// It has left its cluster.
    pub(crate) fn forget(data_dir: &Path) {
        let _ = std::fs::remove_file(data_dir.join(MACHINE_FILE));
    }
}

/// The programs and images of real machines.
#[derive(Debug)]
pub(crate) struct Machines {
    artifacts: NodeArtifacts,
    archives: Vec<PathBuf>,
    /// A folder as the volume of the models holds it.
    models: PathBuf,
    acme: AcmeServer,
}

impl Machines {
    /// Builds what this machine does not have yet: minutes, the first time. `folder` takes a link to the models.
    pub(crate) fn ensure(folder: &Path, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Self> {
        let artifacts = NodeArtifacts::ensure(progress).context("the programs of a real node are missing")?;
        progress("images");
        let archives = images(&STACK_IMAGES).context("the images are missing")?;
        let store = images(&["models"])?.pop().context("no models")?;
        let models = folder.join("models");
        std::fs::create_dir_all(&models).with_context(|| format!("cannot make {}", models.display()))?;
        let link = models.join(MODELS_FOLDER);
        if !link.exists() {
            std::os::unix::fs::symlink(&store, &link).with_context(|| format!("cannot make {}", link.display()))?;
        }
        let acme = AcmeServer::ensure(&folder.join("acme")).context("the ACME server has no certificate")?;
        Ok(Self { artifacts, archives, models, acme })
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
        options.labels = [("topology.kubernetes.io/zone".to_owned(), machine.zone.clone())].into();
        options.provider_id.clone_from(&machine.provider_id);
        options.resolver = Some(resolver);
        options.acme = Some(self.acme.clone());
        options.images.clone_from(&self.archives);
        Ok(Node::start(control_plane, &self.artifacts, &options).await?)
    }
}

/// A machine that is only shown.
pub(crate) fn pretended(mut spec: NodeSpec) -> NodeSpec {
    let taint = NodeTaint { key: PRETENDED.into(), value: String::new(), effect: "NoSchedule".into() };
    spec.taints.push(taint);
    spec
}
