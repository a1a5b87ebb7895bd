//! The resource types that the plugin touches, each with its API version and what is done to
//! it: the one table that requests, the rate buckets, the error table and the role definition
//! are made from or checked against. A call cannot be made without naming its type.
//!
//! The versions are generally available ones, those that Microsoft's own clients of November
//! 2026 send (azure-mgmt-containerservice 41.8, -network 33.1, -dns 9.0, -msi 7.1,
//! -authorization 4.0, -resource 26.0).

/// What is done to a resource. ARM names permissions by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// GET, also of lists.
    Read,
    /// PUT.
    Write,
    /// DELETE.
    Delete,
    /// POST of the one action that the type has.
    Act,
}

/// A resource type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Namespace and type, as in `type` of a resource.
    pub(crate) name: &'static str,
    /// `api-version`.
    pub(crate) version: &'static str,
    /// Resource provider, as the error table calls it.
    pub(crate) service: &'static str,
    /// What the plugin does to it.
    pub(crate) verbs: &'static [Verb],
    /// The POST action, with [`Verb::Act`].
    pub(crate) action: &'static str,
}

use Verb::{Act, Delete, Read, Write};

const NETWORK: &str = "2026-03-01";
const AKS: &str = "2026-08-01";
const DNS: &str = "2018-05-01";
const IDENTITIES: &str = "2024-11-30";
const RESOURCES: &str = "2025-04-01";

macro_rules! kinds {
    ($($(#[$doc:meta])* $ident:ident = $name:literal $version:ident $service:literal [$($verb:ident),*] $action:literal;)*) => {
        $($(#[$doc])* pub(crate) static $ident: Kind = Kind {
            name: $name, version: $version, service: $service, verbs: &[$($verb),*], action: $action,
        };)*
        /// All of them.
        pub(crate) static ALL: &[&Kind] = &[$(&$ident),*];
    };
}

const AUTHORIZATION: &str = "2022-04-01";
const DISKS: &str = "2025-01-02";
const LOCKS: &str = "2020-05-01";

kinds! {
    /// A resource group.
    GROUP = "Microsoft.Resources/subscriptions/resourceGroups" RESOURCES "resources" [Read, Write, Delete] "";
    /// The list of a subscription's resources.
    RESOURCE = "Microsoft.Resources/subscriptions/resources" RESOURCES "resources" [Read] "";
    /// The list of a resource group's resources.
    GROUP_RESOURCE = "Microsoft.Resources/subscriptions/resourceGroups/resources" RESOURCES "resources" [Read] "";
    /// A virtual network; joining lets a cluster use it.
    VNET = "Microsoft.Network/virtualNetworks" NETWORK "network" [Read, Write] "";
    /// A subnet, which is read with its network; `join` is required from whoever puts a cluster into it.
    SUBNET = "Microsoft.Network/virtualNetworks/subnets" NETWORK "network" [Write] "join";
    /// A public address.
    ADDRESS = "Microsoft.Network/publicIPAddresses" NETWORK "network" [Read, Write, Delete] "join";
    /// A NAT gateway.
    NAT = "Microsoft.Network/natGateways" NETWORK "network" [Read, Write] "join";
    /// A load balancer that Kubernetes left.
    BALANCER = "Microsoft.Network/loadBalancers" NETWORK "network" [Read, Delete] "";
    /// A security group that Kubernetes left.
    SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups" NETWORK "network" [Read, Delete] "";
    /// A network interface that Kubernetes left.
    INTERFACE = "Microsoft.Network/networkInterfaces" NETWORK "network" [Read, Delete] "";
    /// A private endpoint that Kubernetes left.
    ENDPOINT = "Microsoft.Network/privateEndpoints" NETWORK "network" [Read, Delete] "";
    /// A disk that Kubernetes left.
    DISK = "Microsoft.Compute/disks" DISKS "compute" [Read, Delete] "";
    /// A snapshot that Kubernetes left.
    SNAPSHOT = "Microsoft.Compute/snapshots" DISKS "compute" [Read, Delete] "";
    /// A user-assigned identity, which goes with its group; `assign` is required from whoever gives it to a cluster.
    IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities" IDENTITIES "identity" [Read, Write] "assign";
    /// A federated credential of an identity.
    FEDERATION = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials" IDENTITIES "identity" [Read, Write, Delete] "";
    /// A role assignment.
    ASSIGNMENT = "Microsoft.Authorization/roleAssignments" AUTHORIZATION "authorization" [Read, Write, Delete] "";
    /// A lock, which keeps a group or what is in it from being deleted.
    LOCK = "Microsoft.Authorization/locks" LOCKS "authorization" [Read] "";
    /// A managed cluster.
    CLUSTER = "Microsoft.ContainerService/managedClusters" AKS "aks" [Read, Write, Delete, Act] "listClusterUserCredential";
    /// An agent pool.
    POOL = "Microsoft.ContainerService/managedClusters/agentPools" AKS "aks" [Read, Write, Delete] "";
    /// The state of a long-running operation of a network's parts.
    NETWORK_OPERATION = "Microsoft.Network/locations/operations" NETWORK "network" [Read] "";
    /// The same of a zone.
    ZONE_OPERATION = "Microsoft.Network/dnsOperationStatuses" NETWORK "dns" [Read] "";
    /// The same of a resource group.
    GROUP_OPERATION = "Microsoft.Resources/subscriptions/operationresults" RESOURCES "resources" [Read] "";
    /// The state of a long-running operation of a cluster's parts.
    OPERATION = "Microsoft.ContainerService/locations/operations" AKS "aks" [Read] "";
    /// A DNS zone.
    ZONE = "Microsoft.Network/dnsZones" DNS "dns" [Read, Write, Delete] "";
    /// All record sets of a zone.
    RECORDS = "Microsoft.Network/dnsZones/recordsets" DNS "dns" [Read] "";
    /// Record sets by type; they are read as a list.
    RECORD_A = "Microsoft.Network/dnsZones/A" DNS "dns" [Write, Delete] "";
    /// See `RECORD_A`.
    RECORD_AAAA = "Microsoft.Network/dnsZones/AAAA" DNS "dns" [Write, Delete] "";
    /// See `RECORD_A`.
    RECORD_CNAME = "Microsoft.Network/dnsZones/CNAME" DNS "dns" [Write, Delete] "";
    /// See `RECORD_A`.
    RECORD_TXT = "Microsoft.Network/dnsZones/TXT" DNS "dns" [Write, Delete] "";
    /// The delegation in a parent zone.
    RECORD_NS = "Microsoft.Network/dnsZones/NS" DNS "dns" [Read, Write, Delete] "";
}

/// The kind of a resource's `type`; ARM does not keep to one spelling.
pub(crate) fn of_type(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|k| k.name.eq_ignore_ascii_case(name))
}

impl Kind {
    /// The rate bucket of the resource provider that a call is taken from, beside ARM's own.
    pub(crate) fn bucket(&self, verb: Verb) -> &'static str {
        match (self.service, self.name, verb) {
            ("aks", "Microsoft.ContainerService/managedClusters", Write) => "aks/put-cluster",
            ("aks", "Microsoft.ContainerService/managedClusters", Read) => "aks/get-cluster",
            ("aks", "Microsoft.ContainerService/managedClusters/agentPools", Write) => "aks/put-pool",
            ("aks", "Microsoft.ContainerService/locations/operations", _) => "aks/operations",
            ("aks", ..) => "aks/other",
            ("network", _, Read) => "network/read",
            ("network", ..) => "network/write",
            ("dns", _, Read) => "dns/read",
            ("dns", ..) => "dns/write",
            _ => arm_bucket(verb),
        }
    }

    #[cfg(test)]
    /// The permissions that the calls ask for, as in a role definition.
    pub(crate) fn permissions(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .verbs
            .iter()
            .map(|verb| match verb {
                Read => format!("{}/read", self.name),
                Write => format!("{}/write", self.name),
                Delete => format!("{}/delete", self.name),
                Act => format!("{}/{}/action", self.name, self.action),
            })
            .collect();
        if !self.action.is_empty() && !self.verbs.contains(&Act) {
            all.push(format!("{}/{}/action", self.name, self.action));
        }
        all
    }
}

/// ARM's own bucket, for each subscription and principal.
pub(crate) fn arm_bucket(verb: Verb) -> &'static str {
    match verb {
        Read => "arm/read",
        Write | Act => "arm/write",
        Delete => "arm/delete",
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, CLUSTER, of_type};
    use std::collections::BTreeSet;

    const DEFINITION: &str = include_str!("../role-definition.json");

    fn allowed(list: &str) -> BTreeSet<String> {
        let definition: serde_json::Value = serde_json::from_str(DEFINITION).expect("JSON");
        let actions = definition[list].as_array().expect("a list");
        actions.iter().map(|a| a.as_str().expect("text").to_lowercase()).collect()
    }

    #[test]
    fn the_role_definition_allows_every_call_and_nothing_else() {
        let allowed = allowed("Actions");
        let wanted: BTreeSet<String> = ALL.iter().flat_map(|k| k.permissions()).map(|p| p.to_lowercase()).collect();
        let missing: Vec<_> = wanted.difference(&allowed).collect();
        let surplus: Vec<_> = allowed.difference(&wanted).collect();
        assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
    }

    #[test]
    fn the_role_definition_lets_landlord_into_its_clusters() {
        assert!(allowed("DataActions").contains("microsoft.containerservice/managedclusters/*"));
    }

    #[test]
    fn no_version_is_a_preview_and_no_type_is_named_twice() {
        let mut seen = BTreeSet::new();
        for kind in ALL {
            assert!(kind.version.len() == "2026-01-01".len(), "{kind:?}");
            assert!(seen.insert(kind.name.to_lowercase()), "{kind:?}");
        }
        assert_eq!(of_type("microsoft.containerservice/MANAGEDCLUSTERS"), Some(&CLUSTER));
    }
}
