//! What changes on a pool that is up: the document as it was read, with only that changed which
//! differs.

use landlord_provider_api::v1;
use landlord_provider_sdk::versions::is_behind;
use serde_json::{Value, json};

use super::{
    POLL_S, Pool, Properties,
    spec::{SPOT_KEY, bounds, taints},
    waits,
};
use crate::{
    api,
    arm::If,
    error::{Result, invalid},
    names::Call,
    operation,
    progress::{Outcome, Sent},
};

/// Begins the change that is due, if one is. Nodes follow the control plane's version first and
/// alone.
pub(super) async fn begin(
    call: &Call<'_>,
    cluster: &v1::ClusterStatus,
    spec: &v1::NodePoolSpec,
    pool: &Pool,
) -> Result<Option<Outcome>> {
    let name = pool.name();
    fixed(name, spec, &pool.properties)?;
    let mut document = pool.document.clone();
    let wanted = &cluster.kubernetes_version;
    let runs = &pool.properties.current_orchestrator_version;
    let runs = if runs.is_empty() { &pool.properties.orchestrator_version } else { runs };
    let is_older = is_behind(runs, wanted);
    let sent =
        if is_older {
            document["properties"]["orchestratorVersion"] = json!(wanted);
            Sent::new(format!("the nodes of agent pool {name} are being replaced by ones of Kubernetes {wanted}"))
                .field("orchestratorVersion", wanted, runs)
        } else {
            let sent = set(&mut document["properties"], spec, &pool.properties);
            if sent.changes.is_empty() {
                return Ok(None);
            }
            Sent { detail: format!("agent pool {name} is being changed"), ..sent }
        };
    let condition = if pool.etag().is_empty() { If::Always } else { If::Unchanged(pool.etag()) };
    match call.arm.put(&api::POOL, pool.id(), &document, condition).await {
        Ok(response) => Ok(Some(operation::changed(call.arm, &response, POLL_S, sent))),
        Err(error) if error.is_busy() => Ok(Some(waits(name, &error))),
        Err(error) => Err(error),
    }
}

/// What AKS never changes.
fn fixed(name: &str, spec: &v1::NodePoolSpec, present: &Properties) -> Result<()> {
    let undo = "put the old one back or make a new tenant";
    if !present.vm_size.is_empty() && !present.vm_size.eq_ignore_ascii_case(&spec.machine_type) {
        return Err(invalid(format!(
            "the machine type of agent pool {name} is {} and cannot become {}; {undo}",
            present.vm_size, spec.machine_type
        )));
    }
    let disk = present.os_disk_size_gib;
    if spec.disk_size_gib != 0 && disk != 0 && disk != spec.disk_size_gib {
        return Err(invalid(format!(
            "the disks of agent pool {name} have {disk} GiB and cannot get {}; {undo}",
            spec.disk_size_gib
        )));
    }
    Ok(())
}

/// Sets what differs, and says what that is.
fn set(document: &mut Value, spec: &v1::NodePoolSpec, present: &Properties) -> Sent {
    let mut sent = Sent::default();
    let (least, most) = bounds(spec);
    let scaled = most > least;
    if present.enable_auto_scaling != scaled || (scaled && (present.min_count, present.max_count) != (least, most)) {
        document["enableAutoScaling"] = json!(scaled);
        document["minCount"] = if scaled { json!(least) } else { Value::Null };
        document["maxCount"] = if scaled { json!(most) } else { Value::Null };
        let text = |scaled: bool, least: i32, most: i32| match scaled {
            true => format!("{least} to {most} nodes"),
            false => "off".to_owned(),
        };
        let seen = text(present.enable_auto_scaling, present.min_count, present.max_count);
        sent = sent.field("autoscaling", text(scaled, least, most), seen);
    }
    // With an autoscaler the number is its own, within the bounds.
    let count = if scaled { present.count.clamp(least, most) } else { least };
    if count != present.count {
        document["count"] = json!(count);
        sent = sent.field("count", count, present.count);
    }
    let is_spot = present.scale_set_priority.eq_ignore_ascii_case("spot");
    let mut labels: std::collections::BTreeMap<String, String> = spec.labels.clone().into_iter().collect();
    let mut wanted = taints(spec);
    if is_spot {
        labels.insert(SPOT_KEY.to_owned(), "spot".to_owned());
        wanted.push(format!("{SPOT_KEY}=spot:NoSchedule"));
    }
    if labels != present.node_labels {
        document["nodeLabels"] = json!(labels);
        sent = sent.field("nodeLabels", format!("{labels:?}"), format!("{:?}", present.node_labels));
    }
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    if sorted(&wanted) != sorted(&present.node_taints) {
        document["nodeTaints"] = json!(wanted);
        sent = sent.field("nodeTaints", sorted(&wanted).join(" "), sorted(&present.node_taints).join(" "));
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::{fixed, set};
    use crate::node_pool::Properties;
    use landlord_provider_api::v1::{NodePoolSpec, Taint};
    use serde_json::json;

    fn spec(count: i32, max: i32) -> NodePoolSpec {
        NodePoolSpec {
            role: "default".to_owned(),
            machine_type: "Standard_D4s_v5".to_owned(),
            node_count: count,
            node_count_max: max,
            ..NodePoolSpec::default()
        }
    }

    fn present(count: i32) -> Properties {
        Properties { count, vm_size: "Standard_D4s_v5".to_owned(), os_disk_size_gib: 128, ..Properties::default() }
    }

    #[test]
    fn nothing_is_set_where_nothing_differs() {
        let mut document = json!({ "foreign": 1 });
        assert!(set(&mut document, &spec(2, 2), &present(2)).changes.is_empty());
        assert_eq!(document, json!({ "foreign": 1 }));
    }

    #[test]
    fn an_autoscalers_number_is_left_alone_within_the_bounds() {
        let scaled = Properties { enable_auto_scaling: true, min_count: 2, max_count: 5, ..present(4) };
        assert!(set(&mut json!({}), &spec(2, 5), &scaled).changes.is_empty());
        let mut document = json!({});
        let sent = set(&mut document, &spec(2, 3), &scaled).to_string();
        assert_eq!(sent, " (autoscaling: 2 to 5 nodes → 2 to 3 nodes, count: 4 → 3)");
        assert_eq!(document, json!({ "enableAutoScaling": true, "minCount": 2, "maxCount": 3, "count": 3 }));
    }

    #[test]
    fn labels_taints_and_size_follow() {
        let mut wanted = spec(3, 0);
        wanted.labels = [("a".to_owned(), "b".to_owned())].into();
        wanted.taints = vec![Taint { key: "k".to_owned(), value: "v".to_owned(), effect: "NoSchedule".to_owned() }];
        let mut document = json!({});
        assert_eq!(set(&mut document, &wanted, &present(2)).changes.len(), 3);
        assert_eq!(document, json!({ "count": 3, "nodeLabels": { "a": "b" }, "nodeTaints": ["k=v:NoSchedule"] }));
    }

    #[test]
    fn machine_and_disk_are_fixed() {
        let mut other = spec(2, 2);
        other.machine_type = "Standard_E4s_v5".to_owned();
        assert!(fixed("default", &other, &present(2)).is_err());
        let mut disk = spec(2, 2);
        disk.disk_size_gib = 256;
        assert!(fixed("default", &disk, &present(2)).is_err());
        assert!(fixed("default", &spec(2, 2), &present(2)).is_ok());
    }
}
