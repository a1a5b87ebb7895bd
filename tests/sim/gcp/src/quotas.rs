//! Quotas, by their metrics' names where they have them; defaults are those that the pages show for a new project:
//! <https://cloud.google.com/compute/resource-usage>, <https://cloud.google.com/kubernetes-engine/quotas>,
//! <https://cloud.google.com/dns/quotas>, <https://cloud.google.com/iam/quotas>.

use cloudsim_core::quota::QuotaDefault;

/// Names and defaults.
pub(crate) const DEFAULTS: &[QuotaDefault] = &[
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
