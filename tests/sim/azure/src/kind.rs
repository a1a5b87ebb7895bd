//! The kinds of Azure resources: how each is called, where its routes begin, which versions of its API there are.
//!
//! Type names are ARM's. Versions are the stable ones of <https://github.com/Azure/azure-rest-api-specs> from 2024 on,
//! and older ones where a service has had none since.

use cloudsim_core::kind::Kind;
use serde::{Deserialize, Serialize};

/// Every kind of Azure resource here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum AzureKind {
    ResourceGroup,
    VirtualNetwork,
    Subnet,
    NatGateway,
    PublicIpAddress,
    NetworkSecurityGroup,
    LoadBalancer,
    RouteTable,
    NetworkInterface,
    PrivateEndpoint,
    DnsZone,
    DnsRecordSet,
    ManagedCluster,
    AgentPool,
    ScaleSet,
    VirtualMachine,
    Disk,
    Snapshot,
    UserAssignedIdentity,
    FederatedCredential,
    RoleAssignment,
    ManagementLock,
}

/// What is known of a kind.
#[derive(Debug)]
pub(crate) struct KindInfo {
    /// The kind.
    pub kind: AzureKind,
    /// `Microsoft.Network` and so on.
    pub namespace: &'static str,
    /// Types within the namespace: `virtualNetworks/subnets`.
    pub types: &'static str,
    /// The service that journal and fault rules name.
    pub service: &'static str,
    /// The last of the types: how actions begin.
    pub leaf: &'static str,
    /// The cloud's own work of making or changing one, for journal and fault rules.
    pub ready: &'static str,
    /// The cloud's own work of deleting one.
    pub gone: &'static str,
    /// Whether it has a location and tags and is listed among the resources of its group.
    pub tracked: bool,
}

macro_rules! info {
    ($kind:ident, $namespace:expr, $parent:literal, $leaf:literal, $service:literal, $tracked:literal) => {
        KindInfo {
            kind: AzureKind::$kind,
            namespace: $namespace,
            types: concat!($parent, $leaf),
            service: $service,
            leaf: $leaf,
            ready: concat!($leaf, ".Ready"),
            gone: concat!($leaf, ".Gone"),
            tracked: $tracked,
        }
    };
}

const NETWORK: &str = "Microsoft.Network";
const AKS: &str = "Microsoft.ContainerService";
const COMPUTE: &str = "Microsoft.Compute";
const IDENTITY: &str = "Microsoft.ManagedIdentity";

/// All kinds, in the order in which they are declared.
pub(crate) const KINDS: [KindInfo; 22] = [
    info!(ResourceGroup, "Microsoft.Resources", "", "resourceGroups", "resources", false),
    info!(VirtualNetwork, NETWORK, "", "virtualNetworks", "network", true),
    info!(Subnet, NETWORK, "virtualNetworks/", "subnets", "network", false),
    info!(NatGateway, NETWORK, "", "natGateways", "network", true),
    info!(PublicIpAddress, NETWORK, "", "publicIPAddresses", "network", true),
    info!(NetworkSecurityGroup, NETWORK, "", "networkSecurityGroups", "network", true),
    info!(LoadBalancer, NETWORK, "", "loadBalancers", "network", true),
    info!(RouteTable, NETWORK, "", "routeTables", "network", true),
    info!(NetworkInterface, NETWORK, "", "networkInterfaces", "network", true),
    info!(PrivateEndpoint, NETWORK, "", "privateEndpoints", "network", true),
    info!(DnsZone, NETWORK, "", "dnsZones", "dns", true),
    info!(DnsRecordSet, NETWORK, "dnsZones/", "recordSets", "dns", false),
    info!(ManagedCluster, AKS, "", "managedClusters", "containerservice", true),
    info!(AgentPool, AKS, "managedClusters/", "agentPools", "containerservice", false),
    info!(ScaleSet, COMPUTE, "", "virtualMachineScaleSets", "compute", true),
    info!(VirtualMachine, COMPUTE, "", "virtualMachines", "compute", true),
    info!(Disk, COMPUTE, "", "disks", "compute", true),
    info!(Snapshot, COMPUTE, "", "snapshots", "compute", true),
    info!(UserAssignedIdentity, IDENTITY, "", "userAssignedIdentities", "managedidentity", true),
    info!(
        FederatedCredential,
        IDENTITY, "userAssignedIdentities/", "federatedIdentityCredentials", "managedidentity", false
    ),
    info!(RoleAssignment, "Microsoft.Authorization", "", "roleAssignments", "authorization", false),
    info!(ManagementLock, "Microsoft.Authorization", "", "locks", "authorization", false),
];

/// Types of record sets of a DNS zone, which stand where a type name stands.
pub(crate) const RECORD_TYPES: [&str; 10] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];

impl AzureKind {
    /// What is known of it.
    #[must_use]
    pub(crate) fn info(self) -> &'static KindInfo {
        // The table is in the order of the variants; a test holds that.
        &KINDS[self as usize]
    }

    /// `Microsoft.Network/virtualNetworks` and so on.
    #[must_use]
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::ResourceGroup => "Microsoft.Resources/resourceGroups",
            Self::VirtualNetwork => "Microsoft.Network/virtualNetworks",
            Self::Subnet => "Microsoft.Network/virtualNetworks/subnets",
            Self::NatGateway => "Microsoft.Network/natGateways",
            Self::PublicIpAddress => "Microsoft.Network/publicIPAddresses",
            Self::NetworkSecurityGroup => "Microsoft.Network/networkSecurityGroups",
            Self::LoadBalancer => "Microsoft.Network/loadBalancers",
            Self::RouteTable => "Microsoft.Network/routeTables",
            Self::NetworkInterface => "Microsoft.Network/networkInterfaces",
            Self::PrivateEndpoint => "Microsoft.Network/privateEndpoints",
            Self::DnsZone => "Microsoft.Network/dnszones",
            Self::DnsRecordSet => "Microsoft.Network/dnszones/recordsets",
            Self::ManagedCluster => "Microsoft.ContainerService/ManagedClusters",
            Self::AgentPool => "Microsoft.ContainerService/managedClusters/agentPools",
            Self::ScaleSet => "Microsoft.Compute/virtualMachineScaleSets",
            Self::VirtualMachine => "Microsoft.Compute/virtualMachines",
            Self::Disk => "Microsoft.Compute/disks",
            Self::Snapshot => "Microsoft.Compute/snapshots",
            Self::UserAssignedIdentity => "Microsoft.ManagedIdentity/userAssignedIdentities",
            Self::FederatedCredential => {
                "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
            }
            Self::RoleAssignment => "Microsoft.Authorization/roleAssignments",
            Self::ManagementLock => "Microsoft.Authorization/locks",
        }
    }

    /// The kind of an object, if it is of this cloud.
    #[must_use]
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        KINDS.iter().map(|info| info.kind).find(|own| kind == *own)
    }

    /// The kind with these types in this namespace, both in lower case.
    #[must_use]
    pub(crate) fn find(namespace: &str, types: &str) -> Option<Self> {
        let types = match types.strip_prefix("dnszones/") {
            Some("all") => "dnszones/recordsets",
            Some(record) if RECORD_TYPES.iter().any(|t| t.eq_ignore_ascii_case(record)) => "dnszones/recordsets",
            _ => types,
        };
        KINDS
            .iter()
            .find(|k| k.namespace.eq_ignore_ascii_case(namespace) && k.types.eq_ignore_ascii_case(types))
            .map(|k| k.kind)
    }
}

impl From<AzureKind> for Kind {
    fn from(kind: AzureKind) -> Self {
        Self::new(kind.type_name())
    }
}

impl PartialEq<AzureKind> for Kind {
    fn eq(&self, other: &AzureKind) -> bool {
        self.type_name() == other.type_name()
    }
}

/// Stable versions of AKS.
const OF_AKS: &[&str] = &[
    "2023-01-01",
    "2023-02-01",
    "2023-03-01",
    "2023-04-01",
    "2023-05-01",
    "2023-06-01",
    "2023-07-01",
    "2023-08-01",
    "2023-09-01",
    "2023-10-01",
    "2023-11-01",
    "2024-01-01",
    "2024-02-01",
    "2024-05-01",
    "2024-06-01",
    "2024-07-01",
    "2024-08-01",
    "2024-09-01",
    "2024-10-01",
    "2025-01-01",
    "2025-02-01",
    "2025-03-01",
    "2025-04-01",
    "2025-05-01",
    "2025-06-01",
    "2025-07-01",
    "2025-08-01",
    "2025-09-01",
    "2025-10-01",
    "2026-01-01",
    "2026-02-01",
    "2026-03-01",
    "2026-04-01",
    "2026-05-01",
    "2026-06-01",
    "2026-07-01",
    "2026-08-01",
];
/// Stable versions of the network provider.
const OF_NETWORK: &[&str] = &[
    "2020-05-01",
    "2020-06-01",
    "2020-07-01",
    "2020-08-01",
    "2020-11-01",
    "2021-02-01",
    "2021-03-01",
    "2021-05-01",
    "2021-08-01",
    "2022-01-01",
    "2022-05-01",
    "2022-07-01",
    "2022-09-01",
    "2022-11-01",
    "2023-02-01",
    "2023-04-01",
    "2023-05-01",
    "2023-06-01",
    "2023-09-01",
    "2023-11-01",
    "2024-01-01",
    "2024-03-01",
    "2024-05-01",
    "2024-07-01",
    "2024-10-01",
    "2025-01-01",
    "2025-03-01",
    "2025-05-01",
    "2025-07-01",
    "2025-09-01",
    "2026-01-01",
    "2026-03-01",
];
/// Stable versions of disks, machines and scale sets.
const OF_COMPUTE: &[&str] = &[
    "2023-10-02",
    "2024-03-01",
    "2024-03-02",
    "2024-07-01",
    "2024-11-01",
    "2025-01-02",
    "2025-04-01",
    "2025-11-01",
    "2026-03-01",
];
/// Versions of Resource Manager's own: resource groups, lists of resources, providers.
const OF_RESOURCES: &[&str] = &[
    "2020-06-01",
    "2020-10-01",
    "2021-01-01",
    "2021-04-01",
    "2022-09-01",
    "2023-07-01",
    "2024-03-01",
    "2024-07-01",
    "2024-11-01",
    "2025-03-01",
    "2025-04-01",
];

/// The stable versions of a service's API, oldest first.
#[must_use]
pub(crate) fn versions(service: &str) -> &'static [&'static str] {
    match service {
        "containerservice" => OF_AKS,
        "network" => OF_NETWORK,
        "compute" => OF_COMPUTE,
        "dns" => &["2018-05-01"],
        "managedidentity" => &["2023-01-31", "2024-11-30"],
        "authorization" => &["2015-07-01", "2016-09-01", "2020-05-01", "2022-04-01"],
        _ => OF_RESOURCES,
    }
}

#[cfg(test)]
mod tests {
    use super::{AzureKind, KINDS};

    #[test]
    fn the_table_is_in_the_order_of_the_variants() {
        for info in &KINDS {
            assert_eq!(info.kind.info().kind, info.kind);
            let name = format!("{}/{}", info.namespace, info.types);
            assert!(info.kind.type_name().eq_ignore_ascii_case(&name), "{name}");
        }
        assert_eq!(AzureKind::find("microsoft.network", "dnszones/a"), Some(AzureKind::DnsRecordSet));
        assert_eq!(AzureKind::find("microsoft.network", "dnszones/b"), None);
    }
}
