//! Quotas; defaults are the documented ones:
//! <https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html>,
//! <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html>,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>.

use cloudsim_core::quota::QuotaDefault;

/// Names and defaults.
pub(crate) const DEFAULTS: &[QuotaDefault] = &[
    ("vpcs", 5),
    ("eips", 5),
    ("internet-gateways", 5),
    ("subnets-per-vpc", 200),
    ("nat-gateways-per-az", 5),
    ("security-groups", 2_500),
    ("launch-templates", 5_000),
    ("instances", 1_000),
    ("clusters", 100),
    ("nodegroups-per-cluster", 30),
    ("nodes-per-nodegroup", 450),
    ("access-entries-per-cluster", 10_000),
    ("pod-identity-associations-per-cluster", 5_000),
    ("hosted-zones", 500),
    ("records-per-zone", 10_000),
    ("stacks", 2_000),
    ("roles", 1_000),
    ("load-balancers", 50),
];
