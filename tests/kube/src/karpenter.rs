//! Karpenter with its provider of kwok nodes, against a control plane: nodes for pods that wait, without a cloud.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::{Error, Result},
    free_port,
    go_program::GoProgram,
    process::Process,
};

const KARPENTER: &str = "sigs.k8s.io/karpenter";
const PROGRAM: GoProgram = GoProgram {
    name: "karpenter",
    sources: &[
        ("go.mod", include_str!("../karpenter/go.mod")),
        ("go.sum", include_str!("../karpenter/go.sum")),
        ("tools.go", include_str!("../karpenter/tools.go")),
    ],
    command: "sigs.k8s.io/karpenter/kwok",
    folders: &[(KARPENTER, "pkg/apis/crds"), (KARPENTER, "kwok/apis/crds")],
};

/// A running Karpenter. Dropping it kills it.
#[derive(Debug)]
pub struct Karpenter {
    process: Process,
}

impl Karpenter {
    /// Program and folder of its definitions, built first if they are missing: some minutes on two cores.
    ///
    /// # Errors
    /// As [`cyclonus`](crate::cyclonus).
    pub fn ensure(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        PROGRAM.ensure(progress)
    }

    /// The definitions of NodePools, NodeClaims and kwok's node classes, one file each.
    #[must_use]
    pub fn definitions(program: &Path) -> PathBuf {
        program.with_file_name("crds")
    }

    /// Starts it on a cluster that knows its definitions; `folder` gets its log.
    ///
    /// # Errors
    /// A program that can't be started, an unusable folder.
    pub fn start(program: &Path, kubeconfig: &Path, folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        let port = || free_port().map_err(Error::file("find free ports for", program));
        let (metrics, health) = (port()?, port()?);
        command
            .env("KUBECONFIG", kubeconfig)
            .env("SYSTEM_NAMESPACE", "kube-system")
            .env("DISABLE_LEADER_ELECTION", "true")
            .env("METRICS_PORT", metrics.to_string())
            .env("HEALTH_PROBE_PORT", health.to_string());
        Ok(Self { process: Process::start("karpenter", command, &folder.join("karpenter.log"))? })
    }

    /// Whether it still runs; else the end of its log.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }
}
