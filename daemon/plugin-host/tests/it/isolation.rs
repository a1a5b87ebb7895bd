//! What the child is given, and that it does not outlive the daemon.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use landlord_provider_api::Provider as _;
use serde_json::json;

use crate::world::{CALL_DEADLINE, SECRET, World, call, pid, wait_for_end};

/// Makes the test program stand in for the daemon: scope and folder.
const PARENT: &str = "LANDLORD_TEST_PARENT";

#[tokio::test]
async fn secrets_and_environment_stay_outside() {
    let world = World::new();
    let plugin = world.fake("default", json!([]));
    call(&plugin).await.unwrap();
    let process = format!("/proc/{}", pid(&plugin));
    let arguments = fs::read(format!("{process}/cmdline")).unwrap();
    let arguments = String::from_utf8_lossy(&arguments);
    assert!(arguments.ends_with("plugin-child\0"), "{arguments}");
    assert!(!arguments.contains(SECRET));
    match fs::read(format!("{process}/environ")) {
        Ok(environment) => {
            let environment = String::from_utf8_lossy(&environment);
            let names: Vec<_> = environment.split('\0').filter_map(|entry| Some(entry.split_once('=')?.0)).collect();
            assert_eq!(names, ["PATH"]);
        }
        // The process shut itself to its own user; only root can look inside.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let shown = format!("{plugin:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn dropping_the_plugin_ends_its_process() {
    let world = World::new();
    let plugin = world.fake("default", json!([]));
    call(&plugin).await.unwrap();
    let pid = pid(&plugin);
    drop(plugin);
    wait_for_end(pid).await;
}

/// Does nothing by itself; as a process of its own it is the daemon that is killed.
#[tokio::test]
async fn stand_in_for_the_daemon() {
    let Ok(dir) = std::env::var(PARENT) else { return };
    let world = World { dir: tempfile::tempdir_in(dir).unwrap() };
    let block = json!([{"method": "EnsureNetwork", "action": "block"}]);
    let plugin = world.fake("default", block);
    plugin.start().await.unwrap();
    fs::write(world.dir.path().parent().unwrap().join("pid"), pid(&plugin).to_string()).unwrap();
    // The child's main thread is stuck from here on.
    let _ = tokio::join!(call(&plugin), async {
        tokio::time::sleep(CALL_DEADLINE / 100).await;
        println_line("ready");
        tokio::time::sleep(CALL_DEADLINE).await;
    });
}

#[expect(clippy::print_stdout, reason = "how this process speaks to the one that started it")]
fn println_line(line: &str) {
    println!("\n{line}");
}

#[tokio::test]
async fn the_child_ends_with_a_killed_daemon_even_when_stuck() {
    let world = World::new();
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["isolation::stand_in_for_the_daemon", "--exact", "--nocapture"])
        .env(PARENT, world.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
    let child: u32 = fs::read_to_string(world.path("pid")).unwrap().parse().unwrap();
    assert!(fs::exists(format!("/proc/{child}")).unwrap());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    wait_for_end(child).await;
}

#[tokio::test]
async fn a_changed_file_does_not_change_what_is_loaded() {
    let world = World::new();
    let path = world.path("plugin.so");
    fs::copy(crate::world::fake_library(), &path).unwrap();
    let file = landlord_plugin_host::PluginFile::check(&path, None).unwrap();
    fs::write(&path, b"something else").unwrap();
    let settings = json!({"state_dir": world.path("cloud")});
    let plugin = landlord_plugin_host::Plugin::new(
        crate::world::key("default"),
        file,
        crate::world::configure(&settings),
        crate::world::options(),
    );
    plugin.start().await.unwrap();
    assert_eq!(plugin.describe(Default::default()).await.unwrap().name, "fake");
}
