//! A pool of nodes that Karpenter makes when pods wait for them, and takes away when they are empty. landlord says what the pool is
//! and accounts for its machines: each is a NodeClaim, and a pool is gone when none of them is left.
//!
//! Sources: <https://karpenter.sh/docs/concepts/nodepools/>, <https://karpenter.sh/docs/concepts/disruption/>.

use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
};
use landlord_core::{
    ports::{PoolGrowth, ScaledPool, StageProgress},
    stage::RemovedObject,
};
use serde_json::{Value, json};

use super::pages::Pages;
use landlord_kube::{
    Doing as _, Error, Result,
    absent::{exactly, gone_is_fine, known, stuck},
    apply::apply_all,
    markers::{INSTALLATION, POOL_KEY, ROLE, TENANT_UID, role_selector},
    object::{Wanted, resource},
    progress::pending,
};

/// What a pool is for.
const SCALING_ROLE: &str = "node-scaling";
const API_VERSION: &str = "karpenter.sh/v1";
/// Label by which Karpenter marks what it makes for a pool.
pub(super) const POOL_OF: &str = "karpenter.sh/nodepool";
const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
const MACHINE_TYPE: &str = "node.kubernetes.io/instance-type";
/// Nodes stay this long when they are empty: a pod that is restarted finds one, and nobody pays for an hour.
const EMPTY_FOR: &str = "5m";
/// As Karpenter's definitions have it where nothing is said. It is said, or each look at the pool would find a difference and write it
/// again: how many machines may be replaced at once, and how old one becomes.
const REPLACED_AT_ONCE: &str = "10%";
const EXPIRE_AFTER: &str = "720h";
/// Machines named in a sentence.
const NAMED_MAX: usize = 3;

/// Makes the pool exist; Done when Karpenter says that it is ready.
pub(crate) async fn ensure(client: &Client, pool: &ScaledPool, growth: &PoolGrowth) -> Result<StageProgress> {
    let pools = kind(client, "NodePool");
    let read = async || known(pools.get(&pool.name).await).doing(|| format!("reading NodePool {}", pool.name));
    // 404 says that there is no object, or no kind; only the list shows which.
    if read().await?.is_none() && !is_known(&pools).await? {
        return Err(no_karpenter());
    }
    apply_all(client, &[Wanted::new(manifest(pool, growth))], &selector(pool), true).await?;
    let found = read().await?;
    Ok(found.map_or_else(|| pending("the NodePool is being made"), |found| readiness(&found.data, &pool.name)))
}

/// Removes the pool, then its machines, and waits until none is left.
pub(crate) async fn remove(client: &Client, pool: &ScaledPool) -> Result<(StageProgress, Vec<RemovedObject>)> {
    let mut removed = Vec::new();
    let pools = kind(client, "NodePool");
    let ours = ListParams::default().labels(&selector(pool));
    // A cluster that does not know the kinds any more has none of them, and may have machines all the same.
    let found = known(pools.list(&ours).await).doing(|| "listing NodePools".into())?;
    let going = found.map(|found| found.items).unwrap_or_default();
    for found in &going {
        delete(&pools, "NodePool", found, &mut removed).await?;
    }
    let claims = kind(client, "NodeClaim");
    // A pool of that name may be somebody else's by now: its machines do not bear our marks.
    let of_pool = ListParams::default().labels(&format!("{POOL_OF}={},{}", pool.name, selector(pool)));
    let found = known(claims.list(&of_pool).await).doing(|| "listing NodeClaims".into())?;
    let machines = found.map(|found| found.items).unwrap_or_default();
    for claim in &machines {
        delete(&claims, "NodeClaim", claim, &mut removed).await?;
    }
    if !machines.is_empty() {
        return Ok((pending(waiting(&machines)), removed));
    }
    if let Some(pool) = going.first() {
        return Ok((pending(format!("waiting until NodePool {} is gone", pool.name_any())), removed));
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let left = nodes.list_metadata(&of_pool).await.doing(|| "listing the nodes of a NodePool".into())?;
    Ok(match left.items.first() {
        Some(node) => (pending(format!("waiting until node {} is gone", node.name_any())), removed),
        None => (StageProgress::Done, removed),
    })
}

/// The pools of an installation.
pub(super) async fn all(client: &Client, installation: &str) -> Result<Vec<ObjectMeta>> {
    let mut page = Pages::new(ListParams::default().labels(&role_selector(installation, SCALING_ROLE)));
    let (pools, mut all) = (kind(client, "NodePool"), Vec::new());
    while let Some(params) = page.next("NodePools")? {
        let list = known(pools.list_metadata(&params).await).doing(|| "listing NodePools".into())?;
        let Some(list) = list else { return Ok(all) };
        page.after(list.metadata.continue_);
        all.extend(list.items.into_iter().map(|found| found.metadata));
    }
    Ok(all)
}

fn kind(client: &Client, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &api_resource(kind))
}

fn api_resource(kind: &str) -> ApiResource {
    resource(API_VERSION, kind)
}

async fn is_known(pools: &Api<DynamicObject>) -> Result<bool> {
    let listed = known(pools.list_metadata(&ListParams::default().limit(1)).await);
    Ok(listed.doing(|| "listing NodePools".into())?.is_some())
}

fn no_karpenter() -> Error {
    Error::Lacking {
        what: "the cluster knows no NodePool of Karpenter (karpenter.sh/v1)".into(),
        remedy: "whoever operates the cluster installs Karpenter (the platform's part node-scaling does), or leaves \
                 node_scaling out of the class; landlord tries again by itself",
    }
}

fn selector(pool: &ScaledPool) -> String {
    format!("{INSTALLATION}={},{TENANT_UID}={},{ROLE}={SCALING_ROLE}", pool.installation, pool.uid)
}

/// The NodePool. Pure.
fn manifest(pool: &ScaledPool, growth: &PoolGrowth) -> Value {
    let marks = json!({ INSTALLATION: pool.installation, TENANT_UID: pool.uid.to_string(), ROLE: SCALING_ROLE });
    let mut node_labels = marks.clone();
    node_labels[POOL_KEY] = json!(pool.label);
    let karpenter = &growth.karpenter;
    let mut requirements = json!(karpenter.requirements);
    if karpenter.requirements.is_empty() {
        requirements = json!([{ "key": MACHINE_TYPE, "operator": "In", "values": [growth.machine_type] }]);
    }
    // Machines that may be taken back at any moment are for whoever orders them.
    if let Some(requirements) = requirements.as_array_mut()
        && !karpenter.requirements.iter().any(|requirement| requirement.key == CAPACITY_TYPE)
    {
        requirements.push(json!({ "key": CAPACITY_TYPE, "operator": "In", "values": ["on-demand"] }));
    }
    let mut limits = json!(karpenter.limits);
    limits["nodes"] = json!(growth.nodes_max.to_string());
    let mut spec = json!({
        "nodeClassRef": karpenter.node_class, "requirements": requirements, "expireAfter": EXPIRE_AFTER,
    });
    if pool.is_tainted {
        spec["taints"] = json!([{ "key": POOL_KEY, "value": pool.label, "effect": "NoSchedule" }]);
    }
    json!({
        "apiVersion": API_VERSION, "kind": "NodePool",
        "metadata": { "name": pool.name, "labels": marks },
        "spec": {
            "template": { "metadata": { "labels": node_labels }, "spec": spec },
            // No pod of a customer is moved to save a machine.
            "disruption": {
                "consolidationPolicy": "WhenEmpty", "consolidateAfter": EMPTY_FOR, "budgets": [{ "nodes": REPLACED_AT_ONCE }],
            },
            "limits": limits,
        },
    })
}

/// By the condition that Karpenter keeps; without one nobody has looked at the pool yet.
fn readiness(pool: &Value, name: &str) -> StageProgress {
    let conditions = pool.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    let Some(ready) = conditions.into_iter().find(|condition| condition["type"] == "Ready") else {
        return pending(format!(
            "waiting until Karpenter takes NodePool {name}; if it lasts, its controller does not run"
        ));
    };
    if ready["status"] == "True" {
        return StageProgress::Done;
    }
    let (reason, message) = (text(ready, "reason"), text(ready, "message"));
    pending(format!(
        "NodePool {name} is not ready: {reason}: {message}; whoever operates the cluster sees after its node class"
    ))
}

/// Exactly this object, unless it is going already.
async fn delete(
    api: &Api<DynamicObject>,
    kind: &str,
    object: &DynamicObject,
    removed: &mut Vec<RemovedObject>,
) -> Result<()> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let name = object.name_any();
    gone_is_fine(api.delete(&name, &exactly(object.uid())).await).doing(|| format!("deleting {kind} {name}"))?;
    // The machine's own id, once there is one: what the cloud's bill names.
    let machine = object.data.pointer("/status/providerID").and_then(Value::as_str).map(str::to_owned);
    let id = machine.or(object.uid()).unwrap_or_default();
    removed.push(RemovedObject { r#type: kind.to_owned(), id, name });
    Ok(())
}

fn waiting(claims: &[DynamicObject]) -> String {
    let why = "Karpenter's controller ends machines, and its log says what holds this one";
    let held = claims.iter().find_map(|claim| {
        let started = claim.metadata.deletion_timestamp.as_ref()?;
        stuck(&format!("NodeClaim {}", claim.name_any()), started, why)
    });
    let names: Vec<String> = claims.iter().take(NAMED_MAX).map(|claim| claim.name_any()).collect();
    held.unwrap_or_else(|| format!("waiting until {} machines are gone: {}", claims.len(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use landlord_core::{TenantUid, node_scaling::Karpenter};

    use super::*;
    use crate::host_cluster::fake_api::cluster;

    #[tokio::test]
    async fn a_pool_is_gone_when_nothing_of_it_is_there_and_machines_of_others_are_left_alone() {
        let (client, requests) = cluster(&[("nodepools", "landlord-t-1"), ("nodeclaims", "m-1")]);
        let (progress, removed) = remove(&client, &pool(true)).await.unwrap();
        let types: Vec<&str> = removed.iter().map(|object| object.r#type.as_str()).collect();
        assert_eq!(types, ["NodePool", "NodeClaim"]);
        assert_ne!(progress, StageProgress::Done, "what was there a moment ago may still be");
        assert_eq!(remove(&client, &pool(true)).await.unwrap(), (StageProgress::Done, Vec::new()));
        let (client, _) = cluster(&[("nodepools", "landlord-t-1")]);
        assert_ne!(remove(&client, &pool(true)).await.unwrap().0, StageProgress::Done);
        assert_eq!(remove(&client, &pool(true)).await.unwrap().0, StageProgress::Done);
        let requests = requests.lock().unwrap();
        let lists: Vec<&String> = requests.iter().filter(|request| request.starts_with("GET")).collect();
        assert!(
            lists.iter().any(|list| list.contains("nodeclaims")) && lists.iter().any(|list| list.contains("/nodes"))
        );
        for list in lists {
            let selects = list.contains("landlord-installation%3Dhere") && list.contains("landlord-tenant-uid%3D");
            assert!(selects, "machines of whoever has a pool of that name: {list}");
        }
    }

    #[tokio::test]
    async fn machines_are_waited_for_also_where_their_definitions_are_gone() {
        for (node, is_gone) in [(Some("m-1"), false), (None, true)] {
            let service = tower::service_fn(move |request: Request<Body>| {
                let is_known = !request.uri().path().contains("karpenter");
                let items: Vec<Value> = node.iter().map(|name| json!({ "metadata": { "name": name } })).collect();
                let (status, value) = match is_known {
                    true => (200, json!({ "metadata": {}, "items": items })),
                    false => (404, json!({ "code": 404, "message": "page not found", "status": "Failure" })),
                };
                let body = Body::from(value.to_string().into_bytes());
                let response = Response::builder().status(status).body(body).unwrap();
                async move { Ok::<_, Infallible>(response) }
            });
            let (progress, _) = remove(&Client::new(service, "default"), &pool(true)).await.unwrap();
            assert_eq!(progress == StageProgress::Done, is_gone, "{progress:?}");
        }
    }

    #[test]
    fn nothing_is_left_to_the_defaults_of_karpenters_definitions() {
        let made = manifest(&pool(true), &growth(json!({})));
        // As the API server stores it: karpenter.sh_nodepools.yaml of Karpenter 1.14.
        let mut stored = made.clone();
        for (parent, field, default) in [
            ("/spec/disruption", "budgets", json!([{ "nodes": "10%" }])),
            ("/spec/disruption", "consolidationPolicy", json!("WhenEmptyOrUnderutilized")),
            ("/spec/template/spec", "expireAfter", json!("720h")),
        ] {
            let parent = stored.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            parent.entry(field).or_insert(default);
        }
        assert!(!landlord_kube::differs(&made, &stored), "it would be written again with each look");
    }

    fn pool(is_tainted: bool) -> ScaledPool {
        ScaledPool {
            installation: "here".into(),
            uid: TenantUid(uuid::Uuid::nil()),
            name: "landlord-t-1".into(),
            label: "1".into(),
            is_tainted,
        }
    }

    fn growth(karpenter: Value) -> PoolGrowth {
        let mut whole = json!({ "node_class": { "group": "g", "kind": "K", "name": "n" }, "limits": { "cpu": "32" } });
        whole.as_object_mut().unwrap().extend(karpenter.as_object().unwrap().clone());
        let karpenter: Karpenter = serde_json::from_value(whole).unwrap();
        PoolGrowth { nodes_max: 4, machine_type: "m1".into(), karpenter }
    }

    #[test]
    fn a_pools_nodes_are_the_tenants_and_bounded() {
        let made = manifest(&pool(true), &growth(json!({})));
        assert_eq!(made["spec"]["limits"], json!({ "cpu": "32", "nodes": "4" }));
        let template = &made["spec"]["template"];
        assert_eq!(template["metadata"]["labels"][POOL_KEY], "1");
        assert_eq!(template["spec"]["taints"][0], json!({ "key": POOL_KEY, "value": "1", "effect": "NoSchedule" }));
        assert_eq!(template["spec"]["requirements"][0]["values"], json!(["m1"]));
        assert_eq!(template["spec"]["requirements"][1]["values"], json!(["on-demand"]));
        let spot = json!([{ "key": "k", "operator": "Exists" }, { "key": CAPACITY_TYPE, "operator": "Exists" }]);
        let own = manifest(&pool(false), &growth(json!({ "requirements": spot })));
        assert_eq!(own["spec"]["template"]["spec"].get("taints"), None);
        assert_eq!(own["spec"]["template"]["spec"]["requirements"], spot);
    }

    #[test]
    fn a_pool_is_ready_when_karpenter_says_so() {
        let with = |status: &str| {
            let condition =
                json!({ "type": "Ready", "status": status, "reason": "NodeClassNotFound", "message": "no n" });
            readiness(&json!({ "status": { "conditions": [condition] } }), "p")
        };
        assert_eq!(with("True"), StageProgress::Done);
        let StageProgress::Pending { detail, .. } = with("False") else { panic!("ready") };
        assert!(detail.contains("NodeClassNotFound: no n"), "{detail}");
        let StageProgress::Pending { detail, .. } = readiness(&json!({}), "p") else { panic!("ready") };
        assert!(detail.contains("controller does not run"), "{detail}");
    }
}
