//! Host clusters: shared clusters in which tenants of the levels NODE and NAMESPACE live, and the
//! pure choice of one for a tenant. Knows no store and no cloud: counts arrive as values.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{
    Amounts, ClassName, CustomerId, HostClusterId, Observation, Offer, ProviderName, ReservePercent, State, TenantName,
    TenantSpec, TenantUid, Violation, Violations, tenant::SpecInput,
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

/// A host cluster and who lives there, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which.
    pub host: HostRef,
    /// Provider.
    pub provider: ProviderName,
    /// Credential scope.
    pub credentials: String,
    /// Account of the credential scope; empty: unknown.
    pub account: String,
    /// Region.
    pub region: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: State,
    /// Being removed, or about to be.
    pub leaving: bool,
    /// Takes no new tenants.
    pub drained: bool,
    /// Tenants that it takes at most.
    pub max_tenants: u32,
    /// Tenants that live there.
    pub tenants: u32,
    /// Those of them that are the asking customer's.
    pub of_customer: u32,
    /// What is reserved for them.
    pub reserved: Amounts,
    /// What was last counted there; `None`: nothing was yet, and only tenants are counted.
    pub observation: Option<Observation>,
}

/// Where a tenant goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice<'a> {
    /// Into this one.
    Host(&'a Candidate),
    /// Into a new one.
    Grow(&'a Growth),
    /// Nowhere, for this reason.
    Full(String),
}

impl Candidate {
    /// Why it does not match at all; `None`: it does, though it may have no room.
    #[must_use]
    pub fn mismatch(&self, wanted: &HostSelector) -> Option<String> {
        if self.provider != wanted.provider {
            return Some(format!("its provider is {}, not {}", self.provider, wanted.provider));
        }
        if let Some(scope) = wanted.credentials.as_ref().filter(|scope| **scope != self.credentials) {
            return Some(format!("its credential scope is {}, not {scope}", self.credentials));
        }
        if self.region != wanted.region {
            return Some(format!("it is in {}, not in {}", self.region, wanted.region));
        }
        let missing = wanted.labels.iter().find(|(key, value)| self.labels.get(*key) != Some(value));
        missing.map(|(key, value)| format!("it lacks the label {key}={value}"))
    }

    /// Why it takes no new tenant; `None`: it does.
    #[must_use]
    pub fn closed(&self) -> Option<String> {
        if self.leaving {
            return Some("it is being removed".into());
        }
        if self.drained {
            return Some("it is drained".into());
        }
        if self.state == State::Failed {
            return Some("it is FAILED".into());
        }
        (self.tenants >= self.max_tenants).then(|| format!("it is full with {} tenants", self.tenants))
    }

    /// Why it takes no tenant that needs so much; `None`: it does.
    #[must_use]
    pub fn refuses(&self, needs: Amounts) -> Option<String> {
        self.closed().or_else(|| self.observation?.measured.lacks(self.reserved, needs))
    }

    /// First those that are ready, then the one with fewest tenants of the same customer, then the
    /// least loaded by whatever is scarcest there, so that a lost host cluster costs each customer as little as can be.
    fn rank(&self) -> (bool, u32, u64, &str) {
        let ready = matches!(self.state, State::Ready | State::Updating);
        let tenants = u64::from(self.tenants) * 1_000_000 / u64::from(self.max_tenants.max(1));
        let load = self.observation.map_or(0, |observation| observation.measured.load(self.reserved));
        (!ready, self.of_customer, tenants.max(load), self.host.id.as_str())
    }
}

/// Chooses. The same input gives the same choice.
#[must_use]
pub fn choose<'a>(candidates: &'a [Candidate], wanted: &'a HostSelector) -> Choice<'a> {
    let matching: Vec<&Candidate> = candidates.iter().filter(|c| c.mismatch(wanted).is_none()).collect();
    let open = matching.iter().filter(|candidate| candidate.refuses(wanted.reserve).is_none());
    if let Some(best) = open.min_by_key(|candidate| candidate.rank()) {
        return Choice::Host(best);
    }
    let standing = matching.iter().filter(|candidate| !candidate.leaving).count();
    match &wanted.growth {
        Some(growth) if standing < growth.host_clusters_max as usize => Choice::Grow(growth),
        growth => Choice::Full(full(&matching, wanted, growth.as_ref())),
    }
}

/// Host clusters named in a reason: a fleet of a class is rarely larger, and a message has to end.
const NAMED_MAX: usize = 20;

fn full(matching: &[&Candidate], wanted: &HostSelector, growth: Option<&Growth>) -> String {
    let labels: Vec<String> = wanted.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!(" with {}", labels.join(", ")) };
    let what = format!("host cluster of {} in {}{labels}", wanted.provider, wanted.region);
    let grown = growth.map_or(String::new(), |growth| {
        format!("; the class grows to {} host clusters at most", growth.host_clusters_max)
    });
    if matching.is_empty() {
        return format!("there is no {what}{grown}");
    }
    let mut closed: Vec<&Candidate> = matching.to_vec();
    closed.sort_by_key(|candidate| Reverse(candidate.max_tenants));
    let why = |c: &&Candidate| format!("{}: {}", c.host.id, c.refuses(wanted.reserve).unwrap_or_default());
    let named: Vec<String> = closed.iter().take(NAMED_MAX).map(why).collect();
    let more =
        if closed.len() > NAMED_MAX { format!("; and {} more", closed.len() - NAMED_MAX) } else { String::new() };
    format!("no {what} has room ({}{more}){grown}", named.join("; "))
}

/// What mends a full fleet.
pub const FULL_REMEDY: &str = "make room: order a host cluster (`landlord apply` of kind HostCluster), adopt one, let the \
                               class grow (hosts.grow), or have it reserve less (hosts.reserve_percent)";

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
