//! Starts one Kubernetes control plane with two nodes and keeps it until Ctrl-C:
//! `cargo run -p landlord-test-kube --example up [FOLDER]`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use landlord_test_kube::{
    Artifacts, ControlPlane, ControlPlaneOptions,
    cloud::{NodeSpec, add_nodes},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("landlord-kube-{}", std::process::id())),
        std::path::PathBuf::from,
    );
    let artifacts = tokio::task::spawn_blocking(|| Artifacts::ensure(&mut |line| eprintln!("{line}"))).await??;
    let kubebox = artifacts.kubebox.clone();
    let control_plane = ControlPlane::start(ControlPlaneOptions::new(artifacts, &folder)).await?;
    let nodes = ["a", "b"].map(|zone| NodeSpec {
        name: format!("node-{zone}"),
        labels: [("topology.kubernetes.io/region".to_owned(), "local".to_owned())].into(),
        taints: Vec::new(),
        provider_id: format!("example:///local-{zone}/node-{zone}"),
        instance_type: "large".into(),
        zone: format!("local-{zone}"),
        address: None,
        cpu: 8,
        memory_mib: 32_768,
        pods_max: 110,
    });
    add_nodes(&control_plane.kube_client()?, &nodes).await?;
    println!("{} runs; it ends with Ctrl-C. Try:", control_plane.endpoint());
    println!("export KUBECONFIG={}", control_plane.admin_kubeconfig_path().display());
    println!("{} kubectl get nodes", kubebox.display());
    tokio::signal::ctrl_c().await?;
    for (part, bytes) in control_plane.resident_bytes() {
        println!("{part}: {} MiB", bytes >> 20);
    }
    control_plane.stop().await;
    Ok(())
}
