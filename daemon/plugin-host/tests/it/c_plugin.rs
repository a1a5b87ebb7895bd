//! Plugins in C: the contract does not lean on Rust, and what does not keep it is refused.

use std::{path::PathBuf, sync::Arc};

use landlord_plugin_host::{Plugin, PluginFile};
use landlord_provider_api::{ErrorKind, Network as _, v1};
use serde_json::json;

use crate::world::{World, compile, configure, key, network, options};

fn library(world: &World, defines: &[&str]) -> PathBuf {
    let path = world.path("c.so");
    let defines = defines.iter().map(|define| format!("-D{define}"));
    compile("plugin.c", &path, &["-std=c11".to_owned()].into_iter().chain(defines).collect::<Vec<_>>());
    path
}

fn plugin(world: &World, defines: &[&str]) -> Arc<Plugin> {
    let file = PluginFile::check(&library(world, defines), None).unwrap();
    Arc::new(Plugin::new(key("c"), file, configure(&json!({})), options()))
}

#[tokio::test]
async fn a_plugin_in_c_works() {
    let world = World::new();
    let plugin = plugin(&world, &[]);
    plugin.start().await.unwrap();
    assert_eq!(plugin.description().unwrap().name, "c");
    let response = plugin.ensure_network(network("t1")).await.unwrap();
    assert_eq!(response, v1::EnsureNetworkResponse::default());
}

async fn refused(defines: &[&str], why: &str) {
    let world = World::new();
    let plugin = plugin(&world, defines);
    let error = plugin.start().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(error.message.contains(why), "{error}");
    assert!(error.message.contains("c.so"), "names the file: {error}");
    assert!(error.remedy.contains("operator"), "names who must do what: {error:?}");
    let health = plugin.health();
    assert!(!health.healthy && health.detail.contains(why), "{health:?}");
}

#[tokio::test]
async fn what_is_not_a_plugin_is_refused() {
    refused(&["NO_SYMBOL"], "exports no symbol landlord_plugin").await;
    refused(&["NULL_TABLE"], "its table is null").await;
    refused(&["MAGIC=1"], "magic number").await;
    refused(&["MAJOR=2"], "built for ABI 2.").await;
    refused(&["SIZE=32"], "its table has 32 bytes").await;
    refused(&["NO_INSTANCE"], "could not make an instance").await;
}

#[tokio::test]
async fn a_file_that_only_looks_like_a_library() {
    let world = World::new();
    let path = world.path("c.so");
    std::fs::write(&path, b"\x7fELF but nothing more").unwrap();
    let file = PluginFile::check(&path, None).unwrap();
    let plugin = Plugin::new(key("c"), file, configure(&json!({})), options());
    let error = plugin.start().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(error.message.contains("can't be loaded"), "{error}");
}

#[tokio::test]
async fn a_call_that_is_completed_twice_ends_the_process_and_reports_it() {
    let world = World::new();
    let plugin = plugin(&world, &["TWICE"]);
    // Its first completion is a response like any other.
    plugin.ensure_network(network("t1")).await.unwrap();
    let ended = async {
        while plugin.health().healthy {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::world::CALL_DEADLINE, ended).await.unwrap();
    assert!(plugin.health().detail.contains("completed exactly once"), "{:?}", plugin.health());
}

#[tokio::test]
async fn a_response_longer_than_a_frame_costs_only_itself() {
    let world = World::new();
    let plugin = plugin(&world, &["OVERSIZE"]);
    let error = plugin.ensure_network(network("t1")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal, "{error}");
    assert!(error.message.contains("longer than a frame"), "{error}");
    assert!(plugin.health().healthy);
}

#[tokio::test]
async fn junk_on_the_socket_costs_a_restart() {
    let world = World::new();
    let plugin = plugin(&world, &["SCRIBBLE"]);
    let error = plugin.ensure_network(network("t1")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient, "{error}");
    assert!(error.message.contains("garbage"), "{error}");
    plugin.start().await.unwrap();
    assert_eq!(plugin.health().restarts, 1);
}
