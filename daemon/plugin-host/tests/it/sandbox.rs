//! A plugin that tries to leave its sandbox, and is refused by the kernel.

use std::{collections::BTreeMap, fs, net::TcpListener, sync::Arc};

use landlord_core::ports::Providers as _;
use landlord_plugin_host::{Plugin, PluginFile, PluginHost, PluginOptions, Sandbox};
use landlord_provider_api::{ErrorKind, Network as _};
use serde_json::json;

use crate::world::{World, compile, configure, key, network, options};

/// How each attempt ended: `done`, or the name of the error. The second of two listening ports is granted.
async fn attempts(world: &World, mut sandbox: Sandbox) -> BTreeMap<String, String> {
    let listeners = [0, 1].map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let [open, granted] = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    sandbox.connect_ports = vec![granted];
    let library = world.path("escape.so");
    let flags = [
        "-std=gnu11".to_owned(),
        format!("-DFOLDER=\"{}\"", world.dir.path().display()),
        format!("-DOPEN_PORT={open}"),
        format!("-DGRANTED_PORT={granted}"),
    ];
    compile("escape.c", &library, &flags);
    fs::write(world.path("secret"), "s").unwrap();
    fs::write(world.path("token"), "t").unwrap();
    fs::create_dir_all(world.path("granted")).unwrap();
    let file = PluginFile::check(&library, None).unwrap();
    let options = PluginOptions { sandbox, ..options() };
    let plugin = Plugin::new(key("escape"), file, configure(&json!({})), options);
    let error = plugin.ensure_network(network("t1")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    let reported = error.message.split(';').filter_map(|part| part.split_once('='));
    reported.map(|(what, how)| (what.to_owned(), how.to_owned())).collect()
}

#[tokio::test]
async fn what_is_forbidden_is_refused_and_what_is_granted_works() {
    let world = World::new();
    let sandbox = Sandbox {
        read_paths: vec![world.path("token")],
        write_paths: vec![world.path("granted")],
        ..Sandbox::default()
    };
    // Granted paths must exist when the process starts.
    fs::write(world.path("token"), "t").unwrap();
    fs::create_dir_all(world.path("granted")).unwrap();
    let ended = attempts(&world, sandbox).await;
    let expected = [
        ("read-password-file", "EACCES"),
        ("read-proc-of-parent", "EACCES"),
        ("read-secret", "EACCES"),
        ("write", "EACCES"),
        ("write-granted", "done"),
        ("read-granted", "done"),
        ("write-read-only", "EACCES"),
        ("resolver", "done"),
        ("exec", "EPERM"),
        ("listen", "EACCES"),
        ("connect", "EACCES"),
        ("connect-granted", "done"),
        ("ptrace", "EPERM"),
        ("mount", "EPERM"),
        ("namespace", "EPERM"),
        ("bpf", "EPERM"),
        ("keyring", "EPERM"),
        ("kill-parent", "EPERM"),
        ("core-dump", "EPERM"),
    ];
    for (what, how) in expected {
        assert_eq!(ended.get(what).map(String::as_str), Some(how), "{what}: {ended:#?}");
    }
    assert_eq!(ended.len(), expected.len(), "{ended:#?}");
}

/// The same plugin without a sandbox gets further, or the test above would prove nothing.
#[tokio::test]
async fn without_a_sandbox_the_same_attempts_succeed() {
    let world = World::new();
    let ended = attempts(&world, Sandbox { enabled: false, ..Sandbox::default() }).await;
    for what in ["read-password-file", "read-secret", "write", "exec", "listen", "connect", "ptrace"] {
        assert_eq!(ended[what], "done", "{what}: {ended:#?}");
    }
}

#[tokio::test]
async fn a_granted_path_that_is_missing_is_reported() {
    let world = World::new();
    let options = PluginOptions {
        sandbox: Sandbox { read_paths: vec!["/no/such/token".into()], ..Sandbox::default() },
        ..options()
    };
    let plugin = world.fake_with("default", json!([]), options);
    let host = PluginHost::new([(key("default"), Arc::clone(&plugin))].into());
    assert_eq!(host.start_failure(&key("default")), None, "no start has failed yet");
    let error = plugin.start().await.unwrap_err();
    assert!(error.message.contains("/no/such/token") && error.message.contains("sandbox"), "{error}");
    assert!(error.message.contains("make it exist"), "no remedy that helps: {error}");
    assert!(host.start_failure(&key("default")).is_some_and(|why| why.contains("/no/such/token")));
    assert!(host.start_failure(&key("other")).is_some_and(|why| why.contains("not configured")));
}
