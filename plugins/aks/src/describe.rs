//! What the plugin is and can do, as constants with their sources.

use landlord_provider_api::v1;
use landlord_provider_sdk::describe::Tables;

use crate::{config::Config, parameters::Parameters};

const ARM: &str = "bucket 250, refill 25 a second for reads; 200 and 10 for writes and for deletes; each a subscription, principal and region. https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling (2026-11)";
/// A tenant has one cluster and writes it a few times: what holds the account is ARM's limit.
const EACH: &str = "20 at once and 1 a minute for writes, 60 and 1 a second for reads, but of each cluster by itself; of a subscription as a whole Resource Manager's own rates hold. https://learn.microsoft.com/azure/aks/quotas-skus-regions#throttling-limits-on-aks-resource-provider-apis (2026-11)";
const AKS: &str = "bucket and refill by kind of request. https://learn.microsoft.com/azure/aks/quotas-skus-regions#throttling-limits-on-aks-resource-provider-apis (2026-11)";
const NETWORK: &str = "10,000 reads and 1,000 writes or deletes in five minutes, a subscription and region. https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling#network-throttling (2026-11)";
const DNS: &str = "500 reads in five minutes; writes are not published, 1 a second is an assumption. https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling#network-throttling (2026-11)";

/// Name, calls per second, burst, source.
const BUCKETS: &[(&str, f64, f64, &str)] = &[
    ("arm/read", 25.0, 250.0, ARM),
    ("arm/write", 10.0, 200.0, ARM),
    ("arm/delete", 10.0, 200.0, ARM),
    ("aks/put-cluster", 10.0, 200.0, EACH),
    ("aks/put-pool", 10.0, 200.0, EACH),
    ("aks/get-cluster", 25.0, 250.0, EACH),
    ("aks/operations", 2.0, 200.0, AKS),
    ("aks/other", 1.0, 60.0, AKS),
    ("network/read", 33.0, 10_000.0, NETWORK),
    ("network/write", 3.3, 1_000.0, NETWORK),
    ("dns/read", 1.6, 500.0, DNS),
    ("dns/write", 1.0, 40.0, DNS),
];

/// Method, bucket, calls that one call typically makes.
const COSTS: &[(&str, &str, f64)] = &[
    ("EnsureNetwork", "arm/read", 9.0),
    ("EnsureNetwork", "arm/write", 2.0),
    ("EnsureNetwork", "network/read", 4.0),
    ("EnsureNetwork", "network/write", 1.0),
    ("EnsureCluster", "arm/read", 2.0),
    ("EnsureCluster", "arm/write", 0.2),
    ("EnsureCluster", "aks/put-cluster", 0.1),
    ("EnsureCluster", "aks/get-cluster", 0.3),
    ("EnsureCluster", "aks/operations", 1.0),
    ("EnsureCluster", "aks/other", 0.1),
    ("EnsureAddons", "arm/read", 1.0),
    ("EnsureAddons", "aks/get-cluster", 1.0),
    ("EnsureNodePool", "arm/read", 2.0),
    ("EnsureNodePool", "aks/put-pool", 0.1),
    ("EnsureNodePool", "aks/operations", 0.5),
    ("EnsureNodePool", "aks/other", 1.0),
    ("EnsureDnsZone", "arm/read", 2.0),
    ("EnsureDnsZone", "arm/write", 1.0),
    ("EnsureDnsZone", "dns/read", 1.0),
    ("EnsureDnsZone", "dns/write", 0.5),
    ("EnsureDnsRecords", "arm/read", 2.0),
    ("EnsureDnsRecords", "dns/read", 2.0),
    ("EnsureDnsRecords", "dns/write", 2.0),
    ("EnsureIdentity", "arm/read", 6.0),
    ("EnsureIdentity", "arm/write", 2.0),
    ("KubeAccess", "aks/other", 0.1),
    ("Observe", "arm/read", 3.0),
    ("Observe", "aks/get-cluster", 1.0),
    ("DeleteNetwork", "arm/read", 3.0),
    ("DeleteNetwork", "arm/delete", 0.2),
    ("DeleteCluster", "arm/read", 2.0),
    ("DeleteCluster", "arm/delete", 0.2),
    ("DeleteCluster", "aks/get-cluster", 1.0),
    ("DeleteCluster", "aks/other", 0.1),
    ("DeleteCluster", "aks/operations", 1.0),
    ("DeleteAddons", "arm/read", 0.1),
    ("DeleteNodePool", "arm/read", 2.0),
    ("DeleteNodePool", "aks/get-cluster", 1.0),
    ("DeleteNodePool", "aks/other", 1.0),
    ("DeleteDnsZone", "arm/read", 3.0),
    ("DeleteDnsZone", "arm/delete", 1.0),
    ("DeleteDnsZone", "dns/read", 2.0),
    ("DeleteDnsZone", "dns/write", 0.5),
    ("DeleteDnsRecords", "dns/read", 2.0),
    ("DeleteDnsRecords", "dns/write", 2.0),
    ("DeleteIdentity", "arm/read", 8.0),
    ("DeleteIdentity", "arm/delete", 2.0),
    ("DeleteLeftovers", "arm/read", 4.0),
    ("DeleteLeftovers", "arm/delete", 0.5),
    ("DeleteLeftovers", "network/write", 0.5),
    ("ListOwned", "arm/read", 10.0),
    ("ListOwned", "aks/get-cluster", 1.0),
    ("ListOwned", "dns/read", 1.0),
];

/// Method, typical, slow (seconds): from experience, 2026-11. AKS publishes no durations; a
/// cluster with its first pool takes 3.5 to 15 minutes.
const DURATIONS: &[(&str, i64, i64)] = &[
    ("EnsureNetwork", 20, 120),
    ("EnsureCluster", 300, 900),
    ("EnsureAddons", 2, 60),
    ("EnsureNodePool", 150, 480),
    ("EnsureDnsZone", 5, 60),
    ("EnsureDnsRecords", 3, 60),
    ("EnsureIdentity", 5, 60),
    ("DeleteNetwork", 90, 420),
    ("DeleteCluster", 240, 720),
    ("DeleteAddons", 1, 10),
    ("DeleteNodePool", 120, 480),
    ("DeleteDnsZone", 30, 180),
    ("DeleteDnsRecords", 3, 30),
    ("DeleteIdentity", 5, 60),
    ("DeleteLeftovers", 20, 240),
];

/// What the contract has no word for.
const CAPABILITIES: [&str; 7] = [
    "network-policy",
    "pod-identity",
    "delegation",
    "leftovers",
    "first-pool-with-cluster",
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
    use crate::api;

    #[test]
    fn every_cost_and_every_call_has_a_bucket() {
        let known = |name: &str| BUCKETS.iter().any(|b| b.0 == name);
        assert_eq!(TABLES.problems(), Vec::<String>::new());
        for kind in api::ALL {
            for verb in kind.verbs {
                assert!(known(kind.bucket(*verb)) && known(api::arm_bucket(*verb)), "{} {verb:?}", kind.name);
            }
        }
    }

    #[test]
    fn schemas_are_json_and_closed() {
        let description = describe("aks", "0.0.0");
        for schema in [&description.config_schema, &description.parameters_schema] {
            let value: serde_json::Value = serde_json::from_str(schema).expect("JSON");
            assert_eq!(value["additionalProperties"], false);
        }
    }
}
