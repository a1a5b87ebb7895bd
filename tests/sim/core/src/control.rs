//! The control API under `/_sim/`: what tests ask and set. Never part of the simulated cloud.

use crate::{
    cloud::{Clouds, ControlResponse},
    critical_path,
    faults::{Rule, Verdict},
    http::{HttpResponse, Raw},
    object::Owner,
    rights::Grant,
    scope_key::GLOBAL,
    shared::Shared,
    tag_edit,
    world::World,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Most journal lines in one response.
const MAX_LINES: usize = 10_000;
/// Longest that a journal request may wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Serves a control request.
pub async fn handle(shared: &Shared, raw: &Raw) -> HttpResponse {
    let query: HashMap<String, String> = url::form_urlencoded::parse(raw.query.as_bytes()).into_owned().collect();
    let path: Vec<&str> = raw.path.trim_start_matches("/_sim").split('/').filter(|s| !s.is_empty()).collect();
    let method = raw.method.as_str();
    if let ("GET", ["journal"]) = (method, &path[..]) {
        return journal(shared, &query).await;
    }
    if let ("POST", ["webhook", ..]) = (method, &path[..]) {
        let arn = raw.path.trim_start_matches("/_sim/webhook/").to_owned();
        let request: Value = serde_json::from_slice(&raw.body).unwrap_or_default();
        return json_response(200, &shared.clouds.of_cluster(&arn).review(&mut shared.world.lock(), &arn, &request));
    }
    if let ("GET", ["holds"]) = (method, &path[..]) {
        return holds(shared, &query).await;
    }
    let result = {
        let mut world = shared.world.lock();
        shared.clouds.advance(&mut world);
        plain(&shared.clouds, &mut world, method, &path, &query, &raw.body)
    };
    shared.after_change();
    match result {
        Ok(body) => json_response(200, &body),
        Err((status, message)) => json_response(status, &json!({ "error": message })),
    }
}

fn json_response(status: u16, body: &Value) -> HttpResponse {
    text_response(status, "application/json", body.to_string())
}

fn text_response(status: u16, content_type: &str, body: String) -> HttpResponse {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::new(Bytes::from(body)))
        .unwrap_or_else(|_| Response::new(Full::new(Bytes::new())))
}

fn wait_of(query: &HashMap<String, String>) -> Duration {
    let wait_ms = query.get("wait_ms").and_then(|w| w.parse().ok()).unwrap_or(0);
    Duration::from_millis(wait_ms).min(MAX_WAIT)
}

/// `GET /_sim/journal?since=SEQ&wait_ms=MS`: JSON lines after SEQ; waits until there is at least one.
async fn journal(shared: &Shared, query: &HashMap<String, String>) -> HttpResponse {
    let since = query.get("since").and_then(|s| s.parse().ok()).unwrap_or(0);
    let deadline = tokio::time::Instant::now() + wait_of(query);
    loop {
        let grown = shared.world.lock().journal.grown.clone();
        let waiter = grown.notified();
        tokio::pin!(waiter);
        // Registered before looking, so that no growth is missed in between.
        waiter.as_mut().enable();
        let lines = {
            let mut world = shared.world.lock();
            shared.clouds.advance(&mut world);
            world.journal.since(since, MAX_LINES)
        };
        let late = tokio::time::timeout_at(deadline, async {
            if lines.is_empty() {
                waiter.await;
            }
        });
        if !lines.is_empty() || late.await.is_err() {
            let mut body = lines.join("\n");
            if !body.is_empty() {
                body.push('\n');
            }
            return text_response(200, "application/x-ndjson", body);
        }
    }
}

/// `GET /_sim/holds?wait_ms=MS`: the held calls; waits until there is at least one.
async fn holds(shared: &Shared, query: &HashMap<String, String>) -> HttpResponse {
    let deadline = tokio::time::Instant::now() + wait_of(query);
    loop {
        let waiter = shared.holds_changed.notified();
        tokio::pin!(waiter);
        waiter.as_mut().enable();
        let held = shared.world.lock().faults.holds();
        if !held.is_empty() || tokio::time::timeout_at(deadline, waiter).await.is_err() {
            return json_response(200, &json!({ "holds": held }));
        }
    }
}

/// Reads the body of a control request.
///
/// # Errors
/// 400 for one that does not fit.
pub fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(body).map_err(|e| (400, format!("the body does not fit: {e}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaChange {
    #[serde(default = "every_account")]
    account: String,
    limits: BTreeMap<String, u64>,
}

/// What the organization of an account forbids there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrganizationPolicy {
    account: String,
    /// Patterns of actions; empty: nothing.
    forbid: Vec<String>,
}

/// What callers may do, as a test sets it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRights {
    /// The account whose callers are held to it.
    account: String,
    /// Patterns of actions, on everything.
    #[serde(default)]
    allow: Vec<String>,
    /// A policy document as it is shipped, instead.
    #[serde(default)]
    document: String,
    /// The cloud whose form the document has.
    #[serde(default)]
    cloud: String,
    /// Patterns of the credentials that are held to it; empty: all of the account.
    #[serde(default)]
    credentials: Vec<String>,
}

fn give_rights(clouds: &Clouds, world: &mut World, given: GivenRights) -> ControlResponse {
    let grants = if given.document.is_empty() {
        given.allow.into_iter().map(Grant::always).collect()
    } else {
        let cloud = clouds.all().find(|cloud| cloud.name() == given.cloud);
        let cloud = cloud.ok_or_else(|| (400, format!("there is no cloud {:?}", given.cloud)))?;
        cloud.grants(&given.document).map_err(|why| (400, why))?
    };
    world.rights.set(given.account, given.credentials, grants);
    Ok(json!({}))
}

fn every_account() -> String {
    "*".to_owned()
}

fn plain(
    clouds: &Clouds,
    world: &mut World,
    method: &str,
    path: &[&str],
    query: &HashMap<String, String>,
    body: &[u8],
) -> ControlResponse {
    match (method, path) {
        ("GET", ["health"]) => {
            Ok(json!({ "ok": true, "time_scale": world.clock.scale(), "seq": world.journal.last_seq() }))
        }
        ("GET", ["objects"]) => Ok(objects(world, query)),
        ("GET", ["critical-path"]) => Ok(critical_path::of(clouds, world, query)),
        ("GET", ["faults"]) => Ok(json!({ "rules": world.faults.rules() })),
        ("POST", ["faults"]) => {
            let rules: Vec<Rule> = match parse::<Value>(body)? {
                Value::Array(many) => many.into_iter().map(serde_json::from_value).collect::<Result<_, _>>(),
                one => serde_json::from_value(one).map(|r| vec![r]),
            }
            .map_err(|e| (400, format!("the rule does not fit: {e}")))?;
            let ids: Vec<u64> = rules.into_iter().map(|r| world.faults.add(r)).collect();
            Ok(json!({ "ids": ids }))
        }
        ("DELETE", ["faults"]) => {
            world.faults.clear(None);
            Ok(json!({}))
        }
        ("DELETE", ["faults", id]) => {
            world.faults.clear(id.parse().ok());
            Ok(json!({}))
        }
        ("POST", ["holds", id, verdict @ ("release" | "drop")]) => {
            let verdict = if *verdict == "release" { Verdict::Release } else { Verdict::Drop };
            let held = id.parse().is_ok_and(|id| world.faults.resolve(id, verdict));
            if held { Ok(json!({})) } else { Err((404, format!("no call is held as {id}"))) }
        }
        ("GET", ["quotas"]) => {
            let account = query.get("account").map_or("*", String::as_str);
            Ok(json!(world.quotas.all(account)))
        }
        ("POST", ["quotas"]) => {
            let change: QuotaChange = parse(body)?;
            for (name, limit) in change.limits {
                world.quotas.set(&change.account, &name, limit).map_err(|e| (400, e.to_string()))?;
            }
            world.dirty = true;
            Ok(json!(world.quotas.all(&change.account)))
        }
        ("GET", ["rights"]) => Ok(world.rights.report()),
        ("POST", ["policies"]) => {
            let given: OrganizationPolicy = parse(body)?;
            world.organization.insert(given.account, given.forbid);
            Ok(json!({}))
        }
        ("POST", ["rights"]) => give_rights(clouds, world, parse(body)?),
        ("POST", ["tags"]) => tag_edit::edit(clouds, world, parse(body)?),
        _ => {
            let responses = clouds.all().find_map(|cloud| cloud.control(world, method, path, body));
            responses.unwrap_or_else(|| Err((404, format!("there is no {method} /_sim/{}", path.join("/")))))
        }
    }
}

/// `GET /_sim/objects?account=&region=&type=`: what exists, but for what comes and goes with a VPC.
fn objects(world: &World, query: &HashMap<String, String>) -> Value {
    let fits = |key: &str, value: &str| query.get(key).is_none_or(|wanted| wanted == value);
    let mut found = Vec::new();
    for scope in world.scopes.values() {
        if !fits("account", &scope.key.account) {
            continue;
        }
        for object in scope.all().filter(|o| o.is_live() && o.owner != Owner::Default) {
            // A cloud that keeps a whole account in one scope says itself where an object is.
            let region = object.props.get("location").and_then(Value::as_str).unwrap_or(&scope.key.region);
            let in_region = fits("region", region) || region == GLOBAL;
            if in_region && fits("type", object.kind.type_name()) {
                let mut value = json!(object.summary());
                value["account"] = json!(scope.key.account);
                value["region"] = json!(region);
                value["vpc"] = json!(object.vpc);
                found.push(value);
            }
        }
    }
    found.sort_by(|a, b| (a["type"].as_str(), a["id"].as_str()).cmp(&(b["type"].as_str(), b["id"].as_str())));
    json!({ "objects": found })
}
