//! The suite against a plugin and its simulated cloud. The cases run in groups side by side: most of the time goes by in
//! waits. Together the groups are all cases.

use cloudsim::{Options, Simulator};
use landlord_conformance::{CASES, Outcome};
use landlord_test_harness::judge;
use serde_json::json;

/// As in the configurations: a lifecycle takes a second or two.
const SCALE: f64 = 0.0005;

pub const LOST: [&str; 3] = ["lost-request", "lost-answer", "cut-answer"];
pub const KILLED: [&str; 1] = ["crash"];
pub const POOLS: [&str; 1] = ["node-pool"];
pub const THROTTLED: [&str; 2] = ["throttling", "deadlines"];

/// All cases that are in none of the groups above.
pub fn others() -> Vec<&'static str> {
    let names = CASES.iter().map(|case| case.name);
    let groups = [LOST.as_slice(), &KILLED, &THROTTLED, &POOLS].concat();
    names.filter(|name| !groups.contains(name)).collect()
}

/// From now on the cloud authorizes each of the plugin's calls against the document that is shipped with it. Foreign calls
/// come with other credentials.
async fn hold_to_the_shipped_role(provider: &str, url: &str, account: &str) {
    let (cloud, document, credentials) = match provider {
        "eks" => ("aws", include_str!("../../../../eks/iam-policy.json"), "AKIA*CONF"),
        "gke" => ("gcp", include_str!("../../../../gke/iam-role.yaml"), "ya29.sim-*.conformance-*"),
        "aks" => ("azure", include_str!("../../../../aks/role-definition.json"), "sim-*conformance*"),
        other => panic!("no role is known of {other}"),
    };
    let rights = json!({ "account": account, "cloud": cloud, "document": document, "credentials": [credentials] });
    let client = reqwest::Client::new();
    let response = client.post(format!("{url}/_sim/rights")).json(&rights).send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
}

/// Cases that say nothing about a cloud in which names are unique: the name is the idempotency key, and no two objects have it.
const UNIQUE_NAMES: [&str; 2] = ["duplicates", "keys"];

/// Holds the plugin of a provider to the cases; the suite makes many tenants, so the quotas named are lifted first.
pub async fn conforms(provider: &str, quotas: &[&str], cases: &[&str]) {
    // EKS takes tokens beside its names.
    let without = if provider == "eks" { &UNIQUE_NAMES[..1] } else { &UNIQUE_NAMES[..] };
    let options = Options { time_scale: SCALE, seed: 7, no_throttle: true, ..Options::default() };
    let sim = Simulator::start(options).await.unwrap();
    let mut config = super::config(&format!("{provider}.toml"));
    config.endpoint = sim.url();
    if !quotas.is_empty() {
        let limits: serde_json::Map<String, serde_json::Value> =
            quotas.iter().map(|quota| ((*quota).to_owned(), json!(10_000))).collect();
        let wanted = json!({ "account": config.account, "limits": limits });
        let client = reqwest::Client::new();
        let raised = client.post(format!("{}/_sim/quotas", sim.url())).json(&wanted).send().await.unwrap();
        assert!(raised.status().is_success(), "{raised:?}");
    }
    hold_to_the_shipped_role(provider, &sim.url(), &config.account).await;
    let (url, account) = (sim.url(), config.account.clone());
    let report = super::run(&format!("landlord_plugin_{provider}"), config, cases).await;
    let ended = |outcome: Outcome| -> Vec<&str> {
        report.cases.iter().filter(|case| case.outcome == outcome).map(|case| case.name.as_str()).collect()
    };
    let judged: Vec<&str> = cases.iter().copied().filter(|case| !without.contains(case)).collect();
    assert_eq!(ended(Outcome::Passed), judged, "{}", report.text());
    let skipped: Vec<&str> = cases.iter().copied().filter(|case| without.contains(case)).collect();
    assert_eq!(ended(Outcome::Skipped), skipped, "{}", report.text());
    // Not by what the plugin lists: by what the cloud has seen.
    let journal = reqwest::get(format!("{}/_sim/journal?since=0", sim.url())).await.unwrap().text().await.unwrap();
    let journal: Vec<serde_json::Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // In AKS a pool with taints comes beside the system's own, which a cluster never is without.
    if provider != "aks" || !cases.contains(&POOLS[0]) {
        judge::never_two_at_once(&journal).unwrap();
    }
    let rights: serde_json::Value = reqwest::get(format!("{url}/_sim/rights")).await.unwrap().json().await.unwrap();
    assert_eq!(rights[&account]["missing"], json!([]), "{}", rights[&account]["missing_on"]);
    sim.stop().await;
}
