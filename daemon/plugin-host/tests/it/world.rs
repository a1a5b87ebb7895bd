//! What the tests share: a folder, plugins in it, and calls to them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use landlord_core::ports::ProviderKey;
use landlord_plugin_host::{Plugin, PluginFile, PluginOptions, Sandbox};
use landlord_provider_api::{Network as _, ProviderError, v1};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Long enough for a machine that is busy with other tests.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(20);
/// For tests that wait for it to pass. The calls with which a plugin starts have it too, on a machine that is busy with other tests.
pub(crate) const SHORT_DEADLINE: Duration = Duration::from_secs(2);
/// What must never be seen outside the child's memory.
pub(crate) const SECRET: &str = "correct-horse-battery-staple";

/// A folder that goes with the test.
pub(crate) struct World {
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A plugin of the fake cloud, with these faults in its script.
    pub(crate) fn fake(&self, scope: &str, faults: Value) -> Arc<Plugin> {
        self.fake_with(scope, faults, options())
    }

    pub(crate) fn fake_with(&self, scope: &str, faults: Value, options: PluginOptions) -> Arc<Plugin> {
        self.script(scope, faults);
        let settings = json!({
            "state_dir": self.path(scope),
            "faults_file": self.path(&format!("{scope}.faults")),
        });
        let file = PluginFile::check(&fake_library(), None).unwrap();
        Arc::new(Plugin::new(key(scope), file, configure(&settings), options))
    }

    /// Replaces the script of a fake cloud.
    pub(crate) fn script(&self, scope: &str, faults: Value) {
        let file = self.path(&format!("{scope}.faults"));
        let new = self.path("faults.new");
        fs::write(&new, faults.to_string()).unwrap();
        fs::rename(&new, &file).unwrap();
    }
}

pub(crate) fn key(scope: &str) -> ProviderKey {
    ProviderKey { provider: "fake".parse().unwrap(), credentials: scope.into() }
}

pub(crate) fn configure(settings: &Value) -> v1::ConfigureRequest {
    v1::ConfigureRequest {
        installation: "test".into(),
        config_json: settings.to_string(),
        credential_json: json!({"secret": SECRET}).to_string().into_bytes(),
        endpoint_override: String::new(),
    }
}

pub(crate) fn options() -> PluginOptions {
    PluginOptions {
        program: env!("CARGO_BIN_EXE_landlord-plugin-child").into(),
        call_deadline: CALL_DEADLINE,
        calls_max: 64,
        time_scale: 1.0,
        memory_max_mib: 0,
        environment: vec!["PATH".into()],
        // The fake cloud lives in files of the tests' folders.
        sandbox: Sandbox { write_paths: vec![std::env::temp_dir()], ..Sandbox::default() },
    }
}

pub(crate) fn short() -> PluginOptions {
    PluginOptions { call_deadline: SHORT_DEADLINE, ..options() }
}

/// Compiles a plugin in C from `source` beside these tests.
pub(crate) fn compile(source: &str, library: &Path, flags: &[String]) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(here.join("../../plugins/api/include"))
        .args(flags)
        .arg("-o")
        .arg(library)
        .arg(here.join("tests/it").join(source))
        .output()
        .expect("a C compiler named cc is needed: install gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The fake plugin's library, which cargo puts beside this program.
pub(crate) fn fake_library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.parent().unwrap().join("liblandlord_plugin_fake.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

pub(crate) fn scope(uid: &str) -> v1::Scope {
    v1::Scope { installation: "test".into(), tenant_uid: uid.into(), region: "here".into(), ..v1::Scope::default() }
}

pub(crate) fn network(uid: &str) -> v1::EnsureNetworkRequest {
    v1::EnsureNetworkRequest { scope: Some(scope(uid)), ..v1::EnsureNetworkRequest::default() }
}

/// One call; what it returns when all is well.
pub(crate) async fn call(plugin: &Plugin) -> Result<(), ProviderError> {
    let response = plugin.ensure_network(network("t1")).await?;
    let outcome = response.progress.unwrap_or_default().outcome;
    assert!(matches!(outcome, Some(v1::progress::Outcome::Ready(_))), "{outcome:?}");
    Ok(())
}

pub(crate) fn pid(plugin: &Plugin) -> u32 {
    plugin.health().pid.expect("a running child")
}

/// Waits for a process to end (a zombie has ended).
pub(crate) async fn wait_for_end(pid: u32) {
    for _ in 0..200 {
        let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        let ended = stat.map_or(true, |stat| stat.contains(") Z "));
        if ended {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("process {pid} still runs");
}
