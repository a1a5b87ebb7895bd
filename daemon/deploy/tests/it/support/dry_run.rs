//! The shipped charts as the API server would take them, without taking them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{
    NAMESPACE, Scene,
    shipped::{CHARTS, contract, helm},
};

impl Scene {
    /// Renders every chart and applies it with `--dry-run=server`: schemas, defaulting and admission (Pod Security
    /// `restricted` of the stack's namespace) are the real API server's.
    pub(crate) fn charts_pass_a_server_side_dry_run(&self) -> Result<()> {
        for chart in CHARTS {
            let rendered = helm(&["template", "--namespace", NAMESPACE, chart], chart, &contract())?;
            ensure!(rendered.status.success(), "{chart}: {}", String::from_utf8_lossy(&rendered.stderr));
            let message = self.dry_run(&String::from_utf8(rendered.stdout)?).with_context(|| chart.to_owned())?;
            ensure!(message.contains("server dry run"), "{chart}: {message}");
            ensure!(!message.contains("would violate PodSecurity"), "{chart}: {message}");
        }
        let privileged = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: i, \
                          securityContext: {privileged: true}}]\n";
        let refused = self.dry_run(privileged).err().context("a privileged pod was not refused")?;
        ensure!(refused.to_string().contains("violates PodSecurity"), "{refused}");
        Ok(())
    }

    fn dry_run(&self, manifest: &str) -> Result<String> {
        let file = self.folder.path().join("dry-run.yaml");
        std::fs::write(&file, manifest)?;
        let output = Command::new(&self.artifacts.kubebox)
            .args(["kubectl", "apply", "--server-side", "--dry-run=server", "--namespace", NAMESPACE])
            .arg("--kubeconfig")
            .arg(self.control_plane.admin_kubeconfig_path())
            .arg("--filename")
            .arg(file)
            .stdin(Stdio::null())
            .output()?;
        let message = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{message}");
        Ok(message)
    }
}
