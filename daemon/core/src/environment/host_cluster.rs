//! A host cluster: a shared cluster in which tenants of the levels NODE and NAMESPACE live, ordered from landlord or
//! adopted. Knows nothing of who lives there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    NodeCount, Violation, Violations,
    spec::{Collector, check_labels, check_node_count, check_region},
};
use crate::{ClassName, HostClusterId, Level, Placement, TenantUid, ids::InvalidName, placement::ProviderKey};

/// Most tenants of one host cluster: what Kubernetes is tested with is 10,000 namespaces a cluster
/// (<https://github.com/kubernetes/community/blob/master/sig-scalability/configs-and-limits/thresholds.md>).
pub const TENANTS_MAX: u32 = 10_000;
/// Tenants of a host cluster whose order names no number.
pub const TENANTS_DEFAULT: u32 = 50;
/// Objects of a cloud named in an adoption: subnets and attributes.
const ADOPTION_ITEMS_MAX: usize = 64;
const ADOPTION_CHARS_MAX: usize = 2_048;
/// Class of a cluster that landlord did not make, where one has to be named.
const ADOPTED_CLASS: &str = "adopted";

/// What only a host cluster has.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCluster {
    /// Resource id.
    pub id: HostClusterId,
    /// What is wanted.
    pub spec: HostClusterSpec,
    /// How it was placed when it was READY last, to go back to when new revisions do not do; `None` before the first READY, which
    /// tenants wait for.
    pub last_ready: Option<Placement>,
}

/// What is wanted of a host cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostClusterSpec {
    /// Labels, by which classes choose.
    pub labels: BTreeMap<String, String>,
    /// Class that it is built by; `None`: it is adopted.
    pub class: Option<ClassName>,
    /// Region ordered. `None`: the class's first.
    pub region: Option<String>,
    /// Nodes; `None`: the class's number.
    pub node_count: Option<NodeCount>,
    /// Delete is refused while set.
    pub deletion_protection: bool,
    /// Tenants that it takes at most.
    pub tenants_max: u32,
    /// Takes no new tenants.
    pub cordoned: bool,
    /// How to reach a cluster that landlord did not make; such a cluster is never changed or removed.
    pub adoption: Option<Adoption>,
}

/// A cluster that was there before, by its provider's names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Adoption {
    /// Name of the cluster in the cloud; empty: the credential names it.
    pub cluster_name: String,
    /// What the plugin needs to know of the cluster.
    pub cluster_attributes: BTreeMap<String, String>,
    /// Network, for node pools.
    pub network_id: String,
    /// Private subnets, for node pools.
    pub private_subnet_ids: Vec<String>,
    /// Public subnets.
    pub public_subnet_ids: Vec<String>,
    /// What the plugin needs to know of the network.
    pub network_attributes: BTreeMap<String, String>,
}

/// The host cluster of a tenant, for life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostClusterRef {
    /// Identity.
    pub uid: TenantUid,
    /// Name.
    pub id: HostClusterId,
}

/// A host cluster as ordered, before it is checked.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields of the API's HostCluster, unchecked")]
pub struct HostClusterInput {
    pub labels: BTreeMap<String, String>,
    pub class: String,
    pub region: String,
    pub node_count: i64,
    pub tenants_max: i64,
    pub deletion_protection: bool,
    pub adoption: Option<Adoption>,
}

impl HostClusterSpec {
    /// Checks an order, reporting everything that is wrong at once. Field paths are relative to the
    /// host cluster.
    ///
    /// # Errors
    /// All violations.
    pub fn parse(input: HostClusterInput) -> Result<Self, Violations> {
        let mut problems = Collector::default();
        check_labels(&input.labels, &mut problems);
        let class =
            (!input.class.is_empty()).then(|| problems.check("class", input.class.parse::<ClassName>())).flatten();
        check_region(&input.region, &mut problems);
        let node_count = check_node_count(input.node_count, &mut problems);
        let tenants_max = match input.tenants_max {
            0 => TENANTS_DEFAULT,
            requested => u32::try_from(requested).unwrap_or(0),
        };
        if !(1..=TENANTS_MAX).contains(&tenants_max) {
            problems.add("tenants_max", format!("must be 1 to {TENANTS_MAX}, not {}", input.tenants_max));
        }
        if let Some(adoption) = &input.adoption {
            check_adoption(adoption, &mut |field, description| problems.add(field, description));
        }
        problems.finish(Self {
            labels: input.labels,
            class,
            region: (!input.region.is_empty()).then_some(input.region),
            node_count,
            deletion_protection: input.deletion_protection,
            tenants_max,
            cordoned: false,
            adoption: input.adoption,
        })
    }
}

fn check_adoption(adoption: &Adoption, add: &mut impl FnMut(&str, String)) {
    let Adoption {
        cluster_name,
        cluster_attributes,
        network_id,
        private_subnet_ids,
        public_subnet_ids,
        network_attributes,
    } = adoption;
    let long = |text: &String| text.len() > ADOPTION_CHARS_MAX || text.chars().any(char::is_control);
    for (field, text) in [("cluster_name", cluster_name), ("network_id", network_id)] {
        if long(text) {
            add(&format!("adoption.{field}"), format!("must have at most {ADOPTION_CHARS_MAX} printable characters"));
        }
    }
    for (field, list) in [("private_subnet_ids", private_subnet_ids), ("public_subnet_ids", public_subnet_ids)] {
        if list.len() > ADOPTION_ITEMS_MAX || list.iter().any(long) {
            add(&format!("adoption.{field}"), format!("must be at most {ADOPTION_ITEMS_MAX} ids"));
        }
    }
    // Certificates have several lines.
    for (field, map) in [("cluster_attributes", cluster_attributes), ("network_attributes", network_attributes)] {
        let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
        if map.len() > ADOPTION_ITEMS_MAX || bytes > ADOPTION_ITEMS_MAX * ADOPTION_CHARS_MAX {
            add(&format!("adoption.{field}"), format!("must be at most {ADOPTION_ITEMS_MAX} short texts"));
        }
    }
}

/// The placement of an adopted cluster: nothing is built, so it has no sizes.
///
/// # Errors
/// A provider's name that can't be one.
pub fn adopted_placement(
    provider: &str,
    credentials: &str,
    account: &str,
    region: &str,
) -> Result<Placement, Violations> {
    let wrong =
        |field: &str, problem: String| Violations(vec![Violation { field: field.into(), description: problem }]);
    let name = provider.parse().map_err(|error: InvalidName| wrong("provider", error.to_string()))?;
    let class = ADOPTED_CLASS.parse().map_err(|error: InvalidName| wrong("class", error.to_string()))?;
    if credentials.is_empty() {
        return Err(wrong("credentials", "is missing; it names a credential scope of the provider".into()));
    }
    let key = ProviderKey { provider: name, credentials: credentials.to_owned() };
    Ok(Placement::without_choices(class, Level::Cluster, key, account.to_owned(), region.to_owned()))
}
