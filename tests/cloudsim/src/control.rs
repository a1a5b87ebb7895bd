//! The control API under `/_sim/`: what tests ask and set. Never part of the simulated cloud.

use crate::{
    cloud::Cloud,
    faults::{Rule, Verdict},
    gcp::GcpKind,
    object::{CLUSTERS, Kind},
    server::{HttpResponse, Raw},
    sim::Shared,
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

/// Most journal lines in one answer.
const MAX_LINES: usize = 10_000;
/// Longest that a journal request may wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Answers a control request.
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
        return json_response(200, &Cloud::of_cluster(&arn).review(&mut shared.world.lock(), &arn, &request));
    }
    if let ("GET", ["holds"]) = (method, &path[..]) {
        return holds(shared, &query).await;
    }
    let result = {
        let mut world = shared.world.lock();
        world.advance();
        plain(&mut world, method, &path, &query, &raw.body)
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
            world.advance();
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

type Answer = Result<Value, (u16, String)>;

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(body).map_err(|e| (400, format!("the body does not fit: {e}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaChange {
    #[serde(default = "every_account")]
    account: String,
    limits: BTreeMap<String, u64>,
}

fn every_account() -> String {
    "*".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustedRole {
    arn: String,
    external_id: String,
}

fn plain(world: &mut World, method: &str, path: &[&str], query: &HashMap<String, String>, body: &[u8]) -> Answer {
    match (method, path) {
        ("GET", ["health"]) => {
            Ok(json!({ "ok": true, "time_scale": world.clock.scale(), "seq": world.journal.last_seq() }))
        }
        ("GET", ["objects"]) => Ok(objects(world, query)),
        ("GET", ["critical-path"]) => Ok(critical_path(world, query)),
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
        ("POST", ["credentials"]) => {
            let given: Credentials = parse(body)?;
            world.secrets.insert(given.access_key_id, given.secret_access_key);
            Ok(json!({}))
        }
        ("POST", ["roles"]) => {
            let role: TrustedRole = parse(body)?;
            world.external_ids.insert(role.arn, role.external_id);
            Ok(json!({}))
        }
        ("POST", ["tags"]) => crate::tag_edit::edit(world, parse(body)?),
        ("POST", ["principals"]) => {
            crate::azure::principal::declare(world, parse(body)?);
            Ok(json!({}))
        }
        _ => Err((404, format!("there is no {method} /_sim/{}", path.join("/")))),
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
        for object in scope.all().filter(|o| o.is_live() && o.owner != crate::object::Owner::Default) {
            // A cloud that keeps a whole account in one scope says itself where an object is.
            let region = object.props.get("location").and_then(Value::as_str).unwrap_or(&scope.key.region);
            let in_region = fits("region", region) || region == crate::world::GLOBAL;
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

/// `GET /_sim/critical-path?account=&tag=KEY`: what the cloud alone needed, in simulated and in real milliseconds, in
/// total or by value of a tag: network (a stack, or its parts), then cluster, then node group, then what waited for nodes.
fn critical_path(world: &World, query: &HashMap<String, String>) -> Value {
    let mut groups: BTreeMap<String, BTreeMap<&str, i64>> = BTreeMap::new();
    for ((_, operation), work) in &world.work {
        if query.get("account").is_some_and(|a| *a != work.account) {
            continue;
        }
        let group = query.get("tag").map_or_else(String::new, |key| {
            work.object.tags.get(key).cloned().unwrap_or_else(|| "(untagged)".to_owned())
        });
        let Some(part) = part_of(&work.object.kind, operation).or_else(|| crate::azure::part_of(work)) else {
            continue;
        };
        let slot = groups.entry(group).or_default().entry(part).or_insert(0);
        *slot = (*slot).max(work.end_us - work.start_us);
    }
    let mut answer = serde_json::Map::new();
    for (group, parts) in groups {
        let of = |part: &str| parts.get(part).copied().unwrap_or(0);
        // A subnetwork and a router need the network only. Add-ons may be made beside the node group; those that need
        // nodes settle after it.
        let network_us =
            of("address") + of("nat_gateway") + of("network") + of("subnet") + of("subnetwork").max(of("router"));
        let create_us =
            of("stack") + network_us + of("cluster") + of("nodegroup").max(of("addon")) + of("addon_after_nodes");
        let sim = |us: i64| world.clock.sim_ms_between(0, us);
        let shown: BTreeMap<&str, i64> = parts.iter().map(|(k, us)| (*k, sim(*us))).collect();
        answer.insert(
            group,
            json!({ "create_sim_ms": sim(create_us), "create_ms": create_us / 1_000, "parts_sim_ms": shown }),
        );
    }
    Value::Object(answer)
}

/// What a piece of work is to the critical path, if anything.
fn part_of(kind: &str, operation: &str) -> Option<&'static str> {
    let is = |kinds: &[Kind]| kinds.iter().any(|k| k.type_name() == kind);
    let gcp = Kind::Gcp;
    Some(match operation {
        "create" if is(&[Kind::Stack]) => "stack",
        "create" if is(&[gcp(GcpKind::Network)]) => "network",
        "create" if is(&[gcp(GcpKind::Subnetwork)]) => "subnetwork",
        "create" if is(&[gcp(GcpKind::Router)]) => "router",
        "create" if is(CLUSTERS) => "cluster",
        "create" if is(&[Kind::Nodegroup, gcp(GcpKind::NodePool)]) => "nodegroup",
        "create" if is(&[Kind::Addon]) => "addon",
        "settle" if is(&[Kind::Addon]) => "addon_after_nodes",
        "delete" if is(&[Kind::Nodegroup, gcp(GcpKind::NodePool)]) => "nodegroup_delete",
        "delete" if is(CLUSTERS) => "cluster_delete",
        _ => return None,
    })
}
