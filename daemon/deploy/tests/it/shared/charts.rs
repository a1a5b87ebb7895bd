//! Charts that want more than a tenant on a shared cluster may have: refused with the object's name, before anything
//! is applied.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, api::ListParams};
use landlord_core::{ErrorKind, ports::Apps as _};

use super::{
    support::{DeployOptions, Deployer},
    world::{World, place},
};

/// A chart's file, the name that the refusal must hold, and why.
const CASES: [(&str, &str, &str, &str); 7] = [
    (
        "templates/more.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader}\nrules: []\n",
        "ClusterRole reader",
        "cluster-scoped",
    ),
    (
        "templates/more.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: second}\n",
        "Namespace second",
        "cluster-scoped",
    ),
    (
        "templates/hook.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: hook\n  annotations: \
         {helm.sh/hook: pre-install}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: \
         cluster-admin}\n",
        "ClusterRoleBinding hook",
        "cluster-scoped",
    ),
    (
        "crds/widgets.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\n",
        "CustomResourceDefinition widgets.example.com",
        "cluster-scoped",
    ),
    (
        "templates/more.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open}\nspec: {podSelector: {}}\n",
        "NetworkPolicy open",
        "can't have",
    ),
    (
        "templates/more.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: elsewhere, namespace: kube-system}\n",
        "ConfigMap elsewhere",
        "kube-system",
    ),
    (
        "templates/more.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: unknown}\n",
        "Widget unknown",
        "can't have",
    ),
];

impl World {
    pub(crate) async fn charts_that_want_more_are_refused(&self) -> Result<()> {
        for (file, text, object, why) in CASES {
            let folder = tempfile::tempdir()?;
            let deployer = self.greedy_deployer(folder.path(), file, text).await?;
            let mut target = self.tenants[0].clone();
            target.stack = Some("greedy".parse()?);
            let refused = deployer.apps.ensure_release(&target, &"greedy".parse()?).await.err().context(object)?;
            ensure!(refused.kind == ErrorKind::Invalid && !refused.remedy.is_empty(), "{object}: {refused:?}");
            ensure!(refused.message.contains(object) && refused.message.contains(why), "{object}: {refused:?}");
        }
        let own = place(&self.tenants[0]).namespace.as_str();
        let maps: Api<ConfigMap> = Api::namespaced(self.scene.client.clone(), own);
        ensure!(maps.get_opt("harmless").await?.is_none(), "a part of a refused chart was applied");
        let records: Api<Secret> = Api::namespaced(self.scene.client.clone(), own);
        let records = records.list(&ListParams::default().labels("owner=helm,name=greedy")).await?;
        ensure!(records.items.is_empty(), "a refused chart left a record");
        Ok(())
    }

    /// Helm is the recorder of the scene; its files never hold the daemon's token.
    pub(crate) fn helm_never_saw_our_token(&self) -> Result<()> {
        let seen = std::fs::read_to_string(self.scene.folder.path().join("accesses"))?;
        ensure!(seen.matches("\"token\":").count() >= 12, "no access was recorded");
        ensure!(
            !seen.contains(super::asking::token(&self.tenants[0].kube.identity)?),
            "Helm got the daemon's own token"
        );
        Ok(())
    }

    async fn greedy_deployer(&self, folder: &Path, file: &str, text: &str) -> Result<Deployer> {
        let chart = folder.join("stacks/greedy/chart");
        for sub in ["templates", "crds"] {
            std::fs::create_dir_all(chart.join(sub))?;
        }
        let manifest = "apiVersion: landlord.dev/v1\nkind: Stack\nnamespace: greedy\nreleases:\n- {name: greedy, chart: \
                        chart, expectedSeconds: 1, contract: false}\n";
        std::fs::write(folder.join("stacks/greedy/stack.yaml"), manifest)?;
        std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: greedy\nversion: 0.1.0\n")?;
        std::fs::write(
            chart.join("templates/harmless.yaml"),
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: harmless}\n",
        )?;
        std::fs::write(chart.join(file), text)?;
        Ok(Deployer::open(DeployOptions {
            stacks_dir: folder.join("stacks"),
            helm_path: self.scene.artifacts.helm.clone(),
            helm_version: ">=4.3.0, <5.0.0".into(),
            state_dir: folder.join("state"),
            helm_processes_max: 1,
            gateway_api_crds: None,
            removal_timeout: landlord_isolation::REMOVAL_TIMEOUT,
        })
        .await?)
    }
}
