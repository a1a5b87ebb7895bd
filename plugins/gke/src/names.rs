//! Names and request ids. Everything comes from the tenant's uid, so that a call repeated by
//! another process, without any memory, arrives at the same object.

use landlord_provider_api::{ProviderError, v1};
use landlord_provider_sdk::names;
pub(crate) use landlord_provider_sdk::zones::normal;
use sha2::{Digest as _, Sha256};

/// The digit of a UUID that is its version and nothing else.
const VERSION_DIGIT: usize = 12;
/// `landlord-` + role must fit GKE's 40 characters of a pool's name.
const POOL_ROLE_LEN_MAX: usize = 31;
/// Hex digits of a domain's hash in a zone's name: a tenant has one zone at a time, two while its
/// domain changes.
const DOMAIN_HASH_LEN: usize = 8;

/// The names of one tenant's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    base: String,
    cluster: String,
    uid: String,
    host: Option<String>,
}

impl Names {
    /// Names for the tenant of `scope`.
    ///
    /// # Errors
    /// INVALID if the uid is not a UUID in lower case.
    pub(crate) fn new(scope: &v1::Scope) -> Result<Self, ProviderError> {
        let hex = names::uid_hex(scope)?;
        let host = Some(scope.host_cluster.clone()).filter(|name| !name.is_empty());
        Ok(Self { base: format!("landlord-{hex}"), cluster: short(&hex), uid: scope.tenant_uid.clone(), host })
    }

    /// The VPC network, and the subnetwork in it.
    pub(crate) fn network(&self) -> &str {
        &self.base
    }

    /// The Cloud Router.
    pub(crate) fn router(&self) -> &str {
        &self.base
    }

    /// The cluster: 40 characters, the most that GKE takes.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The cluster that the tenant's nodes are in: its own, or a shared one. Only node pools and
    /// access are searched for in a shared one; whatever is named by [`Names::cluster`] can't be it.
    pub(crate) fn home(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.cluster)
    }

    /// Whether the tenant lives in a shared cluster.
    pub(crate) fn is_shared(&self) -> bool {
        self.host.is_some()
    }

    /// The managed zone of a domain.
    pub(crate) fn zone(&self, domain: &str) -> String {
        let mut hash = hex::encode(Sha256::digest(domain));
        hash.truncate(DOMAIN_HASH_LEN);
        format!("{}-{hash}", self.base)
    }

    /// A request id, in the form of a UUID as Compute Engine requires: the same for the same tenant,
    /// role and salt. Google responds to a repeated id with the operation that it began the first time.
    pub(crate) fn request_id(&self, role: &str, salt: &str) -> String {
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&Sha256::digest(format!("{}/{role}/{salt}", self.uid))[..16]);
        // RFC 9562: version 8, made up by the application; variant 10.
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = hex::encode(bytes);
        format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }
}

/// Prefix and uid are one character longer than what GKE takes as a name of a cluster or pool. The
/// version digit is the same in all uids of an installation, so leaving it out keeps names apart.
fn short(uid_hex: &str) -> String {
    format!("landlord-{}{}", &uid_hex[..VERSION_DIGIT], &uid_hex[VERSION_DIGIT + 1..])
}

/// The name of a node pool, unique within its cluster: the role, in a shared cluster the uid.
///
/// # Errors
/// INVALID if the role is not a short DNS label.
pub(crate) fn node_pool(role: &str) -> Result<String, ProviderError> {
    if let Some(hex) = names::uid_of_shared_pool(role) {
        return Ok(short(hex));
    }
    Ok(format!("landlord-{}", names::pool_role(role, POOL_ROLE_LEN_MAX)?))
}

/// What follows the last slash of a URL or path.
pub(crate) fn last_part(link: &str) -> &str {
    link.rsplit('/').next().unwrap_or(link)
}

#[cfg(test)]
mod tests {
    use super::{Names, node_pool};
    use landlord_provider_api::v1::Scope;

    fn names(uid: &str) -> Names {
        Names::new(&Scope { tenant_uid: uid.to_owned(), ..Scope::default() }).expect("a good uid")
    }

    #[test]
    fn names_come_from_the_uid_and_fit_the_shortest_limits() {
        let names = names("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b");
        assert_eq!(names.network(), "landlord-0192f0c12d3e7a4b8c5d6e7f80910a1b");
        assert_eq!(names.cluster(), "landlord-0192f0c12d3ea4b8c5d6e7f80910a1b");
        assert_eq!(names.cluster().len(), 40, "GKE takes no longer names");
        assert!(names.zone("acme.example.com").len() <= 63);
        assert_eq!(node_pool("default").expect("a label"), "landlord-default");
    }

    #[test]
    fn in_a_shared_cluster_only_the_home_is_shared() {
        let uid = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";
        let shared = Scope { tenant_uid: uid.to_owned(), host_cluster: "landlord-host".into(), ..Scope::default() };
        let (own, shared) = (names(uid), Names::new(&shared).expect("good"));
        assert_eq!((own.home(), shared.home()), (own.cluster(), "landlord-host"));
        assert_eq!((own.is_shared(), shared.is_shared()), (false, true));
        // What is deleted by these names can't be the host's.
        assert_eq!((own.cluster(), own.network()), (shared.cluster(), shared.network()));
        let pool = node_pool("t-0192f0c12d3e7a4b8c5d6e7f80910a1b").expect("a role of the contract");
        assert_eq!(pool, "landlord-0192f0c12d3ea4b8c5d6e7f80910a1b");
        assert_eq!(pool.len(), 40, "GKE takes no longer names");
    }

    #[test]
    fn neighbours_have_different_names() {
        let (one, two) = (names("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b"), names("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1c"));
        assert_ne!(one.cluster(), two.cluster());
        let pool = |end: char| node_pool(&format!("t-0192f0c12d3e7a4b8c5d6e7f80910a1{end}")).expect("a role");
        assert_ne!(pool('b'), pool('c'));
        assert_ne!(one.request_id("network", ""), two.request_id("network", ""));
        assert_ne!(one.zone("a.example.com"), one.zone("b.example.com"));
    }

    #[test]
    fn request_ids_are_uuids_and_depend_on_role_and_salt_only() {
        let names = names("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b");
        let id = names.request_id("network", "");
        assert_eq!(id, names.request_id("network", ""));
        assert_ne!(id, names.request_id("network", "operation-1"));
        assert_ne!(id, names.request_id("router", ""));
        assert_eq!((id.len(), &id[14..15]), (36, "8"), "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
    }

    #[test]
    fn bad_uids_and_roles_are_refused() {
        for uid in ["", "acme", "0192F0C1-2d3e-7a4b-8c5d-6e7f80910a1b", "0192f0c1/2d3e/7a4b/8c5d/6e7f80910a1b"] {
            assert!(Names::new(&Scope { tenant_uid: uid.to_owned(), ..Scope::default() }).is_err(), "{uid}");
        }
        for role in ["", "-a", "A", "a_b", &"a".repeat(32)] {
            assert!(node_pool(role).is_err(), "{role}");
        }
    }
}
