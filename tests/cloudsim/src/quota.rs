//! Service quotas: how many of each an account may have, changeable while running.
//!
//! Defaults are AWS's documented ones:
//! <https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html>,
//! <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html>,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>. GCP's are those
//! that its pages show for a new project: <https://cloud.google.com/compute/resource-usage>,
//! <https://cloud.google.com/kubernetes-engine/quotas>, <https://cloud.google.com/dns/quotas>,
//! <https://cloud.google.com/iam/quotas>.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names and defaults of all quotas.
pub const DEFAULTS: &[(&str, u64)] = &[
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
    // GCP, by its metrics' names where it has them.
    ("NETWORKS", 5),
    ("SUBNETWORKS", 100),
    ("ROUTERS", 10),
    ("FIREWALLS", 100),
    ("FORWARDING_RULES", 15),
    ("TARGET_POOLS", 50),
    ("BACKEND_SERVICES", 9),
    ("HEALTH_CHECKS", 75),
    ("STATIC_ADDRESSES", 8),
    ("IN_USE_ADDRESSES", 8),
    ("CPUS", 24),
    ("gke-clusters-per-region", 100),
    ("gke-node-pools-per-cluster", 1_000),
    ("dns-managed-zones", 10_000),
    ("dns-records-per-zone", 10_000),
    ("service-accounts", 100),
];

/// Quotas in force: defaults, then per-account changes (`*` is every account).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Quotas {
    changed: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Why a quota cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("there is no quota {name:?}; known are {known}", known = DEFAULTS.iter().map(|d| d.0).collect::<Vec<_>>().join(", "))]
pub struct UnknownQuota {
    name: String,
}

impl Quotas {
    /// The limit called `name` for `account`.
    #[must_use]
    pub fn limit(&self, account: &str, name: &str) -> u64 {
        [account, "*"]
            .iter()
            .find_map(|a| self.changed.get(*a).and_then(|m| m.get(name)).copied())
            .or_else(|| DEFAULTS.iter().find(|d| d.0 == name).map(|d| d.1))
            .unwrap_or(u64::MAX)
    }

    /// Changes one limit.
    ///
    /// # Errors
    /// If there is no such quota.
    pub fn set(&mut self, account: &str, name: &str, limit: u64) -> Result<(), UnknownQuota> {
        if !DEFAULTS.iter().any(|d| d.0 == name) {
            return Err(UnknownQuota { name: name.to_owned() });
        }
        self.changed.entry(account.to_owned()).or_default().insert(name.to_owned(), limit);
        Ok(())
    }

    /// All limits of `account`.
    #[must_use]
    pub fn all(&self, account: &str) -> BTreeMap<&'static str, u64> {
        DEFAULTS.iter().map(|d| (d.0, self.limit(account, d.0))).collect()
    }
}
