//! What the plugin is and can do, as constants with their sources.

use landlord_provider_api::v1;
use landlord_provider_sdk::describe::Tables;

use crate::{config::Config, parameters::Parameters};

const COMPUTE: &str = "1,500 requests a minute a project in each group of methods, refilled on the minute; a burst of a third leaves room for other users. https://cloud.google.com/compute/api-quota (2026-11)";
const CONTAINER: &str = "3,000 requests a minute a project, reads and changes together; divided here five to one. https://cloud.google.com/kubernetes-engine/quotas (2026-11)";
const DNS: &str = "assumption, below the project's default as the console shows it: Cloud DNS publishes no rates (https://cloud.google.com/dns/quotas, 2026-11)";
const AUTH: &str = "assumption: tokens are kept for an hour, so hardly any are requested (https://cloud.google.com/iam/quotas, 2026-11)";

/// Name, calls per second, burst, source.
const BUCKETS: &[(&str, f64, f64, &str)] = &[
    ("compute/read", 25.0, 500.0, COMPUTE),
    ("compute/list", 25.0, 500.0, COMPUTE),
    ("compute/mutate", 25.0, 500.0, COMPUTE),
    ("container/read", 40.0, 400.0, CONTAINER),
    ("container/mutate", 8.0, 80.0, CONTAINER),
    ("dns/all", 10.0, 100.0, DNS),
    ("auth/all", 10.0, 50.0, AUTH),
];

/// Method, bucket, calls that one call typically makes.
const COSTS: &[(&str, &str, f64)] = &[
    ("EnsureNetwork", "compute/read", 4.0),
    ("EnsureNetwork", "compute/mutate", 0.6),
    ("EnsureCluster", "container/read", 1.5),
    ("EnsureCluster", "container/mutate", 0.1),
    ("EnsureAddons", "container/read", 1.0),
    ("EnsureNodePool", "container/read", 1.0),
    ("EnsureNodePool", "compute/read", 2.0),
    ("EnsureNodePool", "container/mutate", 0.1),
    ("EnsureDnsZone", "dns/all", 2.0),
    ("EnsureDnsRecords", "dns/all", 3.0),
    ("EnsureIdentity", "dns/all", 3.0),
    ("Observe", "container/read", 1.0),
    ("Observe", "compute/read", 1.0),
    ("DeleteNetwork", "compute/read", 4.0),
    ("DeleteNetwork", "compute/mutate", 0.6),
    ("DeleteCluster", "container/read", 1.0),
    ("DeleteCluster", "container/mutate", 0.1),
    ("DeleteAddons", "container/read", 0.1),
    ("DeleteNodePool", "container/read", 2.0),
    ("DeleteNodePool", "container/mutate", 0.1),
    ("DeleteDnsZone", "dns/all", 4.0),
    ("DeleteDnsRecords", "dns/all", 3.0),
    ("DeleteIdentity", "dns/all", 3.0),
    ("DeleteLeftovers", "container/read", 1.0),
    ("DeleteLeftovers", "compute/list", 13.0),
    ("DeleteLeftovers", "compute/mutate", 2.0),
    ("ListOwned", "container/read", 2.0),
    ("ListOwned", "compute/list", 16.0),
    ("ListOwned", "dns/all", 2.0),
];

/// Method, typical, slow (seconds). A regional cluster with its pool takes 3.5 to 9.5 minutes with
/// a long tail; that figure and the others are from experience, 2026-11. Google promises no times:
/// its service level (<https://cloud.google.com/kubernetes-engine/sla>) is about clusters that are up.
const DURATIONS: &[(&str, i64, i64)] = &[
    ("EnsureNetwork", 45, 150),
    ("EnsureCluster", 360, 720),
    ("EnsureAddons", 2, 30),
    ("EnsureNodePool", 10, 300),
    ("EnsureDnsZone", 3, 30),
    ("EnsureDnsRecords", 2, 60),
    ("EnsureIdentity", 3, 30),
    ("DeleteNetwork", 70, 240),
    ("DeleteCluster", 240, 600),
    ("DeleteAddons", 1, 10),
    ("DeleteNodePool", 150, 480),
    ("DeleteDnsZone", 3, 30),
    ("DeleteDnsRecords", 2, 30),
    ("DeleteIdentity", 3, 30),
    ("DeleteLeftovers", 40, 300),
];

/// What the contract has no word for.
const CAPABILITIES: [&str; 7] = [
    "secrets-encryption",
    "network-policy",
    "workload-identity",
    "delegation",
    "leftovers",
    "metrics-server",
    "node-scaling",
];

const TABLES: Tables<'_> = Tables { capabilities: &CAPABILITIES, buckets: BUCKETS, costs: COSTS, durations: DURATIONS };

/// The description.
pub(crate) fn describe(name: &str, version: &str) -> v1::DescribeResponse {
    TABLES.describe(name, version, Config::schema().to_string(), Parameters::schema().to_string())
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, TABLES, describe};
    use crate::action;

    #[test]
    fn every_cost_and_every_action_has_a_bucket() {
        let known = |name: &str| BUCKETS.iter().any(|b| b.0 == name);
        assert_eq!(TABLES.problems(), Vec::<String>::new());
        let unknown: Vec<_> = action::ALL.iter().filter(|a| !known(a.bucket())).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn schemas_are_json_and_refuse_unknown_keys() {
        let description = describe("gke", "0.0.0");
        for schema in [&description.config_schema, &description.parameters_schema] {
            let value: serde_json::Value = serde_json::from_str(schema).expect("JSON");
            assert_eq!(value["additionalProperties"], false);
        }
    }
}
