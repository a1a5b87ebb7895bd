//! What the plugin is and can do, as constants with their sources.

use landlord_provider_api::v1;
use landlord_provider_sdk::describe::Tables;

use crate::{config::Config, parameters::Parameters};

/// Name, calls per second, burst, source.
const BUCKETS: &[(&str, f64, f64, &str)] = &[
    (
        "eks/read",
        10.0,
        // Every throttled response halves the rate, and fifty calls bring it back: a burst is worth less than not meeting a
        // limit that nobody knows.
        40.0,
        "assumption: EKS publishes no rates (https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html, 2026-11)",
    ),
    (
        "eks/write",
        2.0,
        10.0,
        "assumption: EKS publishes no rates (https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html, 2026-11)",
    ),
    (
        "cloudformation/read",
        10.0,
        20.0,
        "assumption: CloudFormation publishes no rates (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html, 2026-11)",
    ),
    (
        "cloudformation/write",
        1.0,
        5.0,
        "assumption: CloudFormation publishes no rates (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html, 2026-11)",
    ),
    (
        "route53/all",
        5.0,
        5.0,
        "five requests a second an account. https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests (2026-11)",
    ),
    (
        "ec2/read",
        20.0,
        100.0,
        "most describe actions: bucket 100, refill 20 a second, each action by itself. https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html (2026-11)",
    ),
    (
        "ec2/write",
        5.0,
        50.0,
        "mutating actions: bucket 50 (200 for some), refill 5 a second. https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html (2026-11)",
    ),
    (
        "elasticloadbalancing/all",
        10.0,
        40.0,
        "describe actions: bucket 40, refill 10 a second. https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/load-balancer-api-throttling.html (2026-11)",
    ),
    (
        "logs/all",
        5.0,
        10.0,
        "5 to 10 requests a second an action, account and Region. https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html (2026-11)",
    ),
    ("tagging/read", 5.0, 15.0, "assumption, below what the tagging API is known to stand (2026-11)"),
    (
        "sts/all",
        100.0,
        600.0,
        "600 requests a second an account and Region, shared by all its callers. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html (2026-11)",
    ),
];

/// Method, bucket, calls that one call typically makes.
const COSTS: &[(&str, &str, f64)] = &[
    ("EnsureNetwork", "cloudformation/read", 1.0),
    ("EnsureNetwork", "cloudformation/write", 0.2),
    ("EnsureNetwork", "ec2/read", 0.2),
    ("EnsureCluster", "eks/read", 1.0),
    ("EnsureCluster", "eks/write", 0.1),
    ("EnsureCluster", "logs/all", 0.2),
    ("EnsureAddons", "eks/read", 5.0),
    ("EnsureAddons", "eks/write", 1.0),
    ("EnsureNodePool", "eks/read", 1.0),
    ("EnsureNodePool", "eks/write", 0.1),
    ("EnsureDnsZone", "route53/all", 3.0),
    ("EnsureDnsRecords", "route53/all", 3.0),
    ("EnsureIdentity", "eks/read", 3.0),
    ("EnsureIdentity", "eks/write", 1.0),
    ("Observe", "eks/read", 2.0),
    ("DeleteNetwork", "cloudformation/read", 1.0),
    ("DeleteNetwork", "cloudformation/write", 0.1),
    ("DeleteCluster", "eks/read", 2.0),
    ("DeleteCluster", "eks/write", 0.1),
    ("DeleteAddons", "eks/read", 7.0),
    ("DeleteAddons", "eks/write", 2.5),
    ("DeleteNodePool", "eks/read", 2.0),
    ("DeleteNodePool", "eks/write", 0.1),
    ("DeleteDnsZone", "route53/all", 3.0),
    ("DeleteDnsRecords", "route53/all", 3.0),
    ("DeleteIdentity", "eks/read", 5.0),
    ("DeleteIdentity", "eks/write", 2.0),
    ("DeleteLeftovers", "logs/all", 1.0),
    ("DeleteLeftovers", "ec2/read", 5.0),
    ("DeleteLeftovers", "ec2/write", 1.0),
    ("DeleteLeftovers", "elasticloadbalancing/all", 3.0),
    ("ListOwned", "tagging/read", 1.0),
    ("ListOwned", "logs/all", 1.0),
    ("ListOwned", "ec2/read", 5.0),
    ("ListOwned", "route53/all", 1.0),
    ("ListOwned", "eks/read", 1.0),
    ("ListOwned", "cloudformation/read", 1.0),
    ("ListOwned", "elasticloadbalancing/all", 1.0),
];

/// Method, typical, slow (seconds). EKS creates a control plane in 8 to 16 minutes and
/// documents "10–15 minutes" (<https://docs.aws.amazon.com/eks/latest/userguide/create-cluster.html>);
/// a NAT gateway takes 1 to 2 minutes; the others are from experience, 2026-11.
const DURATIONS: &[(&str, i64, i64)] = &[
    ("EnsureNetwork", 150, 300),
    ("EnsureCluster", 600, 1_080),
    ("EnsureAddons", 40, 180),
    ("EnsureNodePool", 140, 360),
    ("EnsureDnsZone", 5, 30),
    ("EnsureDnsRecords", 2, 60),
    ("EnsureIdentity", 3, 20),
    ("DeleteNetwork", 150, 420),
    ("DeleteCluster", 180, 720),
    ("DeleteAddons", 20, 90),
    ("DeleteNodePool", 200, 600),
    ("DeleteDnsZone", 3, 30),
    ("DeleteDnsRecords", 2, 30),
    ("DeleteIdentity", 3, 20),
    ("DeleteLeftovers", 40, 300),
];

/// What the contract has no word for.
const CAPABILITIES: [&str; 5] = ["secrets-encryption", "network-policy", "pod-identity", "delegation", "leftovers"];

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
    fn schemas_are_json_and_name_every_default() {
        let description = describe("eks", "0.0.0");
        for schema in [&description.config_schema, &description.parameters_schema] {
            let value: serde_json::Value = serde_json::from_str(schema).expect("JSON");
            assert_eq!(value["additionalProperties"], false);
        }
    }
}
