//! Node pools of a cluster whose machines are somebody else's: counts those that the operator has
//! given to the tenant by a label, and says what is lacking. Changes nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{ListParams, PartialObjectMeta},
};
use landlord_provider_api::{ProviderError, v1};
use landlord_provider_sdk::progress::{self, Outcome, done};

use crate::{
    error::{during, invalid},
    session::Session,
};

/// Label of the machines of one tenant: its value is the tenant's uid.
const TENANT_LABEL: &str = "landlord.dev/tenant";
/// A person labels machines.
const POLL_AFTER_S: i64 = 10;
/// Objects on one page of a list.
const PAGE: u32 = 500;
/// Twice what Kubernetes supports, <https://kubernetes.io/docs/setup/best-practices/cluster-large/>.
const PAGES_MAX: usize = 20;
/// Machines that are named in one sentence.
const NAMED_MAX: usize = 5;

/// Labels that the machines of a pool carry.
fn labels(uid: &str, spec: &v1::NodePoolSpec) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = spec.labels.clone().into_iter().collect();
    labels.entry(TENANT_LABEL.to_owned()).or_insert_with(|| uid.to_owned());
    labels
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Ready once so many machines carry the labels and taints and work.
///
/// # Errors
/// INVALID: the cluster has too few machines, and none can be made here.
pub(crate) async fn ensure(
    session: &Session,
    uid: &str,
    spec: &v1::NodePoolSpec,
) -> Result<v1::EnsureNodePoolResponse, ProviderError> {
    let labels = labels(uid, spec);
    let selector = selector(&labels);
    let given = given(session, &selector).await?;
    let wanted = usize::try_from(spec.node_count).unwrap_or(0).max(1);
    let faults: Vec<String> = given.iter().filter_map(|node| fault(node, &spec.taints)).collect();
    let fit = given.len() - faults.len();
    if fit >= wanted {
        let node_count = i32::try_from(fit).unwrap_or(i32::MAX);
        let status = Some(v1::NodePoolStatus { name: selector, node_count });
        return Ok(v1::EnsureNodePoolResponse { progress: done(progress::ready()), status });
    }
    let commands = commands(&labels, &spec.taints);
    if given.len() < wanted {
        let free = free(session).await?;
        if given.len() + free < wanted {
            return Err(invalid(
                format!(
                    "cluster {} has {} machines for this tenant and {free} that are free, of {wanted} wanted; this \
                     provider makes none",
                    session.access.cluster_name,
                    given.len()
                ),
                format!("add machines to the cluster, give them to the tenant ({commands}), then retry"),
            ));
        }
    }
    let mut detail = format!("{fit} of {wanted} machines carry {selector} and work");
    if !faults.is_empty() {
        detail.push_str(&format!(" ({})", faults[..faults.len().min(NAMED_MAX)].join("; ")));
    }
    detail.push_str(&format!("; give machines to the tenant: {commands}"));
    Ok(v1::EnsureNodePoolResponse { progress: done(progress::pending(POLL_AFTER_S, detail)), status: None })
}

/// Whether the tenant has machines.
///
/// # Errors
/// As the API server's response says.
pub(crate) async fn observe(session: &Session, uid: &str) -> Result<Outcome, ProviderError> {
    // The daemon writes the uid into labels with or without its dashes.
    let selector = format!("{TENANT_LABEL} in ({uid},{})", uid.replace('-', ""));
    let given = given(session, &selector).await?;
    Ok(if given.is_empty() { Outcome::Gone } else { progress::ready() })
}

/// What an operator does to give a machine to a tenant.
fn commands(labels: &BTreeMap<String, String>, taints: &[v1::Taint]) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut commands = format!("`kubectl label node NODE {}`", labels.join(" "));
    if !taints.is_empty() {
        let taints: Vec<String> =
            taints.iter().map(|taint| format!("{}={}:{}", taint.key, taint.value, taint.effect)).collect();
        commands.push_str(&format!(" and `kubectl taint node NODE {}`", taints.join(" ")));
    }
    commands
}

/// What keeps a machine from taking the tenant's pods, and those alone.
fn fault(node: &Node, wanted: &[v1::Taint]) -> Option<String> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let spec = node.spec.clone().unwrap_or_default();
    let taints = spec.taints.unwrap_or_default();
    let has = |wanted: &v1::Taint| {
        let value = |taint: &k8s_openapi::api::core::v1::Taint| taint.value.clone().unwrap_or_default() == wanted.value;
        taints.iter().any(|taint| taint.key == wanted.key && taint.effect == wanted.effect && value(taint))
    };
    if let Some(lacking) = wanted.iter().find(|wanted| !has(wanted)) {
        return Some(format!("{name} lacks the taint {}={}:{}", lacking.key, lacking.value, lacking.effect));
    }
    if spec.unschedulable == Some(true) {
        return Some(format!("{name} is cordoned"));
    }
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    (!ready).then(|| format!("{name} is not Ready"))
}

async fn given(session: &Session, selector: &str) -> Result<Vec<Node>, ProviderError> {
    let nodes: Api<Node> = Api::all(session.client.clone());
    let mut found = Vec::new();
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    for _ in 0..PAGES_MAX {
        let page = nodes.list(&params).await.map_err(during("listing the tenant's nodes"))?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    Ok(found)
}

/// Machines that no tenant has. Only their names are fetched: a node has some 20 KiB.
async fn free(session: &Session) -> Result<usize, ProviderError> {
    let nodes: Api<Node> = Api::all(session.client.clone());
    let mut count = 0;
    let mut params = ListParams::default().labels(&format!("!{TENANT_LABEL}")).limit(PAGE);
    for _ in 0..PAGES_MAX {
        let page = nodes.list_metadata(&params).await.map_err(during("counting the free nodes"))?;
        let items: &Vec<PartialObjectMeta<Node>> = &page.items;
        count += items.len();
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taint() -> v1::Taint {
        v1::Taint { key: TENANT_LABEL.into(), value: "u".into(), effect: "NoSchedule".into() }
    }

    fn node(ready: &str, cordoned: bool, effect: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "n" },
            "spec": { "unschedulable": cordoned, "taints": [{ "key": TENANT_LABEL, "value": "u", "effect": effect }] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        }))
        .unwrap()
    }

    #[test]
    fn a_machine_counts_only_if_it_takes_the_tenants_pods_and_no_others() {
        let cases = [
            (node("True", false, "NoSchedule"), None),
            (node("False", false, "NoSchedule"), Some("n is not Ready")),
            (node("True", true, "NoSchedule"), Some("n is cordoned")),
            (node("True", false, "PreferNoSchedule"), Some("n lacks the taint landlord.dev/tenant=u:NoSchedule")),
            (Node::default(), Some(" lacks the taint landlord.dev/tenant=u:NoSchedule")),
        ];
        for (node, expected) in cases {
            assert_eq!(fault(&node, &[taint()]).as_deref(), expected);
        }
        assert_eq!(fault(&node("True", false, "NoExecute"), &[]), None);
    }

    #[test]
    fn the_operator_is_shown_what_to_type() {
        let spec = v1::NodePoolSpec { labels: [("pool".into(), "a".into())].into(), ..v1::NodePoolSpec::default() };
        assert_eq!(
            commands(&labels("u", &spec), &[taint()]),
            "`kubectl label node NODE landlord.dev/tenant=u pool=a` and \
             `kubectl taint node NODE landlord.dev/tenant=u:NoSchedule`"
        );
    }
}
