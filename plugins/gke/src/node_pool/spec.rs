//! From a pool as wanted to GKE's message. Pure.

use google_cloud_container_v1::model::{
    NodeConfig, NodeManagement, NodePool, NodePoolAutoscaling, NodeTaint, ShieldedInstanceConfig,
    WorkloadMetadataConfig, node_pool::UpgradeSettings, node_pool_autoscaling::LocationPolicy, node_taint::Effect,
    workload_metadata_config::Mode,
};
use landlord_provider_api::v1;

use crate::{
    error::Result,
    markers, names,
    parameters::{Capacity, Parameters},
};

/// What a node's service account may do at most, in Google's own words for a node's needs:
/// <https://cloud.google.com/kubernetes-engine/docs/how-to/access-scopes>. Pods use Workload
/// Identity instead.
const SCOPES: [&str; 5] = [
    "https://www.googleapis.com/auth/devstorage.read_only",
    "https://www.googleapis.com/auth/logging.write",
    "https://www.googleapis.com/auth/monitoring",
    "https://www.googleapis.com/auth/service.management.readonly",
    "https://www.googleapis.com/auth/trace.append",
];
/// With a service account of its own, IAM alone decides.
const ALL: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How many zones a pool takes, and how many nodes are in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) zones: Vec<String>,
    pub(super) per_zone: i32,
}

/// Spreads a pool over as many zones as divide its size. One that an autoscaler may grow takes
/// them all if its bounds leave room for that.
pub(super) fn spread(spec: &v1::NodePoolSpec, zones: &[String]) -> Spread {
    let count = spec.node_count.max(1);
    let all = i32::try_from(zones.len()).unwrap_or(1).max(1);
    let rounded = (count + all - 1) / all;
    if is_autoscaled(spec) && rounded * all <= spec.node_count_max {
        return Spread { zones: zones.to_vec(), per_zone: rounded };
    }
    let used = (1..=all).rev().find(|n| count % n == 0).unwrap_or(1);
    let zones = zones.iter().take(usize::try_from(used).unwrap_or(1)).cloned().collect();
    Spread { zones, per_zone: count / used }
}

pub(super) fn is_autoscaled(spec: &v1::NodePoolSpec) -> bool {
    spec.node_count_max > spec.node_count.max(1)
}

/// An autoscaler's bounds, over all zones; `None`: the size is fixed.
pub(super) fn autoscaling(spec: &v1::NodePoolSpec) -> NodePoolAutoscaling {
    if !is_autoscaled(spec) {
        return NodePoolAutoscaling::new().set_enabled(false);
    }
    NodePoolAutoscaling::new()
        .set_enabled(true)
        .set_total_min_node_count(spec.node_count.max(1))
        .set_total_max_node_count(spec.node_count_max)
        .set_location_policy(LocationPolicy::Balanced)
}

pub(super) fn taints(spec: &v1::NodePoolSpec) -> Vec<NodeTaint> {
    let effect = |text: &str| match text {
        "NoExecute" => Effect::NoExecute,
        "PreferNoSchedule" => Effect::PreferNoSchedule,
        _ => Effect::NoSchedule,
    };
    let build = |t: &v1::Taint| NodeTaint::new().set_key(&t.key).set_value(&t.value).set_effect(effect(&t.effect));
    spec.taints.iter().map(build).collect()
}

/// The pool as GKE is requested it.
pub(crate) fn build(
    scope: &v1::Scope,
    parameters: &Parameters,
    spec: &v1::NodePoolSpec,
    zones: &[String],
) -> Result<NodePool> {
    let Spread { zones, per_zone } = spread(spec, zones);
    let disk = if spec.disk_size_gib > 0 { spec.disk_size_gib } else { parameters.node_disk_gib };
    let mut config = NodeConfig::new()
        .set_machine_type(&spec.machine_type)
        .set_disk_size_gb(disk)
        .set_disk_type(&parameters.disk_type)
        .set_image_type(&parameters.image_type)
        .set_labels(spec.labels.clone())
        .set_taints(taints(spec))
        .set_resource_labels(markers::labels(scope, "node-pool"))
        .set_metadata([("disable-legacy-endpoints", "true")])
        .set_spot(parameters.capacity_type == Capacity::Spot)
        .set_workload_metadata_config(WorkloadMetadataConfig::new().set_mode(Mode::GkeMetadata))
        .set_shielded_instance_config(
            ShieldedInstanceConfig::new().set_enable_secure_boot(true).set_enable_integrity_monitoring(true),
        );
    config = match parameters.node_service_account.as_str() {
        "" => config.set_oauth_scopes(SCOPES),
        account => config.set_oauth_scopes([ALL]).set_service_account(account),
    };
    let mut pool = NodePool::new()
        .set_name(names::node_pool(&spec.role)?)
        .set_config(config)
        .set_initial_node_count(per_zone)
        .set_locations(zones)
        .set_management(NodeManagement::new().set_auto_upgrade(true).set_auto_repair(true))
        .set_upgrade_settings(UpgradeSettings::new().set_max_surge(1).set_max_unavailable(0));
    if is_autoscaled(spec) {
        pool = pool.set_autoscaling(autoscaling(spec));
    }
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::{build, spread};
    use crate::parameters::Parameters;
    use google_cloud_container_v1::model::workload_metadata_config::Mode;
    use landlord_provider_api::v1::{NodePoolSpec, Scope};

    fn zones() -> Vec<String> {
        ["b", "c", "d"].map(|z| format!("europe-west1-{z}")).to_vec()
    }

    fn spec(count: i32, max: i32) -> NodePoolSpec {
        NodePoolSpec { role: "default".to_owned(), node_count: count, node_count_max: max, ..NodePoolSpec::default() }
    }

    #[test]
    fn a_pool_has_exactly_the_nodes_requested() {
        for (count, used, per_zone) in [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 1, 5), (6, 3, 2), (9, 3, 3)] {
            let spread = spread(&spec(count, count), &zones());
            assert_eq!((spread.zones.len(), spread.per_zone), (used, per_zone), "{count}");
        }
    }

    #[test]
    fn an_autoscaled_pool_takes_all_zones_within_its_bounds() {
        let wide = spread(&spec(2, 10), &zones());
        assert_eq!((wide.zones.len(), wide.per_zone), (3, 1));
        let narrow = spread(&spec(1, 2), &zones());
        assert_eq!((narrow.zones.len(), narrow.per_zone), (1, 1), "three nodes would be beyond the bound");
    }

    #[test]
    fn nodes_are_shielded_and_hide_the_machines_identity() {
        let scope = Scope { installation: "test".to_owned(), tenant_uid: "u".to_owned(), ..Scope::default() };
        let pool = build(&scope, &Parameters::default(), &spec(4, 8), &zones()).expect("valid");
        assert!(pool.autoscaling.as_ref().is_some_and(|a| a.enabled && a.total_max_node_count == 8));
        assert_eq!((pool.initial_node_count, pool.locations.len()), (2, 3));
        let config = pool.config.expect("a config");
        assert_eq!(config.workload_metadata_config.expect("set").mode, Mode::GkeMetadata);
        assert!(config.shielded_instance_config.expect("set").enable_secure_boot);
        assert_eq!(config.resource_labels["landlord-role"], "node-pool");
        assert!(!config.oauth_scopes.iter().any(|s| s.ends_with("/cloud-platform")), "{:?}", config.oauth_scopes);
        let parameters =
            Parameters { node_service_account: "n@p.iam.gserviceaccount.com".to_owned(), ..Parameters::default() };
        let config = build(&scope, &parameters, &spec(1, 1), &zones()).expect("valid").config.expect("a config");
        assert_eq!(config.service_account, "n@p.iam.gserviceaccount.com");
    }
}
