//! What the plugin is and can do, as constants.

use landlord_provider_api::v1;
use landlord_provider_sdk::describe::Tables;

use crate::{
    config::{Config, parameters_schema},
    error::BUCKET,
};

/// Why the rate is what it is.
const SOURCE: &str = "an assumption, below what priority and fairness grant to a user of the level workload-low by default \
                      (https://kubernetes.io/docs/concepts/cluster-administration/flow-control/, 2026-11)";
/// Method, bucket, calls that one call typically makes.
const COSTS: &[(&str, &str, f64)] = &[
    ("EnsureNetwork", BUCKET, 2.0),
    ("EnsureCluster", BUCKET, 12.0),
    ("EnsureNodePool", BUCKET, 2.0),
    ("KubeAccess", BUCKET, 0.1),
    ("Observe", BUCKET, 2.0),
    ("ListOwned", BUCKET, 6.0),
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

const BUCKETS: &[(&str, f64, f64, &str)] = &[(BUCKET, 20.0, 100.0, SOURCE)];

const TABLES: Tables<'_> = Tables { capabilities: &[], buckets: BUCKETS, costs: COSTS, durations: DURATIONS };

/// The description.
pub(crate) fn describe(name: &str, version: &str) -> v1::DescribeResponse {
    TABLES.describe(name, version, Config::schema().to_string(), parameters_schema().to_string())
}
