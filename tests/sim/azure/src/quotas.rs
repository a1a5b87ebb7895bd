//! Quotas; defaults are those of
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits> and
//! <https://learn.microsoft.com/azure/aks/quotas-skus-regions>; vCPUs, of which a new subscription has few, as after asking.

use cloudsim_core::quota::QuotaDefault;

/// Names and defaults.
pub(crate) const DEFAULTS: &[QuotaDefault] = &[
    ("resource-groups", 980),
    ("virtual-networks", 1_000),
    ("public-ip-addresses", 1_000),
    ("nat-gateways", 1_000),
    ("managed-clusters", 5_000),
    ("agent-pools-per-cluster", 100),
    ("regional-vcpus", 10_000),
    ("vcpus-per-family", 10_000),
    ("dns-zones", 250),
    ("dns-record-sets-per-zone", 10_000),
];
