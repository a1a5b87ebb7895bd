//! The plugin's settings (`config_json`).

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use landlord_provider_api::{ErrorKind, ProviderError};
use serde::Deserialize;

use crate::fault::Fault;

/// JSON Schema of [`Config`].
pub(crate) const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["state_dir"],
  "additionalProperties": false,
  "properties": {
    "state_dir": {"type": "string", "description": "Folder that is the cloud."},
    "duration_ms": {"type": "integer", "minimum": 0, "description": "How long any work takes."},
    "durations_ms": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0},
      "description": "How long the work of a method takes, for example {\"EnsureCluster\": 500}."},
    "poll_after_ms": {"type": "integer", "minimum": 0},
    "faults": {"type": "array", "items": {"type": "object"}},
    "faults_file": {"type": "string", "description": "JSON array of faults, read at every call."},
    "defects": {"type": "array", "items": {"enum": ["forgetful", "forgets-marker", "absent-is-an-error",
      "prints-credential", "makes-nothing", "makes-what-it-lacks", "takes-the-host"]},
      "description": "Ways in which the plugin breaks the contract."},
    "kube": {"type": "object", "required": ["endpoint", "ca_pem", "token"],
      "description": "The API server that every cluster has."}
  }
}"#;

/// Settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder that is the cloud.
    pub state_dir: PathBuf,
    /// How long any work takes.
    #[serde(default)]
    pub duration_ms: u64,
    /// How long the work of a method takes: `EnsureCluster`, `DeleteCluster`, ….
    #[serde(default)]
    pub durations_ms: BTreeMap<String, u64>,
    /// What a Pending response requests.
    #[serde(default = "poll_after_ms")]
    pub poll_after_ms: u64,
    /// Faults from the start.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// JSON array of further faults, read at every call; may be missing.
    #[serde(default)]
    pub faults_file: Option<PathBuf>,
    /// Ways in which the plugin breaks the contract.
    #[serde(default)]
    pub defects: Vec<Defect>,
    /// The API server that every cluster has.
    #[serde(default)]
    pub kube: Option<Kube>,
}

/// A way to break the contract, for tests of what should notice it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// Knows of its objects only what this process made, and makes the others again.
    Forgetful,
    /// Clusters do not carry the owner's marker: they are found by name and never listed.
    ForgetsMarker,
    /// Deleting what is absent is INVALID.
    AbsentIsAnError,
    /// Its credential goes to the log.
    PrintsCredential,
    /// Everything is ready at once, and nothing was made.
    MakesNothing,
    /// What it does not offer (see [`crate::lacks`]) is made all the same.
    MakesWhatItLacks,
    /// A tenant's node pool in a shared cluster takes the host's cluster along when it goes.
    TakesTheHost,
}

/// Access to an API server.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kube {
    /// URL.
    pub endpoint: String,
    /// Certificate authority.
    pub ca_pem: String,
    /// Bearer token.
    pub token: String,
}

impl std::fmt::Debug for Kube {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kube").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn poll_after_ms() -> u64 {
    // Lifecycles take milliseconds here.
    50
}

impl Config {
    pub(crate) fn parse(json: &str) -> Result<Self, ProviderError> {
        serde_json::from_str(json)
            .map_err(|error| ProviderError::new(ErrorKind::Invalid, format!("settings of the fake provider: {error}")))
    }

    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    pub(crate) fn duration(&self, method: &str) -> Duration {
        Duration::from_millis(self.durations_ms.get(method).copied().unwrap_or(self.duration_ms))
    }
}
