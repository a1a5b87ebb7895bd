//! A world with real nodes, and what to inspect when something in it fails.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use landlord_e2e::binaries;
use landlord_test_harness::{Cli, Cloud, World, WorldOptions, real};
use landlord_test_kube::{Artifacts, ensure_stack};

/// 60 times faster than real time: the cloud's part takes a quarter of a minute.
const SCALE: f64 = 1.0 / 60.0;

pub(crate) struct Scene {
    pub(crate) world: World,
    artifacts: Artifacts,
}

impl Scene {
    pub(crate) fn start(cloud: &'static Cloud) -> Self {
        let artifacts = Artifacts::ensure(&mut |line| eprintln!("{line}")).unwrap();
        ensure_stack(&mut |line| eprintln!("{line}")).unwrap();
        let options = WorldOptions {
            time_scale: SCALE,
            kubernetes: Some(artifacts.clone()),
            clouds: vec![cloud],
            real_node: true,
            extra_config: cloud.real_classes() + &real::values(),
            ..WorldOptions::default()
        };
        Self { world: World::temporary(binaries().unwrap(), &options).unwrap(), artifacts }
    }

    pub(crate) fn cli(&self) -> Cli {
        self.world.cli()
    }

    pub(crate) fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    pub(crate) fn reach(&self, name: &str, state: &str, patience: Duration) {
        if let Err(error) = self.cli().wait_for(name, state, patience) {
            let reported = self.cli().ok(&["describe", name]).unwrap_or_default();
            panic!("{error:#}\n{reported}\n{}\n{}", self.why(), self.world.log_tail(40));
        }
    }

    /// kubectl as the cluster's own administrator.
    pub(crate) fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.artifacts.kubebox);
        command.arg("kubectl").arg("--kubeconfig").arg(self.cluster().join("admin.kubeconfig"));
        command
    }

    /// Folder of the only cluster.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.world.clusters().pop().unwrap()
    }

    pub(crate) fn run(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {reported}\n{}", self.why());
        text(&output)
    }

    /// What nodes, pods, events and logs say.
    fn why(&self) -> String {
        let observations: [&[&str]; 9] = [
            &["get", "gateways,httproutes,certificates,challenges,clusterissuers", "-A", "-o", "yaml"],
            &["logs", "-n", "cert-manager", "deployment/cert-manager", "--tail=40"],
            &["logs", "-n", "envoy-gateway-system", "deployment/envoy-gateway", "--tail=40"],
            &["get", "nodes,pods,pvc,services", "-A", "-o", "wide"],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
            &["logs", "-n", "ai-fileserver", "deployment/files", "--tail=30"],
            &["logs", "-n", "ai-fileserver", "deployment/chat", "-c", "chat", "--tail=40"],
            &["logs", "-n", "ai-fileserver", "deployment/chat", "-c", "documents", "--tail=30"],
            &["logs", "-n", "ai-fileserver", "deployment/llm", "--all-containers", "--tail=30"],
        ];
        let show = |observation: &&[&str]| {
            let reported = self.kubectl().args(*observation).output().map(|output| text(&output)).unwrap_or_default();
            format!("--- {observation:?}\n{reported}")
        };
        observations.iter().map(show).collect()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
