//! What the plugin is and can do, as constants.

use landlord_provider_api::v1;

use crate::{
    config::{Config, parameters_schema},
    error::BUCKET,
};

/// What it can do, in the contract's words. Networks, clusters, machines, DNS and identities are not among them.
const CAPABILITIES: [&str; 1] = ["adopts-clusters"];
/// Why the rate is what it is.
const SOURCE: &str = "an assumption, below what priority and fairness grant to a user of the level workload-low by default \
                      (https://kubernetes.io/docs/concepts/cluster-administration/flow-control/, 2026-11)";
/// Method, calls that one call typically makes.
const COSTS: &[(&str, f64)] = &[
    ("EnsureNetwork", 2.0),
    ("EnsureCluster", 12.0),
    ("EnsureNodePool", 2.0),
    ("KubeAccess", 0.1),
    ("Observe", 2.0),
    ("ListOwned", 6.0),
];
/// Method, typical, slow (seconds). Machines are given by a person.
const DURATIONS: &[(&str, i64, i64)] = &[
    ("EnsureNetwork", 1, 30),
    ("EnsureCluster", 1, 60),
    ("EnsureAddons", 0, 5),
    ("EnsureNodePool", 60, 3_600),
    ("DeleteNetwork", 0, 5),
    ("DeleteCluster", 0, 5),
    ("DeleteAddons", 0, 5),
    ("DeleteNodePool", 0, 5),
    ("DeleteLeftovers", 0, 5),
];

/// The description.
pub(crate) fn describe(name: &str, version: &str) -> v1::DescribeResponse {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    v1::DescribeResponse {
        name: name.to_owned(),
        version: version.to_owned(),
        capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
        config_schema: Config::schema().to_string(),
        parameters_schema: parameters_schema().to_string(),
        expected_durations: DURATIONS
            .iter()
            .map(|(method, typical, slow)| v1::ExpectedDuration {
                method: (*method).to_owned(),
                typical: seconds(*typical),
                slow: seconds(*slow),
            })
            .collect(),
        rate_buckets: vec![v1::RateBucket {
            name: BUCKET.to_owned(),
            rate_per_second: 20.0,
            burst: 100.0,
            source: SOURCE.to_owned(),
        }],
        method_costs: COSTS
            .iter()
            .map(|(method, cost)| v1::MethodCost {
                method: (*method).to_owned(),
                bucket: BUCKET.to_owned(),
                cost: *cost,
            })
            .collect(),
    }
}
