//! Host clusters: shared clusters in which tenants of the levels NODE and NAMESPACE live, as they are ordered, adopted
//! and asked for; `choice` chooses one for a tenant. Knows no store and no cloud.

mod choice;

use std::collections::BTreeMap;

pub use choice::{Candidate, Choice, FULL_REMEDY, choose};
use serde::{Deserialize, Serialize};

use crate::{
    Amounts, ClassName, CustomerId, HostClusterId, Offer, ProviderName, ReservePercent, State, TenantName, TenantSpec,
    TenantUid, Violation, Violations, tenant::SpecInput,
};

/// Most tenants of one host cluster: what Kubernetes is tested with is 10,000 namespaces a cluster
/// (<https://github.com/kubernetes/community/blob/master/sig-scalability/configs-and-limits/thresholds.md>).
pub const TENANTS_MAX: u32 = 10_000;
/// Tenants of a host cluster whose order names no number.
pub const TENANTS_DEFAULT: u32 = 50;
/// Objects of a cloud named in an adoption: subnets and attributes.
const ADOPTION_ITEMS_MAX: usize = 64;
const ADOPTION_CHARS_MAX: usize = 2_048;
/// A host cluster answers under no domain; RFC 2606 keeps this one from ever being anybody's.
const NO_DOMAIN: &str = "host-cluster.invalid";
/// Class of a cluster that landlord did not make, where one has to be named.
const ADOPTED_CLASS: &str = "adopted";

/// Where a class of a shared level looks for host clusters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostRule {
    /// Labels that a host cluster must carry.
    pub labels: BTreeMap<String, String>,
    /// Orders a new host cluster when all are full; `None`: a full fleet refuses.
    pub grow: Option<GrowRule>,
    /// How much of a tenant's quota is kept free for it.
    pub reserve_percent: ReservePercent,
}

/// How a fleet grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrowRule {
    /// Class of level CLUSTER that new host clusters are built by; its stack is left out.
    pub class: ClassName,
    /// Tenants of a new host cluster.
    pub max_tenants: u32,
    /// Most host clusters that this class may choose from, full and draining ones included.
    pub host_clusters_max: u32,
}

/// What makes a record a host cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosting {
    /// Tenants that it takes at most.
    pub max_tenants: u32,
    /// Takes no new tenants.
    pub drained: bool,
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
pub struct HostRef {
    /// Identity.
    pub uid: TenantUid,
    /// Name.
    pub id: HostClusterId,
}

/// A tenant's host cluster as the engine needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostView {
    /// Which.
    pub host: HostRef,
    /// Where it is in its life.
    pub state: State,
    /// Whether it was READY once, so that tenants can be built in it.
    pub usable: bool,
    /// What it was built by.
    pub offer: Offer,
    /// Adopted or made.
    pub hosting: Hosting,
    /// The provider's status message of its network (protobuf); empty: none.
    pub network: Vec<u8>,
    /// The provider's status message of its cluster (protobuf); empty: none.
    pub cluster: Vec<u8>,
}

/// What a host cluster must be for a tenant, and what to do when none has room.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSelector {
    /// Provider.
    pub provider: ProviderName,
    /// Credential scope; `None`: any of the provider's.
    pub credentials: Option<String>,
    /// Region.
    pub region: String,
    /// Labels that it must carry.
    pub labels: BTreeMap<String, String>,
    /// What is reserved for the tenant.
    pub reserve: Amounts,
    /// What to order when all are full.
    pub growth: Option<Growth>,
}

/// A host cluster that would be ordered.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// Spec.
    pub spec: TenantSpec,
    /// Offer.
    pub offer: Offer,
    /// Hosting.
    pub hosting: Hosting,
    /// Most host clusters that the selector may match.
    pub host_clusters_max: u32,
}

/// A host cluster as ordered, before it is checked.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields of the API's HostCluster, unchecked")]
pub struct HostInput {
    pub labels: BTreeMap<String, String>,
    pub class: String,
    pub region: String,
    pub node_count: i64,
    pub max_tenants: i64,
    pub deletion_protection: bool,
    pub adoption: Option<Adoption>,
}

/// Checks an order, reporting everything that is wrong at once. Field paths are relative to the
/// host cluster.
///
/// # Errors
/// All violations.
pub fn parse(input: HostInput) -> Result<(TenantSpec, Hosting), Violations> {
    let mut problems = Vec::new();
    let mut add = |field: &str, description: String| problems.push(Violation { field: field.into(), description });
    let max_tenants = match input.max_tenants {
        0 => TENANTS_DEFAULT,
        asked => u32::try_from(asked).unwrap_or(0),
    };
    if !(1..=TENANTS_MAX).contains(&max_tenants) {
        add("max_tenants", format!("must be 1 to {TENANTS_MAX}, not {}", input.max_tenants));
    }
    if let Some(adoption) = &input.adoption {
        check_adoption(adoption, &mut add);
    }
    let spec = TenantSpec::parse(SpecInput {
        labels: input.labels,
        class: input.class,
        region: input.region,
        node_count: input.node_count,
        deletion_protection: input.deletion_protection,
        domain: NO_DOMAIN.into(),
        storage_gib: 1,
        ..SpecInput::default()
    });
    match spec {
        Ok(spec) if problems.is_empty() => {
            Ok((spec, Hosting { max_tenants, drained: false, adoption: input.adoption }))
        }
        Ok(_) => Err(Violations(problems)),
        Err(Violations(mut more)) => {
            more.append(&mut problems);
            Err(Violations(more))
        }
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

/// The offer of an adopted cluster: nothing is built, so it has no sizes.
///
/// # Errors
/// A provider's name that can't be one.
pub fn adopted_offer(provider: &str, credentials: &str, account: &str, region: &str) -> Result<Offer, Violations> {
    let wrong =
        |field: &str, problem: String| Violations(vec![Violation { field: field.into(), description: problem }]);
    let name = provider.parse().map_err(|error: crate::ids::InvalidName| wrong("provider", error.to_string()))?;
    let class = ADOPTED_CLASS.parse().map_err(|error: crate::ids::InvalidName| wrong("class", error.to_string()))?;
    if credentials.is_empty() {
        return Err(wrong("credentials", "is missing; it names a credential scope of the provider".into()));
    }
    Ok(Offer {
        class,
        rule: String::new(),
        level: crate::Level::Cluster,
        provider: name,
        credentials: credentials.to_owned(),
        account: account.to_owned(),
        region: region.to_owned(),
        stack: None,
        machine_type: String::new(),
        node_count: 0,
        disk_size_gib: 0,
        parameters: serde_json::Map::new(),
        guardrails: None,
    })
}

/// The customer under which requests about host clusters are kept.
#[must_use]
pub fn no_customer(id: &HostClusterId) -> CustomerId {
    TenantName::of_host_cluster(id).customer
}
