//! Names and client tokens. Everything comes from the tenant's uid, so that a call repeated
//! by another process, without any memory, arrives at the same object.

use landlord_provider_api::{ProviderError, v1};
use landlord_provider_sdk::names;
use sha2::{Digest as _, Sha256};

/// CloudFormation takes 128 characters, EC2 64: the shortest limit, halved, is still 128 bits.
const TOKEN_LEN: usize = 32;
/// `landlord-` + role must fit the 63 characters of a node group's name with room to spare.
const POOL_ROLE_LEN_MAX: usize = 40;

/// The names of one tenant's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    base: String,
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
        Ok(Self { base: format!("landlord-{hex}"), uid: scope.tenant_uid.clone(), host })
    }

    /// The CloudFormation stack of network and roles.
    pub(crate) fn stack(&self) -> &str {
        &self.base
    }

    /// The tenant's own cluster.
    pub(crate) fn cluster(&self) -> &str {
        &self.base
    }

    /// The cluster that the tenant's nodes are in: its own, or a shared one. Only node groups and
    /// access are searched for in a shared one; whatever is named by [`Names::cluster`] can't be it.
    pub(crate) fn home(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.base)
    }

    /// Whether the tenant lives in a shared cluster.
    pub(crate) fn is_shared(&self) -> bool {
        self.host.is_some()
    }

    /// The role of the tenant's only node pool in a shared cluster, as the contract gives it.
    pub(crate) fn shared_pool_role(&self) -> String {
        names::shared_pool_role(self.base.trim_start_matches("landlord-"))
    }

    /// An IAM role, in the account's global name space, hence with the whole uid.
    pub(crate) fn role(&self, role: &str) -> String {
        format!("{}-{role}", self.base)
    }

    /// The launch template of the nodes.
    pub(crate) fn launch_template(&self) -> String {
        format!("{}-node", self.base)
    }

    /// The log group of the control plane's logs, as EKS names it.
    pub(crate) fn log_group(&self) -> String {
        format!("/aws/eks/{}/cluster", self.base)
    }

    /// The tag that Kubernetes' controllers put on what they make for this cluster.
    pub(crate) fn cluster_tag(&self) -> String {
        format!("kubernetes.io/cluster/{}", self.base)
    }

    /// A client token: the same for the same tenant, role and attempt.
    pub(crate) fn token(&self, role: &str, attempt: impl std::fmt::Display) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{}/{role}/{attempt}", self.uid));
        let mut token = hex::encode(hash.finalize());
        token.truncate(TOKEN_LEN);
        token
    }
}

/// The name of a node group: unique within its cluster, which carries the uid.
///
/// # Errors
/// INVALID if the role is not a short DNS label.
pub(crate) fn node_group(role: &str) -> Result<String, ProviderError> {
    Ok(format!("landlord-{}", names::pool_role(role, POOL_ROLE_LEN_MAX)?))
}

#[cfg(test)]
mod tests {
    use super::{Names, node_group};
    use landlord_provider_api::v1::Scope;

    fn scope(uid: &str) -> Scope {
        Scope { tenant_uid: uid.to_owned(), ..Scope::default() }
    }

    #[test]
    fn names_come_from_the_uid_and_fit_the_shortest_limits() {
        let names = Names::new(&scope("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b")).expect("a good uid");
        assert_eq!(names.stack(), "landlord-0192f0c12d3e7a4b8c5d6e7f80910a1b");
        assert_eq!(names.cluster_tag(), "kubernetes.io/cluster/landlord-0192f0c12d3e7a4b8c5d6e7f80910a1b");
        assert!(names.role("external-dns").len() <= 64, "IAM role names end at 64 characters");
        assert_eq!(node_group("default").expect("a label"), "landlord-default");
    }

    #[test]
    fn in_a_shared_cluster_only_the_home_is_shared() {
        let uid = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";
        let shared = Scope { host_cluster: "landlord-host".into(), ..scope(uid) };
        let (own, shared) = (Names::new(&scope(uid)).expect("good"), Names::new(&shared).expect("good"));
        assert_eq!((own.home(), shared.home()), (own.cluster(), "landlord-host"));
        assert_eq!((own.is_shared(), shared.is_shared()), (false, true));
        // What is deleted by these names can't be the host's.
        assert_eq!((own.cluster(), own.stack()), (shared.cluster(), shared.stack()));
        assert_eq!(own.cluster_tag(), shared.cluster_tag());
        let pool = node_group(&shared.shared_pool_role()).expect("a label");
        assert_eq!(pool, "landlord-t-0192f0c12d3e7a4b8c5d6e7f80910a1b");
    }

    #[test]
    fn tokens_depend_on_role_and_attempt_only() {
        let names = Names::new(&scope("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b")).expect("a good uid");
        assert_eq!(names.token("network", 1), names.token("network", 1));
        assert_ne!(names.token("network", 1), names.token("network", 2));
        assert_ne!(names.token("network", 1), names.token("cluster", 1));
    }

    #[test]
    fn bad_uids_and_roles_are_refused() {
        for uid in ["", "acme", "0192F0C1-2d3e-7a4b-8c5d-6e7f80910a1b", "0192f0c1/2d3e/7a4b/8c5d/6e7f80910a1b"] {
            assert!(Names::new(&scope(uid)).is_err(), "{uid}");
        }
        for role in ["", "-a", "A", "a_b", &"a".repeat(41)] {
            assert!(node_group(role).is_err(), "{role}");
        }
    }
}
