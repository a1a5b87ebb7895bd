//! What changes on a pool that is up, one change at a time: labels, taints, zones, size, version.

use std::collections::{BTreeMap, HashMap};

use google_cloud_container_v1::model::{NodeLabels, NodePool, NodePoolAutoscaling, NodeTaint, NodeTaints};

use super::{Wanted, path, spec};
use landlord_provider_sdk::versions::is_behind;

use crate::{
    action::{self, Action},
    error::{Error, Result, failed, invalid},
    google::Google,
    names::Names,
    progress::Sent,
};

/// Prefixes of labels that GKE itself puts on nodes.
const RESERVED: [&str; 2] = ["cloud.google.com/", "node.kubernetes.io/"];
/// As the API calls the version of the control plane.
const CONTROL_PLANE_VERSION: &str = "-";

/// A change that is due.
enum Due {
    Labels(NodeLabels),
    Taints(NodeTaints),
    Zones(Vec<String>),
    Autoscaling,
    Size(i32),
    Version,
}

impl Due {
    fn action(&self) -> Action {
        match self {
            Self::Autoscaling => action::SET_NODE_POOL_AUTOSCALING,
            Self::Size(_) => action::SET_NODE_POOL_SIZE,
            _ => action::UPDATE_NODE_POOL,
        }
    }

    fn sent(&self, wanted: Wanted<'_>, pool: &NodePool, size: i32) -> Sent {
        let config = pool.config.clone().unwrap_or_default();
        match self {
            Self::Labels(labels) => Sent::new("labels are being changed").field(
                "config.labels",
                format!("{:?}", BTreeMap::from_iter(&labels.labels)),
                format!("{:?}", BTreeMap::from_iter(&own(config.labels))),
            ),
            Self::Taints(taints) => Sent::new("taints are being changed").field(
                "config.taints",
                format!("{:?}", sorted(&taints.taints)),
                format!("{:?}", sorted(&config.taints)),
            ),
            Self::Zones(zones) => {
                Sent::new("zones are being changed").field("locations", zones.join(" "), pool.locations.join(" "))
            }
            Self::Autoscaling => Sent::new("bounds of the autoscaler are being changed").field(
                "autoscaling",
                bounds_text(&spec::autoscaling(wanted.spec)),
                bounds_text(&pool.autoscaling.clone().unwrap_or_default()),
            ),
            Self::Size(_) => {
                Sent::new("size is being changed").field("node count", wanted.spec.node_count.max(1), size)
            }
            Self::Version => Sent::new("nodes are being replaced by ones of the cluster's version, one at a time")
                .field("version", &wanted.cluster.kubernetes_version, &pool.version),
        }
    }
}

/// Begins the first change that is due, and names which.
pub(super) async fn begin(
    google: &Google,
    wanted: Wanted<'_>,
    names: &Names,
    pool: &NodePool,
    size: i32,
) -> Result<Option<Sent>> {
    // Where they may be matters to another size only.
    let as_many = size == wanted.spec.node_count.max(1);
    let zones = if as_many { Vec::new() } else { super::zones(google, wanted, names).await? };
    let Some(due) = due(wanted, pool, size, &zones)? else {
        return Ok(None);
    };
    let name = path(wanted.scope, names, &pool.name);
    let sent = due.sent(wanted, pool, size);
    let action = due.action();
    let clusters = &google.clusters;
    let update = || clusters.update_node_pool().set_name(&name);
    let response = match due {
        Due::Labels(labels) => update().set_labels(labels).send().await,
        Due::Taints(taints) => update().set_taints(taints).send().await,
        Due::Zones(zones) => update().set_locations(zones).send().await,
        Due::Version => update().set_node_version(CONTROL_PLANE_VERSION).send().await,
        Due::Size(count) => clusters.set_node_pool_size().set_name(&name).set_node_count(count).send().await,
        Due::Autoscaling => {
            let bounds = spec::autoscaling(wanted.spec);
            clusters.set_node_pool_autoscaling().set_name(&name).set_autoscaling(bounds).send().await
        }
    };
    match response.map_err(failed(action, &pool.name)) {
        Ok(_) => Ok(Some(Sent { detail: format!("node pool {}: its {}", pool.name, sent.detail), ..sent })),
        Err(error) if error.is_busy() => Ok(Some(Sent::new(waits(&pool.name, &error)))),
        Err(error) => Err(error),
    }
}

fn waits(name: &str, error: &Error) -> String {
    format!("node pool {name} waits for the cluster's other operation: {error}")
}

fn due(wanted: Wanted<'_>, pool: &NodePool, size: i32, zones: &[String]) -> Result<Option<Due>> {
    let spec = wanted.spec;
    let config = pool.config.clone().unwrap_or_default();
    let machine = &spec.machine_type;
    if !config.machine_type.is_empty() && config.machine_type != *machine {
        return Err(invalid(format!(
            "the machine type of node pool {} is {} and cannot become {machine}; put the old one back or make a new tenant",
            pool.name, config.machine_type
        )));
    }
    let labels = own(config.labels);
    if labels != spec.labels.clone().into_iter().collect() {
        return Ok(Some(Due::Labels(NodeLabels::new().set_labels(spec.labels.clone()))));
    }
    let taints = spec::taints(spec);
    if sorted(&taints) != sorted(&config.taints) {
        return Ok(Some(Due::Taints(NodeTaints::new().set_taints(taints))));
    }
    let present = pool.autoscaling.clone().unwrap_or_default();
    let bounds = spec::autoscaling(spec);
    let same_bounds = present.enabled == bounds.enabled
        && (!bounds.enabled
            || (present.total_min_node_count, present.total_max_node_count)
                == (bounds.total_min_node_count, bounds.total_max_node_count));
    if !same_bounds {
        return Ok(Some(Due::Autoscaling));
    }
    if let Some(resize) = resize(wanted, pool, size, zones) {
        return Ok(Some(resize));
    }
    let older = is_behind(&pool.version, &wanted.cluster.kubernetes_version);
    Ok(older.then_some(Due::Version))
}

/// Another size. The zones follow first, where the new size does not fit the present ones; the
/// autoscaler's pool is the autoscaler's.
fn resize(wanted: Wanted<'_>, pool: &NodePool, size: i32, zones: &[String]) -> Option<Due> {
    if spec::is_autoscaled(wanted.spec) || size == wanted.spec.node_count.max(1) {
        return None;
    }
    let count = wanted.spec.node_count.max(1);
    let present = i32::try_from(pool.locations.len()).unwrap_or(1).max(1);
    let spread = spec::spread(wanted.spec, zones);
    let mut used = pool.locations.clone();
    used.sort();
    let mut fitting = spread.zones.clone();
    fitting.sort();
    if count % present != 0 && used != fitting {
        return Some(Due::Zones(spread.zones));
    }
    Some(Due::Size(count / present))
}

/// Without the labels that GKE itself sets.
fn own(mut labels: HashMap<String, String>) -> HashMap<String, String> {
    labels.retain(|key, _| !RESERVED.iter().any(|p| key.starts_with(p)));
    labels
}

fn bounds_text(bounds: &NodePoolAutoscaling) -> String {
    if bounds.enabled {
        format!("{} to {} nodes", bounds.total_min_node_count, bounds.total_max_node_count)
    } else {
        "off".to_owned()
    }
}

fn sorted(taints: &[NodeTaint]) -> Vec<(String, String, Option<i32>)> {
    let mut all: Vec<_> = taints.iter().map(|t| (t.key.clone(), t.value.clone(), t.effect.value())).collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::{Due, due};
    use crate::{
        node_pool::{Wanted, build},
        parameters::Parameters,
    };
    use landlord_provider_api::{
        ErrorKind, ProviderError,
        v1::{ClusterStatus, NetworkStatus, NodePoolSpec, Scope, Taint},
    };

    fn check(
        change: impl FnOnce(&mut NodePoolSpec),
        expected: impl FnOnce(Result<Option<Due>, ProviderError>) -> bool,
    ) {
        let zones: Vec<String> = ["b", "c", "d"].map(|z| format!("europe-west1-{z}")).to_vec();
        let scope = Scope { installation: "test".to_owned(), tenant_uid: "u".to_owned(), ..Scope::default() };
        let parameters = Parameters::default();
        let mut spec = NodePoolSpec {
            role: "default".to_owned(),
            machine_type: "e2-standard-4".to_owned(),
            node_count: 3,
            labels: [("tenant".to_owned(), "acme".to_owned())].into(),
            ..NodePoolSpec::default()
        };
        let mut pool = build(&scope, &parameters, &spec, &zones).expect("valid");
        pool.version = "1.34.2-gke.1".to_owned();
        change(&mut spec);
        let cluster = ClusterStatus { kubernetes_version: "1.34.1-gke.9".to_owned(), ..ClusterStatus::default() };
        let network = NetworkStatus::default();
        let wanted = Wanted {
            scope: &scope,
            parameters: &parameters,
            network: &network,
            cluster: &cluster,
            spec: &spec,
            checkpoint: &[],
        };
        assert!(expected(due(wanted, &pool, 3, &zones).map_err(ProviderError::from)));
    }

    #[test]
    fn what_is_as_wanted_does_not_change() {
        check(|_| {}, |d| matches!(d, Ok(None)));
    }

    #[test]
    fn each_difference_is_one_change() {
        check(|s| s.node_count = 6, |d| matches!(d, Ok(Some(Due::Size(2)))));
        check(|s| s.node_count = 4, |d| matches!(d, Ok(Some(Due::Zones(z))) if z.len() == 2));
        check(|s| s.node_count_max = 9, |d| matches!(d, Ok(Some(Due::Autoscaling))));
        check(|s| s.labels.clear(), |d| matches!(d, Ok(Some(Due::Labels(_)))));
        let taint = Taint { key: "only".to_owned(), value: "acme".to_owned(), effect: "NoSchedule".to_owned() };
        check(|s| s.taints = vec![taint], |d| matches!(d, Ok(Some(Due::Taints(_)))));
        let machine = |d: Result<Option<Due>, ProviderError>| matches!(d, Err(e) if e.kind == ErrorKind::Invalid);
        check(|s| s.machine_type = "c3-standard-8".to_owned(), machine);
    }
}
