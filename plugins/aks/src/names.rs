//! Names and resource ids. Everything comes from the tenant's uid, so that a call repeated by
//! another process, without any memory, arrives at the same object.

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use landlord_provider_sdk::names;
use sha2::{Digest as _, Sha256};

use crate::{arm::Arm, config::Config, error::Result};

/// AKS ends the name of a Linux pool here.
const POOL_NAME_LEN_MAX: usize = 12;
/// As long as a role may be; its pool's name is a digest then.
const POOL_ROLE_LEN_MAX: usize = 40;
/// The pool that only runs what the cluster itself needs, where the tenant's own cannot.
pub(crate) const SYSTEM_POOL: &str = "system";
/// The only subnet.
pub(crate) const SUBNET: &str = "nodes";
/// Service accounts with an identity: role and, at once, namespace and name.
pub(crate) const ACCOUNTS: [&str; 2] = ["external-dns", "cert-manager"];
/// The identity that a cluster acts with.
pub(crate) const CLUSTER_IDENTITY: &str = "cluster";

/// The names of one tenant's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    base: String,
    subscription: String,
    host: Option<Host>,
}

/// A shared cluster, as a scope names it: by its name alone where its resource group has the same,
/// as landlord's own have, else by `GROUP/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    group: String,
    name: String,
}

impl Host {
    fn of(scope: &v1::Scope) -> std::result::Result<Option<Self>, ProviderError> {
        let text = scope.host_cluster.as_str();
        let (group, name) = text.split_once('/').unwrap_or((text, text));
        // What a resource group's name may hold, and with it a cluster's:
        // https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
        let is_part = |part: &str| {
            (1..=90).contains(&part.len())
                && !part.ends_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_().".contains(&b))
        };
        match text {
            "" => Ok(None),
            _ if is_part(group) && is_part(name) => Ok(Some(Self { group: group.to_owned(), name: name.to_owned() })),
            _ => Err(ProviderError::new(ErrorKind::Invalid, format!("{text:?} does not name a cluster"))
                .with_remedy("name it by its name, or by resource group and name with a slash between them")),
        }
    }
}

/// The subscription of a scope.
///
/// # Errors
/// INVALID if it names none: a credential may belong to many.
pub(crate) fn subscription(scope: &v1::Scope) -> std::result::Result<&str, ProviderError> {
    let text = scope.account.as_str();
    let good = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if good {
        return Ok(text);
    }
    Err(ProviderError::new(ErrorKind::Invalid, format!("the account {text:?} is not the id of a subscription"))
        .with_remedy("set the class's account to a subscription id of Azure"))
}

impl Names {
    /// Names for the tenant of `scope`.
    ///
    /// # Errors
    /// INVALID if the uid is not a UUID in lower case, or the account no subscription.
    pub(crate) fn new(scope: &v1::Scope) -> std::result::Result<Self, ProviderError> {
        let hex = names::uid_hex(scope)?;
        let (subscription, host) = (subscription(scope)?.to_owned(), Host::of(scope)?);
        Ok(Self { base: format!("landlord-{hex}"), subscription, host })
    }

    /// `/subscriptions/…`.
    pub(crate) fn subscription_id(&self) -> String {
        format!("/subscriptions/{}", self.subscription)
    }

    /// Resource group of network, identities and cluster; also the cluster's and network's name.
    pub(crate) fn group(&self) -> &str {
        &self.base
    }

    /// Resource group of the zone: it is made and removed beside the network's, by calls that
    /// know nothing of one another.
    pub(crate) fn dns_group(&self) -> String {
        format!("{}-dns", self.base)
    }

    /// Resource group that AKS makes and removes with the cluster.
    pub(crate) fn nodes_group(&self) -> String {
        format!("{}-nodes", self.base)
    }

    /// Id of a resource group.
    pub(crate) fn group_id(&self, group: &str) -> String {
        format!("{}/resourceGroups/{group}", self.subscription_id())
    }

    fn in_group(&self, group: &str, kind: &str, name: &str) -> String {
        format!("{}/providers/{kind}/{name}", self.group_id(group))
    }

    fn own(&self, kind: &str, name: &str) -> String {
        self.in_group(&self.base, kind, name)
    }

    /// The virtual network.
    pub(crate) fn network_id(&self) -> String {
        self.own("Microsoft.Network/virtualNetworks", &self.base)
    }

    /// The nodes' subnet.
    pub(crate) fn subnet_id(&self) -> String {
        format!("{}/subnets/{SUBNET}", self.network_id())
    }

    /// The NAT gateway.
    pub(crate) fn nat_id(&self) -> String {
        self.own("Microsoft.Network/natGateways", &format!("{}-nat", self.base))
    }

    /// The NAT gateway's address.
    pub(crate) fn address_id(&self) -> String {
        self.own("Microsoft.Network/publicIPAddresses", &format!("{}-nat", self.base))
    }

    /// An identity.
    pub(crate) fn identity_id(&self, role: &str) -> String {
        self.own("Microsoft.ManagedIdentity/userAssignedIdentities", &format!("{}-{role}", self.base))
    }

    /// The cluster.
    pub(crate) fn cluster_id(&self) -> String {
        self.own("Microsoft.ContainerService/managedClusters", &self.base)
    }

    /// Name of the cluster that the tenant's nodes are in: its own, or a shared one. Only pools and
    /// access are searched for in a shared one; whatever [`Names::cluster_id`] names can't be it.
    pub(crate) fn home(&self) -> &str {
        self.host.as_ref().map_or(&self.base, |host| &host.name)
    }

    /// Id of that cluster.
    pub(crate) fn home_id(&self) -> String {
        let Some(host) = &self.host else { return self.cluster_id() };
        self.in_group(&host.group, "Microsoft.ContainerService/managedClusters", &host.name)
    }

    /// Whether the tenant lives in a shared cluster.
    pub(crate) fn is_shared(&self) -> bool {
        self.host.is_some()
    }

    /// The role of the tenant's only pool in a shared cluster, as the contract gives it.
    pub(crate) fn shared_pool_role(&self) -> String {
        names::shared_pool_role(self.base.trim_start_matches("landlord-"))
    }

    /// An agent pool.
    pub(crate) fn pool_id(&self, name: &str) -> String {
        format!("{}/agentPools/{name}", self.home_id())
    }

    /// Where the tenant's zones are listed.
    pub(crate) fn zones_path(&self) -> String {
        format!("{}/providers/Microsoft.Network/dnsZones", self.group_id(&self.dns_group()))
    }

    /// The zone of a domain.
    pub(crate) fn zone_id(&self, domain: &str) -> String {
        format!("{}/{domain}", self.zones_path())
    }

    /// What the plugin itself puts into the tenant's resource group, without the cluster.
    pub(crate) fn own_ids(&self) -> Vec<String> {
        let mut ids = vec![self.network_id(), self.nat_id(), self.address_id(), self.identity_id(CLUSTER_IDENTITY)];
        ids.extend(ACCOUNTS.iter().map(|role| self.identity_id(role)));
        ids
    }
}

/// A UUID that is always the same for the same parts: role assignments are named by one.
pub(crate) fn uuid(parts: &[&str]) -> String {
    let digest = hex::encode(Sha256::digest(parts.join("\n").to_lowercase()));
    // The marks of a UUID of version 8, whose bits are anybody's.
    format!("{}-{}-8{}-a{}-{}", &digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32])
}

/// The name of an agent pool: the role itself where AKS takes it, else a digest of it.
///
/// # Errors
/// INVALID if the role is not a short DNS label.
pub(crate) fn pool(role: &str) -> std::result::Result<String, ProviderError> {
    names::pool_role(role, POOL_ROLE_LEN_MAX)?;
    let fits = role.len() <= POOL_NAME_LEN_MAX
        && role.starts_with(|c: char| c.is_ascii_lowercase())
        && role.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_digest = role.len() == POOL_NAME_LEN_MAX && role.starts_with('p');
    if fits && !is_digest && role != SYSTEM_POOL {
        return Ok(role.to_owned());
    }
    let digest = hex::encode(Sha256::digest(role));
    Ok(format!("p{}", &digest[..POOL_NAME_LEN_MAX - 1]))
}

/// A call for one tenant: with whom, for whom, under which names.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The client.
    pub(crate) arm: &'a Arm,
    /// Settings of the provider.
    pub(crate) config: &'a Config,
    /// For whom and where.
    pub(crate) scope: &'a v1::Scope,
    /// Under which names.
    pub(crate) names: Names,
}

impl<'a> Call<'a> {
    /// A call for the tenant of `scope`.
    ///
    /// # Errors
    /// INVALID if no names can be made.
    pub(crate) fn new(arm: &'a Arm, config: &'a Config, scope: &'a v1::Scope) -> Result<Self> {
        Ok(Self { arm, config, scope, names: Names::new(scope)? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, pool, uuid};
    use landlord_provider_api::v1::Scope;

    fn scope(uid: &str) -> Scope {
        Scope {
            tenant_uid: uid.to_owned(),
            account: "11112222-3333-4444-5555-666677778888".to_owned(),
            ..Scope::default()
        }
    }

    #[test]
    fn names_come_from_the_uid_and_fit_azures_limits() {
        let names = Names::new(&scope("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b")).expect("a good uid");
        assert_eq!(names.group(), "landlord-0192f0c12d3e7a4b8c5d6e7f80910a1b");
        // The DNS prefix of a cluster ends at 54 characters, a node resource group at 80.
        assert!(names.group().len() <= 54 && names.nodes_group().len() <= 80);
        assert!(
            names.subnet_id().ends_with("/virtualNetworks/landlord-0192f0c12d3e7a4b8c5d6e7f80910a1b/subnets/nodes")
        );
        assert!(names.own_ids().iter().all(|id| id.starts_with(&names.group_id(names.group()))));
    }

    #[test]
    fn in_a_shared_cluster_only_the_home_is_shared() {
        let uid = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";
        let of = |host: &str| Names::new(&Scope { host_cluster: host.to_owned(), ..scope(uid) });
        let (own, shared) = (of("").expect("good"), of("landlord-host").expect("good"));
        assert_eq!((own.home(), shared.home()), (own.group(), "landlord-host"));
        assert_eq!((own.is_shared(), shared.is_shared()), (false, true));
        // What is deleted by these names can't be the host's.
        assert_eq!(
            (own.cluster_id(), own.group(), own.home_id()),
            (shared.cluster_id(), shared.group(), own.cluster_id())
        );
        let path = "providers/Microsoft.ContainerService/managedClusters";
        assert!(shared.home_id().ends_with(&format!("/resourceGroups/landlord-host/{path}/landlord-host")));
        assert!(of("rg/web").expect("good").home_id().ends_with(&format!("/resourceGroups/rg/{path}/web")));
        for bad in ["a/b/c", "/b", "a/", "a b", "a?b", "../x"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        let name = pool(&shared.shared_pool_role()).expect("a role");
        assert!(name.len() == 12 && name.starts_with('p'), "{name}");
    }

    #[test]
    fn pools_have_short_names_of_their_own() {
        assert_eq!(pool("default").expect("a label"), "default");
        let digests: std::collections::BTreeSet<_> =
            ["a-b", "system", "0a", "averylongrolename", "p12345678901"].map(|r| pool(r).expect("a label")).into();
        assert_eq!(digests.len(), 5);
        assert!(digests.iter().all(|d| d.len() == 12 && d.starts_with('p')), "{digests:?}");
    }

    #[test]
    fn uuids_are_the_same_for_the_same_parts() {
        let one = uuid(&["/Subscriptions/s", "x"]);
        assert_eq!(one, uuid(&["/subscriptions/s", "x"]));
        assert_ne!(one, uuid(&["/subscriptions/s", "y"]));
        assert_eq!(one.len(), 36);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }

    #[test]
    fn bad_uids_roles_and_subscriptions_are_refused() {
        for uid in ["", "acme", "0192F0C1-2d3e-7a4b-8c5d-6e7f80910a1b", "0192f0c1/2d3e/7a4b/8c5d/6e7f80910a1b"] {
            assert!(Names::new(&scope(uid)).is_err(), "{uid}");
        }
        for role in ["", "-a", "A", "a_b", &"a".repeat(41)] {
            assert!(pool(role).is_err(), "{role}");
        }
        for account in ["", "a/b", "a b"] {
            let scope = Scope { account: account.to_owned(), ..scope("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b") };
            assert!(Names::new(&scope).is_err(), "{account}");
        }
    }
}
