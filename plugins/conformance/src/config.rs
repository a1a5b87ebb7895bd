//! What a run is given: the plugin's settings and credential, where its cloud is, how that cloud reads and throttles.
//! Unknown keys are errors. Knows no provider: all that is special about one is in its file.

mod hooks;

use std::{collections::BTreeMap, path::Path, time::Duration};

pub use hooks::{Duplicate, Failure, Hook, NameTaken, Witness};
use landlord_plugin_host::Sandbox;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Strings of a credential that are shorter are no secrets, or are found in any text.
const SECRET_LEN_MIN: usize = 8;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path} can't be read: {source}; check the path given with --config")]
    Read {
        /// File.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what is expected.
    #[error("{path} does not fit: {problem}; plugins/README.md describes every key")]
    Form {
        /// File.
        path: String,
        /// What and where.
        problem: String,
    },
}

/// A run's configuration; the form is TOML.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Installation name, a DNS label; all that is made carries it.
    #[serde(default = "defaults::installation")]
    pub installation: String,
    /// Region, in the provider's spelling.
    pub region: String,
    /// Account, project or subscription; empty: the credential's own.
    #[serde(default)]
    pub account: String,
    /// URL of the cloud (`http://` or `https://`). Empty: the plugin makes no HTTP calls, and what needs the recording
    /// proxy is skipped.
    #[serde(default)]
    pub endpoint: String,
    /// Domain under which each tenant of the run gets a zone of its own.
    pub domain: String,
    /// Real seconds per second of the cloud, for simulated ones. What a plugin requests to wait is scaled by it.
    #[serde(default = "defaults::time_scale")]
    pub time_scale: f64,
    /// Shortest pause between two observations of a stage, in milliseconds.
    #[serde(default = "defaults::poll_min_ms")]
    pub poll_min_ms: u64,
    /// Longest pause between two observations of a stage, in milliseconds.
    #[serde(default = "defaults::poll_max_ms")]
    pub poll_max_ms: u64,
    /// How long one stage may take in a run, in seconds of this machine.
    #[serde(default = "defaults::stage_timeout_s")]
    pub stage_timeout_s: u64,
    /// How long a cloud's lists may lag behind what was made, in milliseconds of this machine.
    #[serde(default = "defaults::settle_ms")]
    pub settle_ms: u64,
    /// Deadline of a call, in milliseconds, as the daemon sets it.
    #[serde(default = "defaults::call_deadline_ms")]
    pub call_deadline_ms: u64,
    /// Deadline in the case `deadlines`, in milliseconds.
    #[serde(default = "defaults::short_deadline_ms")]
    pub short_deadline_ms: u64,
    /// Most outside calls of one kind that one call may make while it is throttled.
    #[serde(default = "defaults::attempts_max")]
    pub attempts_max: u32,
    /// Whether clusters have a certificate authority. Without one the daemon reaches no API server, so only a simulated
    /// cloud whose clusters serve none may say `false`.
    #[serde(default = "defaults::certificate_authority")]
    pub certificate_authority: bool,
    /// Whether the case `crash` also kills at each outside call in a lifecycle of its own: thorough, and as many
    /// lifecycles as there are outside calls in one, twice.
    #[serde(default)]
    pub crash_every_call: bool,
    /// The provider's settings.
    #[serde(default)]
    pub provider: Map<String, Value>,
    /// The credential scope.
    #[serde(default)]
    pub credential: Map<String, Value>,
    /// Keys of the credential whose values are no secrets (`access_key_id`, `client_id`).
    #[serde(default)]
    pub public_credential_keys: Vec<String>,
    /// The class's parameters.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// The node pool.
    pub node_pool: NodePool,
    /// What the plugin's process may reach beyond the network.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Environment variables that the plugin's process keeps.
    #[serde(default)]
    pub environment: Vec<String>,
    /// How outside calls are distinguished.
    #[serde(default)]
    pub outside: Outside,
    /// The cloud's own responses when it throttles; the first that fits a call is given.
    #[serde(default)]
    pub throttle: Vec<Throttle>,
    /// Configurations that must be refused.
    #[serde(default)]
    pub wrong: Vec<Wrong>,
    /// How a foreign object comes into the cloud.
    #[serde(default)]
    pub name_taken: Vec<NameTaken>,
    /// How an object ends in error.
    #[serde(default)]
    pub failure: Vec<Failure>,
    /// How an object is there twice.
    #[serde(default)]
    pub duplicate: Vec<Duplicate>,
    /// A list of all that is in the account, by another way than the plugin's.
    #[serde(default)]
    pub witness: Option<Witness>,
    /// Cases left out.
    #[serde(default)]
    pub skip: Vec<Skip>,
}

/// The node pool that every tenant of the run gets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePool {
    /// Machine size, in the provider's spelling.
    pub machine_type: String,
    /// Nodes.
    #[serde(default = "defaults::node_count")]
    pub node_count: i32,
    /// Root disk in GiB that the case `node-pool` requests; 0: it requests none.
    #[serde(default)]
    pub disk_size_gib: i32,
}

/// How outside calls are distinguished, and which of them change nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Header that names the operation, for clouds with one path for all (`x-amz-target`).
    #[serde(default)]
    pub operation_header: String,
    /// Field of a form body that names the operation (`Action`).
    #[serde(default)]
    pub operation_form_field: String,
    /// Calls that change nothing, besides GET and HEAD.
    #[serde(default)]
    pub read: Vec<Pattern>,
    /// Calls that take an idempotency key, and where it is in them.
    #[serde(default)]
    pub key: Vec<Key>,
    /// A file to which the cloud appends a line for every effect; for plugins without HTTP calls.
    #[serde(default)]
    pub effects_file: String,
}

/// Which calls; `*` stands for any text, and a key left out for all.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// HTTP method.
    #[serde(default = "defaults::any")]
    pub method: String,
    /// Path.
    #[serde(default = "defaults::any")]
    pub path: String,
    /// Operation.
    #[serde(default = "defaults::any")]
    pub operation: String,
}

/// Where calls carry their idempotency key: in a header, or in a field of a JSON body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// HTTP method.
    #[serde(default = "defaults::any")]
    pub method: String,
    /// Path.
    #[serde(default = "defaults::any")]
    pub path: String,
    /// Operation.
    #[serde(default = "defaults::any")]
    pub operation: String,
    /// Header.
    #[serde(default)]
    pub header: String,
    /// Field at the top of a JSON body.
    #[serde(default)]
    pub field: String,
}

/// A throttled response in the cloud's own form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Paths it is for.
    #[serde(default = "defaults::any")]
    pub path: String,
    /// Operations it is for.
    #[serde(default = "defaults::any")]
    pub operation: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body.
    #[serde(default)]
    pub body: String,
}

/// A configuration that must be refused, in one response that names everything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrong {
    /// Settings instead of `provider`.
    #[serde(default)]
    pub provider: Option<Map<String, Value>>,
    /// Credential instead of `credential`.
    #[serde(default)]
    pub credential: Option<Map<String, Value>>,
    /// What the refusal must name.
    pub names: Vec<String>,
}

/// A case left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// Its name.
    pub case: String,
    /// Why.
    pub reason: String,
}

mod defaults {
    pub(super) fn installation() -> String {
        "conformance".into()
    }
    pub(super) fn time_scale() -> f64 {
        1.0
    }
    pub(super) fn poll_min_ms() -> u64 {
        10
    }
    pub(super) fn poll_max_ms() -> u64 {
        30_000
    }
    /// A control plane that takes an hour is stuck.
    pub(super) fn stage_timeout_s() -> u64 {
        3_600
    }
    pub(super) fn settle_ms() -> u64 {
        10_000
    }
    /// The daemon's own default.
    pub(super) fn call_deadline_ms() -> u64 {
        30_000
    }
    pub(super) fn short_deadline_ms() -> u64 {
        2_000
    }
    /// The call itself and one repetition by an SDK, and one more for a lookup that is made twice.
    pub(super) fn attempts_max() -> u32 {
        3
    }
    pub(super) fn certificate_authority() -> bool {
        true
    }
    pub(super) fn node_count() -> i32 {
        1
    }
    pub(super) fn any() -> String {
        "*".into()
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// What can't be read or does not fit, with the place.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: name.clone(), source })?;
        Self::parse(&text).map_err(|problem| ConfigError::Form { path: name, problem })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What does not fit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let mut problems = Vec::new();
        let mut must = |good: bool, problem: &str| {
            if !good {
                problems.push(problem.to_owned());
            }
        };
        must(self.time_scale > 0.0 && self.time_scale.is_finite(), "time_scale must be more than 0");
        must(self.poll_min_ms <= self.poll_max_ms, "poll_min_ms must not be more than poll_max_ms");
        must(self.call_deadline_ms > 0 && self.short_deadline_ms > 0, "deadlines must be more than 0");
        must(self.node_pool.node_count > 0, "node_pool.node_count must be at least 1");
        must(self.domain.contains('.'), "domain must be a domain such as conformance.example.com");
        must(self.attempts_max > 0, "attempts_max must be at least 1");
        must(self.skip.iter().all(|skip| !skip.reason.trim().is_empty()), "every skip needs a reason");
        must(self.throttle.iter().all(|t| (400..600).contains(&t.status)), "throttle.status must be 400 to 599");
        let is_placed = |key: &Key| key.header.is_empty() != key.field.is_empty();
        must(self.outside.key.iter().all(is_placed), "every `outside.key` needs either `header` or `field`");
        must(self.failure.iter().all(|f| !f.cause.trim().is_empty()), "every `failure` needs a `cause`");
        must(self.wrong.iter().all(|wrong| !wrong.names.is_empty()), "every `wrong` needs `names`");
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    /// The credential as the plugin gets it.
    #[must_use]
    pub fn credential_json(&self) -> Vec<u8> {
        Value::Object(self.credential.clone()).to_string().into_bytes()
    }

    /// Strings of the credential that must never be seen outside the plugin's memory.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut found = Vec::new();
        secrets_in(&Value::Object(self.credential.clone()), &self.public_credential_keys, &mut found);
        found
    }

    /// A pause that a plugin requested, in time of this machine.
    #[must_use]
    pub fn pause(&self, requested: Duration) -> Duration {
        let shortest = Duration::from_millis(self.poll_min_ms);
        let longest = Duration::from_millis(self.poll_max_ms);
        Duration::try_from_secs_f64(requested.as_secs_f64() * self.time_scale)
            .unwrap_or(longest)
            .clamp(shortest, longest)
    }

    /// Longest wait for one stage.
    #[must_use]
    pub fn stage_timeout(&self) -> Duration {
        Duration::from_secs(self.stage_timeout_s)
    }
}

fn secrets_in(value: &Value, public: &[String], found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= SECRET_LEN_MIN => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| secrets_in(item, public, found)),
        Value::Object(fields) => {
            for (_, field) in fields.iter().filter(|(key, _)| !public.contains(key)) {
                secrets_in(field, public, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Config;

    const LEAST: &str = "region = \"here\"\ndomain = \"a.example\"\n[node_pool]\nmachine_type = \"small\"\n";

    #[test]
    fn unknown_keys_are_named() {
        let problem = Config::parse(&format!("colour = 1\n{LEAST}")).unwrap_err();
        assert!(problem.contains("colour"), "{problem}");
    }

    #[test]
    fn all_bad_values_come_at_once() {
        let problem = Config::parse(&format!("time_scale = 0.0\nattempts_max = 0\n{LEAST}")).unwrap_err();
        assert!(problem.contains("time_scale") && problem.contains("attempts_max"), "{problem}");
    }

    #[test]
    fn secrets_are_what_is_not_public() {
        let text = format!(
            "public_credential_keys = [\"id\"]\n{LEAST}[credential]\nid = \"not a secret\"\nkey = \"a secret\"\nkind = \"key\"\n"
        );
        assert_eq!(Config::parse(&text).unwrap().secrets(), ["a secret"]);
    }

    #[test]
    fn pauses_are_scaled_and_bounded() {
        let config = Config::parse(&format!("time_scale = 0.01\npoll_max_ms = 500\n{LEAST}")).unwrap();
        assert_eq!(config.pause(Duration::from_secs(20)), Duration::from_millis(200));
        assert_eq!(config.pause(Duration::from_secs(2_000)), Duration::from_millis(500));
        assert_eq!(config.pause(Duration::ZERO), Duration::from_millis(10));
    }
}
