//! Plugins that were not built with this checkout's Rust: in C, of an older and of a newer minor version.

use crate::common;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use landlord_conformance::{Config, Outcome};
use landlord_core::ports::ProviderKey;
use landlord_plugin_host::{Plugin, PluginFile, PluginOptions, Sandbox};
use landlord_provider_api::{ErrorKind, Inventory as _, Network as _, v1};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compiles a plugin in C against the header in `include`.
fn compile(source: &Path, include: &Path, library: &Path) {
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fPIC", "-shared", "-I"])
        .arg(include)
        .arg("-o")
        .arg(library)
        .arg(source)
        .output()
        .expect("a C compiler named cc is needed: install gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn load(library: &Path) -> Plugin {
    let options = PluginOptions {
        program: env!("CARGO_BIN_EXE_landlord-conformance").into(),
        call_deadline: Duration::from_secs(20),
        calls_max: 1,
        time_scale: 1.0,
        memory_max_mib: 0,
        environment: Vec::new(),
        sandbox: Sandbox::default(),
    };
    let key = ProviderKey { provider: "fixture".parse().unwrap(), credentials: "default".into() };
    let configure = v1::ConfigureRequest { config_json: "{}".into(), ..v1::ConfigureRequest::default() };
    Plugin::new(key, PluginFile::check(library, None).unwrap(), configure, options)
}

fn scope() -> Option<v1::Scope> {
    let tenant_uid = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b".into();
    Some(v1::Scope { installation: "test".into(), tenant_uid, region: "here".into(), ..v1::Scope::default() })
}

/// What a plugin of ABI 1.0 must still be able to do, whatever the daemon's minor version.
async fn is_served(plugin: &Plugin) {
    plugin.start().await.unwrap();
    assert_eq!(plugin.description().unwrap().name, "abi-1-0");
    let request = v1::EnsureNetworkRequest { scope: scope(), ..v1::EnsureNetworkRequest::default() };
    let response = plugin.ensure_network(request).await.unwrap();
    assert!(matches!(response.progress.unwrap().outcome, Some(v1::progress::Outcome::Ready(_))));
    assert_eq!(response.status.unwrap().network_id, "net");
    let refused = plugin.list_owned(v1::ListOwnedRequest::default()).await.unwrap_err();
    assert_eq!((refused.kind, refused.message.as_str()), (ErrorKind::Invalid, "not supported"));
}

#[tokio::test]
async fn a_plugin_of_abi_1_0_still_loads() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("abi-1-0.so");
    let fixture = checkout().join("plugins/api/fixtures/abi-1.0");
    compile(&fixture.join("plugin.c"), &fixture, &library);
    is_served(&load(&library)).await;
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[tokio::test]
async fn one_that_was_built_back_then_still_loads() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("abi-1-0.so");
    // A checkout may leave the file writable by its group, which the host refuses.
    fs::copy(checkout().join("plugins/api/fixtures/abi-1.0/plugin-x86_64-linux.so"), &library).unwrap();
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    is_served(&load(&library)).await;
}

#[tokio::test]
async fn a_plugin_of_a_later_minor_version_loads() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("newer.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi/newer.c");
    compile(&source, &checkout().join("plugins/api/include"), &library);
    let plugin = load(&library);
    plugin.start().await.unwrap();
    assert_eq!(plugin.description().unwrap().version, "1.9.0");
}

#[tokio::test]
async fn the_example_in_c_keeps_what_applies_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("provider-c.so");
    let example = checkout().join("examples/provider-c");
    compile(&example.join("provider.c"), &checkout().join("plugins/api/include"), &library);
    let config = Config::read(&example.join("conformance.toml")).unwrap();
    let report = landlord_conformance::run(common::at(&library, config, &[]), |_| {}).await.unwrap();
    assert!(report.failed().is_empty(), "{}", report.text());
    let passed: Vec<&str> =
        report.cases.iter().filter(|case| case.outcome == Outcome::Passed).map(|case| case.name.as_str()).collect();
    assert_eq!(
        passed,
        ["describe", "versions", "completions", "garbage", "configure", "validate", "capabilities", "delete-absent"]
    );
}
