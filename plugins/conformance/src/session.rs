//! The plugin's process as the daemon would run it: the real child, its sandbox, its deadlines. A session can start a
//! fresh process at any time, which remembers nothing.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use landlord_core::ports::ProviderKey;
use landlord_plugin_host::{Plugin, PluginFile, PluginOptions};
use landlord_provider_api::v1;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};

use crate::config::Config;

/// Calls at the same moment; as many as any case makes, and some.
const CALLS_MAX: u32 = 64;
/// Name of the provider in log lines; the plugin's own is only known once it runs.
const PROVIDER: &str = "conformance";

/// Distinguishes runs in one process.
static RUNS: AtomicUsize = AtomicUsize::new(1);

/// A plugin file, and the process that runs it now.
#[derive(Debug)]
pub struct Session {
    file: PluginFile,
    key: ProviderKey,
    configure: v1::ConfigureRequest,
    options: PluginOptions,
    current: Arc<Mutex<Arc<Plugin>>>,
}

impl Session {
    /// Checks the file; starts nothing yet. `program` is what is executed with `plugin-child`.
    ///
    /// # Errors
    /// Why the file is refused.
    pub fn new(library: &Path, program: PathBuf, config: &Config, endpoint: &str) -> Result<Self, String> {
        // The host refuses links; whoever names one on a command line means the file.
        let library = library.canonicalize().map_err(|error| format!("{}: {error}", library.display()))?;
        let file = PluginFile::check(&library, None).map_err(|error| error.to_string())?;
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let provider = PROVIDER.parse().map_err(|_| "the run has no name".to_owned())?;
        let key = ProviderKey { provider, credentials: format!("run-{run}") };
        let configure = v1::ConfigureRequest {
            installation: config.installation.clone(),
            config_json: Value::Object(config.provider.clone()).to_string(),
            credential_json: config.credential_json(),
            endpoint_override: endpoint.to_owned(),
        };
        let options = PluginOptions {
            program,
            call_deadline: Duration::from_millis(config.call_deadline_ms),
            calls_max: CALLS_MAX,
            time_scale: config.time_scale,
            memory_max_mib: 0,
            environment: config.environment.clone(),
            sandbox: config.sandbox.clone(),
        };
        let first = file.try_clone().map_err(|error| error.to_string())?;
        let plugin = Plugin::new(key.clone(), first, configure.clone(), options.clone());
        let current = Arc::new(Mutex::new(Arc::new(plugin)));
        Ok(Self { file, key, configure, options, current })
    }

    /// How the run's log lines are marked.
    #[must_use]
    pub fn mark(&self) -> String {
        self.key.to_string()
    }

    /// Hash of the plugin's file.
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.file.sha256()
    }

    /// The plugin of now.
    #[must_use]
    pub fn plugin(&self) -> Arc<Plugin> {
        Arc::clone(&self.current.lock())
    }

    /// Ends the process of now; the plugin that is given will start another.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn fresh(&self) -> Result<Arc<Plugin>, String> {
        let plugin = self.another(self.options.call_deadline, self.configure.clone())?;
        *self.current.lock() = Arc::clone(&plugin);
        Ok(plugin)
    }

    /// Another process beside the one of now, as a second daemon would have it.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn beside(&self) -> Result<Arc<Plugin>, String> {
        self.another(self.options.call_deadline, self.configure.clone())
    }

    /// A process whose calls have another deadline.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn hurried(&self, deadline: Duration) -> Result<Arc<Plugin>, String> {
        self.another(deadline, self.configure.clone())
    }

    /// A process that is given other settings or another credential.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn configured(
        &self,
        config_json: Option<String>,
        credential: Option<&Map<String, Value>>,
    ) -> Result<Arc<Plugin>, String> {
        let mut configure = self.configure.clone();
        if let Some(config_json) = config_json {
            configure.config_json = config_json;
        }
        if let Some(credential) = credential {
            configure.credential_json = Value::Object(credential.clone()).to_string().into_bytes();
        }
        self.another(self.options.call_deadline, configure)
    }

    fn another(&self, call_deadline: Duration, configure: v1::ConfigureRequest) -> Result<Arc<Plugin>, String> {
        let file = self.file.try_clone().map_err(|error| error.to_string())?;
        let options = PluginOptions { call_deadline, ..self.options.clone() };
        Ok(Arc::new(Plugin::new(self.key.clone(), file, configure, options)))
    }

    /// What kills the process of the moment at which it is called.
    #[must_use]
    pub fn killer(&self) -> Arc<dyn Fn() + Send + Sync> {
        let current = Arc::clone(&self.current);
        Arc::new(move || {
            let pid = current.lock().health().pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::KILL);
            }
        })
    }
}
