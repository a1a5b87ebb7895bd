//! The library as the daemon runs it: loaded by a child process in its sandbox, which may read one folder. Its kubeconfig
//! there works, one elsewhere does not, and the process stays small.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the other test's half of it")]
mod scene;

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use landlord_core::ports::ProviderKey;
use landlord_plugin_host::{Plugin, PluginFile, PluginOptions, Sandbox};
use landlord_provider_api::{Cluster as _, ErrorKind, Inventory as _, v1};
use scene::{Scene, scope};
use serde_json::json;

/// Some 26 MiB were measured in a debug build, most of it the loaded libraries.
const RESIDENT_KIB_MAX: u64 = 64 * 1024;
const UID: &str = "0192f0c1-5f0e-7b3a-9c51-d1a8c1b2e3f4";

fn main() {
    if std::env::args().nth(1).as_deref() == Some("plugin-child") {
        landlord_plugin_host::run_child();
    }
    // Run by cargo's and other tools to list the tests there are.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(a_cluster_is_adopted_from_inside_the_sandbox());
    // As libtest says it: `cargo xtask test` counts by this line.
    let _ = writeln!(std::io::stdout(), "test result: ok. 1 passed; 0 failed; 0 ignored");
}

fn plugin(kubeconfig: &Path, readable: &Path, port: u16) -> Plugin {
    let program = std::env::current_exe().unwrap();
    // Cargo puts the library beside the tests.
    let library = program.parent().unwrap().join("liblandlord_plugin_kubernetes.so");
    let file = PluginFile::check(&library, None).unwrap();
    let key = ProviderKey { provider: "kubernetes".parse().unwrap(), credentials: "cellar".into() };
    let configure = v1::ConfigureRequest {
        installation: "test".into(),
        credential_json: json!({ "kind": "kubeconfig_file", "path": kubeconfig }).to_string().into_bytes(),
        ..v1::ConfigureRequest::default()
    };
    let options = PluginOptions {
        program,
        call_deadline: Duration::from_secs(60),
        calls_max: 64,
        time_scale: 1.0,
        memory_max_mib: 4_096,
        environment: Vec::new(),
        sandbox: Sandbox { read_paths: vec![readable.to_owned()], connect_ports: vec![port], ..Sandbox::default() },
    };
    Plugin::new(key, file, configure, options)
}

async fn a_cluster_is_adopted_from_inside_the_sandbox() {
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (readable, elsewhere) = (folder.path().join("readable"), folder.path().join("elsewhere"));
    for place in [&readable, &elsewhere] {
        fs::create_dir(place).unwrap();
        fs::write(place.join("kubeconfig"), scene.kubeconfig(&scene.certificate_user())).unwrap();
        fs::set_permissions(place.join("kubeconfig"), Permissions::from_mode(0o600)).unwrap();
    }

    let port = scene.plane.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let blind = plugin(&elsewhere.join("kubeconfig"), &readable, port);
    let refused = blind.start().await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid, "{refused:?}");
    assert!(refused.remedy.contains("sandbox.read_paths"), "{refused:?}");
    assert!(blind.health().detail.contains("sandbox.read_paths"), "{:?}", blind.health());

    let request = v1::EnsureClusterRequest { scope: scope(UID), ..Default::default() };
    let shut_in = plugin(&readable.join("kubeconfig"), &readable, 443);
    let refused = shut_in.ensure_cluster(request.clone()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid, "{refused:?}");
    assert!(refused.remedy.contains("sandbox.connect_ports"), "{refused:?}");

    let plugin = plugin(&readable.join("kubeconfig"), &readable, port);
    plugin.start().await.unwrap();
    assert_eq!(plugin.description().unwrap().capabilities, ["adopts-clusters"]);
    let status = plugin.ensure_cluster(request).await.unwrap().status.unwrap();
    assert_eq!(status.endpoint, scene.plane.endpoint());
    let request = v1::KubeAccessRequest { scope: scope(UID), cluster: Some(status) };
    let access = plugin.kube_access(request).await.unwrap();
    assert_eq!(access.client_key_pem, scene.admin_key);
    let request = v1::ListOwnedRequest { scope: scope(UID), page_token: String::new() };
    assert!(plugin.list_owned(request).await.unwrap().objects.is_empty());

    let process = format!("/proc/{}/status", plugin.health().pid.unwrap());
    let status = fs::read_to_string(process).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    let _ = writeln!(std::io::stderr(), "the plugin's process has {} MiB resident", kib / 1024);
    assert!(kib < RESIDENT_KIB_MAX, "{kib} KiB");
    assert_eq!(plugin.health().restarts, 0);
    scene.stop().await;
}
