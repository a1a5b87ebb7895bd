//! `[webhooks]`: where events are delivered to.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use landlord_auth::small_file;
use landlord_core::CustomerId;
use landlord_webhooks::{CaFile, EventType, IpNet, Secret, SecretSource, WebhookOptions};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{HumanDuration, secret::read_secret};

/// A request that takes longer than this holds its tenant's events up, and says nothing that a retry would not.
const TIMEOUTS: std::ops::RangeInclusive<HumanDuration> = HumanDuration::from_secs(1)..=HumanDuration::from_secs(60);
/// An event that is older interests nobody, and may be gone from the store.
const RETRY_TIMEOUTS: std::ops::RangeInclusive<HumanDuration> =
    HumanDuration::from_secs(60)..=HumanDuration::from_secs(14 * 24 * 3_600);

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where it goes, an https URL.
    pub url: String,
    /// File with its secrets, one a line, newest first (`whsec_…`); read for every delivery.
    pub secret_file: PathBuf,
    /// Types of events; empty: all.
    #[serde(default)]
    pub events: Vec<String>,
    /// Customers whose events it gets; empty: all.
    #[serde(default)]
    pub customers: Vec<CustomerId>,
    /// Networks that are no public ones and may be connected to.
    #[serde(default)]
    pub allowed_networks: Vec<String>,
    /// Whether it may go without TLS.
    #[serde(default)]
    pub insecure: bool,
    /// CAs of the receiver's certificate, PEM. None: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Longest request; 1 s to 60 s.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
    /// An event that is not taken for this long is parked; 1 min to 14 days.
    #[serde(default = "retry_timeout")]
    pub retry_timeout: HumanDuration,
}

fn timeout() -> HumanDuration {
    HumanDuration::from_secs(15)
}

fn retry_timeout() -> HumanDuration {
    HumanDuration::from_secs(72 * 3_600)
}

/// Webhooks whose values fit.
pub(super) fn check(webhooks: &BTreeMap<String, Webhook>, problems: &mut Vec<String>) -> Vec<WebhookOptions> {
    webhooks.iter().filter_map(|(name, webhook)| options(name, webhook, problems)).collect()
}

fn options(name: &str, webhook: &Webhook, problems: &mut Vec<String>) -> Option<WebhookOptions> {
    let at = format!("webhooks.{name}");
    let before = problems.len();
    // A resource name.
    if let Err(error) = name.parse::<landlord_core::ClassName>() {
        problems.push(format!("{at}: {}", error.problem));
    }
    let url = webhook.url.parse::<Url>().map_err(|error| problems.push(format!("{at}.url: {error}"))).ok();
    let mut event_types = Vec::new();
    for event in &webhook.events {
        match EventType::of_name(event) {
            Some(known) => event_types.push(known),
            None => {
                let known: Vec<&str> = EventType::ALL.iter().map(|known| known.as_str()).collect();
                problems.push(format!("{at}.events: {event:?} is none of {}", known.join(", ")));
            }
        }
    }
    let mut allowed_networks = Vec::new();
    for network in &webhook.allowed_networks {
        match network.parse::<IpNet>() {
            Ok(network) => allowed_networks.push(network),
            Err(_) => problems.push(format!("{at}.allowed_networks: {network:?} is no network such as 10.8.0.0/16")),
        }
    }
    for (key, value, range) in
        [("timeout", webhook.timeout, TIMEOUTS), ("retry_timeout", webhook.retry_timeout, RETRY_TIMEOUTS)]
    {
        if !range.contains(&value) {
            problems.push(format!("{at}.{key}: must be {} to {}, not {value}", range.start(), range.end()));
        }
    }
    let secrets = secrets(webhook.secret_file.clone());
    if let Err(problem) = secrets() {
        problems.push(format!("{at}.secret_file: {problem}"));
    }
    let ca = webhook.ca_file.as_ref().and_then(|path| {
        let read = small_file::read(path, small_file::CA_BYTES_MAX);
        let (pem, _) =
            read.map_err(|error| problems.push(format!("{at}: ca_file {}: {error}", path.display()))).ok()?;
        Some(CaFile { path: path.clone(), pem })
    });
    let options = WebhookOptions {
        name: name.to_owned(),
        url: url?,
        event_types,
        customers: webhook.customers.clone(),
        allowed_networks,
        insecure: webhook.insecure,
        ca,
        timeout: webhook.timeout.get(),
        retry_timeout: webhook.retry_timeout.get(),
        secrets,
    };
    if let Err(error) = options.check() {
        problems.push(format!("{at}: {error}"));
    }
    (problems.len() == before).then_some(options)
}

/// Reads the file each time: a secret is rotated without a restart.
fn secrets(file: PathBuf) -> SecretSource {
    Arc::new(move || {
        let text = read_secret(&file)?;
        Secret::parse_lines(&text.into()).map_err(|error| format!("{}: each line {error}", file.display()))
    })
}
