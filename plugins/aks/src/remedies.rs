//! Who must do what, where several of Azure's error codes need the same.

pub(crate) const ALLOW: &str =
    "allow the action in the role of landlord's principal (see role-definition.json), then retry";
pub(crate) const CAPACITY: &str = "wait, or choose another machine type, zone or region for the class";
/// Nodes that start and do not become a part of their cluster.
pub(crate) const REACH: &str = "whoever runs the tenant's network lets its nodes reach the API server and Microsoft's registries (NAT gateway, routes, firewall, DNS); landlord tries again by itself";
pub(crate) const SKU: &str = "choose a machine type that the subscription may use in this region and its zones";
pub(crate) const LOCK: &str = "remove the lock from the resource or its group, then retry";
pub(crate) const KEY: &str =
    "the owner of the Key Vault key enables it and lets the cluster's identity use it, then retry";
pub(crate) const POLICY: &str = "exempt landlord's resource groups from the Azure Policy that the message names, or change the class to satisfy it, then retry";
pub(crate) const REGISTER: &str = "register the resource providers Microsoft.ContainerService, Microsoft.Network, Microsoft.Compute and Microsoft.ManagedIdentity in the subscription, then retry";
pub(crate) const SUBSCRIPTION: &str = "enable the subscription again, then retry";
pub(crate) const QUOTA: &str = "ask for a higher quota (the message names it) in Azure's Quotas page, then retry";
pub(crate) const QUOTA_VCPUS: &str = "ask for a higher quota of vCPUs of the machine family (\"Standard … Family vCPUs\") and \"Total Regional vCPUs\" in Azure's Quotas page, provider Microsoft.Compute, then retry";
pub(crate) const QUOTA_CLUSTERS: &str = "ask for a higher quota \"Managed clusters\" in Azure's Quotas page, provider Microsoft.ContainerService, or delete clusters that are no longer needed, then retry";
pub(crate) const QUOTA_ADDRESSES: &str = "ask for a higher quota \"Public IPv4 Addresses - Standard\" in Azure's Quotas page, provider Microsoft.Network, or delete addresses that are no longer needed, then retry";
pub(crate) const QUOTA_NETWORKS: &str =
    "ask for a higher quota \"Virtual Networks\" in Azure's Quotas page, provider Microsoft.Network, then retry";
pub(crate) const QUOTA_ZONES: &str = "delete zones that are no longer needed or ask Azure support for a higher quota of public DNS zones a subscription, then retry";
