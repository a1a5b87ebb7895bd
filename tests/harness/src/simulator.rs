//! The simulated clouds as a process, and their control interface under `/_sim/`.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::Service;

/// How long it may take to listen, on a busy machine: twenty seconds were missed beside other suites. One that ends is noticed at
/// once, so this bounds only one that hangs.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const START_POLL: Duration = Duration::from_millis(20);
/// How its line with the address begins.
const LISTENS: &str = "cloudsim listens on ";
/// Longest response waited for: the journal's long poll and some.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A quota that no test meets.
const QUOTA: u64 = 1_000_000;
/// A journal page of many thousand entries.
const RESPONSE_BYTES_MAX: u64 = 256 << 20;

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    service: Service,
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    control: Control,
}

/// Client of the control interface. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Control {
    agent: ureq::Agent,
    endpoint: String,
}

impl Simulator {
    /// Starts `cloudsim` on a free port, with further `arguments`.
    ///
    /// # Errors
    /// A simulator that does not come up, with the end of its log.
    pub fn start(program: &Path, folder: &Path, arguments: &[String]) -> Result<Self> {
        let log = folder.join("cloudsim.log");
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        // The kernel chooses the port: one that was free a moment ago may be taken by now.
        let mut all = vec!["--listen".to_owned(), "127.0.0.1:0".to_owned()];
        all.extend_from_slice(arguments);
        let mut service = Service::start("cloudsim", program, &all, &log)?;
        let deadline = Instant::now() + START_TIMEOUT;
        let endpoint = loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if let Some(endpoint) = text.get(before..).and_then(reported_endpoint) {
                break endpoint;
            }
            if let Some(status) = service.ended()? {
                bail!("cloudsim ended with {status}:\n{}", service.log_tail(20));
            }
            if Instant::now() > deadline {
                bail!("cloudsim does not say where it listens:\n{}", service.log_tail(20));
            }
            std::thread::sleep(START_POLL);
        };
        let control = Control::new(&endpoint);
        Ok(Self { service, endpoint, control })
    }

    /// Its control interface.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Stops it and the Kubernetes control planes that it runs.
    ///
    /// # Errors
    /// The operating system's.
    pub fn stop(self, timeout: Duration) -> Result<bool> {
        self.service.stop(timeout)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        self.service.log_tail(lines)
    }
}

impl Control {
    /// A client for the simulator at `endpoint`.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(RESPONSE_TIMEOUT)).http_status_as_error(false).build();
        Self { agent: config.into(), endpoint: endpoint.to_owned() }
    }

    /// Journal entries after `since`.
    ///
    /// # Errors
    /// No or an unexpected response.
    pub fn journal(&self, since: i64) -> Result<Vec<Value>> {
        let mut entries = Vec::new();
        let mut last = since;
        loop {
            let url = format!("{}/_sim/journal?since={last}", self.endpoint);
            let mut response = self.agent.get(&url).call().with_context(|| format!("GET {url}"))?;
            let text = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_string()?;
            let page = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
            let page = page.with_context(|| format!("{url} returned no JSON lines: {text}"))?;
            let Some(newest) = page.last().and_then(|entry| entry["seq"].as_i64()) else {
                return Ok(entries);
            };
            last = newest;
            entries.extend(page);
        }
    }

    /// Live objects of an account.
    ///
    /// # Errors
    /// No or an unexpected response.
    pub fn objects(&self, account: &str) -> Result<Vec<Value>> {
        list(self.get(&format!("objects?account={account}"))?)
    }

    /// Sets every quota of an account so high that many tenants meet none.
    ///
    /// # Errors
    /// No or an unexpected response.
    pub fn lift_quotas(&self, account: &str) -> Result<()> {
        let known = self.get(&format!("quotas?account={account}"))?;
        let names = known.as_object().context("the simulator reports no quotas")?;
        let limits: serde_json::Map<String, Value> = names.keys().map(|name| (name.clone(), QUOTA.into())).collect();
        self.post("quotas", &serde_json::json!({ "account": account, "limits": limits })).map(drop)
    }

    /// GET under `/_sim/`.
    ///
    /// # Errors
    /// No or an unexpected response.
    pub fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}/_sim/{path}", self.endpoint);
        let response = self.agent.get(&url).call().with_context(|| format!("GET {url}"))?;
        respond(&url, response)
    }

    /// POST a JSON body under `/_sim/`.
    ///
    /// # Errors
    /// No or an unexpected response.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/_sim/{path}", self.endpoint);
        let response = self.agent.post(&url).send_json(body).with_context(|| format!("POST {url}"))?;
        respond(&url, response)
    }

    /// DELETE under `/_sim/`.
    ///
    /// # Errors
    /// No or an unexpected response.
    pub fn delete(&self, path: &str) -> Result<()> {
        let url = format!("{}/_sim/{path}", self.endpoint);
        respond(&url, self.agent.delete(&url).call().with_context(|| format!("DELETE {url}"))?)?;
        Ok(())
    }
}

fn respond(url: &str, mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let status = response.status();
    let text = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_string()?;
    if !status.is_success() {
        bail!("{url} returned {status}: {text}");
    }
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    // A response that is no JSON (a word) is handed on as text.
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The list in a response, bare or as the only array of an object.
fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Object(map) => map
            .into_iter()
            .find_map(|(_, value)| match value {
                Value::Array(items) => Some(items),
                _ => None,
            })
            .context("the simulator returned no list"),
        other => bail!("the simulator returned {other}"),
    }
}

/// The address in the line that the simulator prints once it listens.
fn reported_endpoint(log: &str) -> Option<String> {
    let (line, _) = log.split_once(LISTENS)?.1.split_once('\n')?;
    Some(line.trim().to_owned())
}
