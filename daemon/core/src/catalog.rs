//! What is on offer: classes, placement rules, and the pure choice of a placement for a spec.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ChecksFrom, ClassName, Domains, Level, Mismatch, NodeScaling, Orderer, Placement, PlacementRule, PlatformName,
    PlatformOptions, ProviderName, Residencies, RuleVerdict, ServiceRules, StackName, TenantName, TenantSpec,
    environment::{Domain, HostClusterInput, HostClusterSpec, NodeCount, SpecInput, Violation, Violations},
    fleet::{Growth, HostRule, HostSelector},
    isolation::{InvalidIsolationSetting, IsolationSettings, IsolationSettingsInput},
    revision::CurrentRevisions,
};

/// A named offer from the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Sentence for humans.
    #[serde(default)]
    pub description: String,
    /// Isolation level.
    pub level: Level,
    /// Provider.
    pub provider: ProviderName,
    /// Name of the credential scope of that provider. Empty, for shared levels only: that of the
    /// tenant's host cluster.
    #[serde(default)]
    pub credentials: String,
    /// Regions on offer; the first is the default. At least one.
    pub regions: Vec<String>,
    /// Stack to deploy; `None`: infrastructure only.
    #[serde(default)]
    pub stack: Option<StackName>,
    /// Platform to install into the cluster that is made: for level CLUSTER only. `None`: none.
    #[serde(default)]
    pub platform: Option<PlatformName>,
    /// Which parts of the platform, and values for them.
    #[serde(default, skip_serializing_if = "PlatformOptions::is_default")]
    pub platform_options: PlatformOptions,
    /// Machine size of the nodes. Not for NAMESPACE.
    #[serde(default)]
    pub machine_type: String,
    /// Nodes when the spec names no number. Not for NAMESPACE.
    #[serde(default)]
    pub node_count: u32,
    /// Most nodes that a spec may ask for. Not for NAMESPACE.
    #[serde(default)]
    pub node_count_max: u32,
    /// Nodes beyond `node_count`, when pods wait for them. Not for NAMESPACE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_scaling: Option<NodeScaling>,
    /// Root disk of a node in GiB; 0: the provider's default.
    #[serde(default)]
    pub disk_size_gib: u32,
    /// The provider's own parameters, checked by the plugin.
    #[serde(default)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Which host clusters to choose from. For shared levels only.
    #[serde(default)]
    pub hosts: Option<HostRule>,
    /// What isolates the tenant's namespace. For shared levels only; `None`: the defaults.
    #[serde(default)]
    pub guardrails: Option<IsolationSettings>,
    /// Checks of the stack that its tenants are READY without, by name. The condition `ChecksNotRun` says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip_checks: Vec<String>,
    /// From where addresses of its tenants must be reached before they are READY; `None`: as [`Class::checks_from`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks_from: Option<ChecksFrom>,
    /// What the class promises of an environment once it is READY.
    #[serde(default, skip_serializing_if = "ServiceRules::is_default")]
    pub service: ServiceRules,
}

impl Class {
    /// From where addresses of its tenants must be reached: from outside where landlord itself sees to a Gateway, by the platform or
    /// among the guardrails, unless the class says otherwise.
    #[must_use]
    pub fn checks_from(&self) -> ChecksFrom {
        let has_gateway = self.platform.is_some()
            || self.guardrails.as_ref().is_some_and(|guardrails| guardrails.gateway().is_some());
        self.checks_from.unwrap_or(if has_gateway { ChecksFrom::Outside } else { ChecksFrom::Any })
    }
}

/// Everything on offer. Built from a checked configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// Classes by name.
    pub classes: BTreeMap<ClassName, Class>,
    /// Rules in order; the first match wins.
    pub rules: Vec<PlacementRule>,
    /// Where data may lie.
    pub residency: Residencies,
    /// Which domains tenants may have.
    pub domains: Domains,
    /// The revisions of stacks and platforms on disk.
    pub revisions: CurrentRevisions,
    /// Account by provider and credential scope, as configured.
    pub accounts: BTreeMap<(ProviderName, String), String>,
}

impl Catalog {
    /// Chooses the placement for a spec: the class it names, else the first matching rule's.
    ///
    /// # Errors
    /// All violations: unknown class, no matching rule, region not on offer, too many nodes.
    pub fn place(&self, orderer: Orderer<'_>, spec: &TenantSpec) -> Result<Placement, Violations> {
        let (class_name, rule) = match &spec.class {
            Some(class) => (class, String::new()),
            None => match self.rules.iter().find(|rule| self.mismatches(rule, orderer, spec).is_empty()) {
                Some(rule) => (&rule.class, rule.name.clone()),
                None => {
                    return Err(one(
                        "class",
                        "no placement rule matches; name a class, or ask the operator for a rule",
                    ));
                }
            },
        };
        let Some(class) = self.classes.get(class_name) else {
            return Err(Violations(self.unknown_class(class_name).into_iter().collect()));
        };
        let region = self.region(orderer, spec, class);
        let forbidden = self.residency.forbids(orderer, &spec.labels, &region);
        let placement = self.placement(class_name, class, rule, spec.node_count, region, forbidden);
        let mut faults = self.domain_faults(&spec.domain);
        faults.extend(too_large(class_name, storage_gib_max(class), spec));
        let placement = match placement {
            Ok(placement) if faults.is_empty() => placement,
            Ok(_) => return Err(Violations(faults)),
            Err(Violations(more)) => return Err(Violations(more.into_iter().chain(faults).collect())),
        };
        let guardrails = placement.guardrails.map(|guardrails| of_customer(guardrails, orderer.name)).transpose()?;
        Ok(Placement { guardrails, ..placement })
    }

    /// `forbidden`: why the region is no place for it, for all violations to be reported together.
    fn placement(
        &self,
        class_name: &ClassName,
        class: &Class,
        rule: String,
        node_count: Option<NodeCount>,
        region: String,
        forbidden: Option<String>,
    ) -> Result<Placement, Violations> {
        let mut violations = Vec::new();
        let mut add =
            |field: &str, description: String| violations.push(Violation { field: field.into(), description });
        if !class.regions.contains(&region) {
            let offered = class.regions.join(", ");
            add("region", format!("class {class_name} is not offered in {region:?}; it is in: {offered}"));
        }
        if let Some(why) = forbidden {
            add("region", why);
        }
        let node_count = node_count.map_or(class.node_count, NodeCount::get);
        if class.level == Level::Namespace && node_count > 0 {
            add("node_count", format!("class {class_name} has no nodes of its own; leave it out"));
        } else if node_count > class.node_count_max {
            let most = class.node_count_max;
            add("node_count", format!("class {class_name} allows at most {most} nodes, not {node_count}"));
        }
        if !violations.is_empty() {
            return Err(Violations(violations));
        }
        let account = self.accounts.get(&(class.provider.clone(), class.credentials.clone()));
        Ok(Placement {
            class: class_name.clone(),
            rule,
            level: class.level,
            provider: class.provider.clone(),
            credentials: class.credentials.clone(),
            account: account.cloned().unwrap_or_default(),
            region,
            stack: class.stack.clone(),
            platform: class.platform.clone(),
            platform_options: class.platform_options.clone(),
            machine_type: class.machine_type.clone(),
            node_count,
            node_scaling: class.node_scaling.clone(),
            disk_size_gib: class.disk_size_gib,
            parameters: class.parameters.clone(),
            guardrails: class.level.is_shared().then(|| class.guardrails.clone().unwrap_or_default()),
            skip_checks: class.skip_checks.clone(),
            checks_from: class.checks_from(),
            service: class.service,
            revisions: self.revisions.of(class.stack.as_ref(), class.platform.as_ref()),
        })
    }

    /// The placement for a host cluster: that of its class, which must be one of level CLUSTER, without
    /// apps.
    ///
    /// # Errors
    /// All violations.
    pub fn place_host_cluster(&self, spec: &HostClusterSpec) -> Result<Placement, Violations> {
        let Some(name) = &spec.class else {
            return Err(one("class", "is missing; name a class of level CLUSTER, which says how it is built"));
        };
        let Some(class) = self.classes.get(name) else {
            return Err(Violations(self.unknown_class(name).into_iter().collect()));
        };
        if class.level.is_shared() {
            let level = class.level.as_str();
            return Err(one("class", format!("{name} is of level {level}; a host cluster needs one of level CLUSTER")));
        }
        let region = spec.region.clone().or_else(|| class.regions.first().cloned()).unwrap_or_default();
        let placement = self.placement(name, class, String::new(), spec.node_count, region, None)?;
        let revisions = self.revisions.of(None, placement.platform.as_ref());
        Ok(Placement { stack: None, revisions, ..placement })
    }

    /// Which host cluster a placement needs; `None`: none. A placement of a class that is gone, or that
    /// grows by one that is gone, needs what can still be reported.
    #[must_use]
    pub fn host_selector(&self, placement: &Placement) -> Option<HostSelector> {
        let class = self.classes.get(&placement.class).filter(|_| placement.level.is_shared())?;
        let rule = class.hosts.clone().unwrap_or_default();
        let growth = rule.grow.and_then(|grow| {
            let input = HostClusterInput {
                labels: rule.labels.clone(),
                class: grow.class.to_string(),
                region: placement.region.clone(),
                tenants_max: grow.tenants_max.into(),
                ..HostClusterInput::default()
            };
            let spec = HostClusterSpec::parse(input).ok()?;
            let placement = self.place_host_cluster(&spec).ok()?;
            Some(Growth { spec, placement, host_clusters_max: grow.host_clusters_max })
        });
        Some(HostSelector {
            provider: placement.provider.clone(),
            credentials: (!class.credentials.is_empty()).then(|| class.credentials.clone()),
            region: placement.region.clone(),
            reserve: rule.reserve_percent.of(placement),
            labels: rule.labels,
            growth,
        })
    }
}

impl Catalog {
    /// The region wished for, else the first of the class's where the tenant may lie.
    fn region(&self, orderer: Orderer<'_>, spec: &TenantSpec, class: &Class) -> String {
        let allowed = self.residency.allowed(orderer, &spec.labels, &class.regions);
        let default = allowed.first().copied().or(class.regions.first().map(String::as_str));
        spec.region.as_deref().or(default).unwrap_or_default().to_owned()
    }

    /// Why a rule does not choose; a class that has no region where the tenant may lie is no choice.
    fn mismatches(&self, rule: &PlacementRule, orderer: Orderer<'_>, spec: &TenantSpec) -> Vec<Mismatch> {
        let mut mismatches = rule.mismatches(orderer, spec);
        if let Some(class) = self.classes.get(&rule.class)
            && let Some(why) = self.residency.forbids(orderer, &spec.labels, &self.region(orderer, spec, class))
        {
            mismatches.push(Mismatch::Order(why));
        }
        mismatches
    }

    /// What every rule says of a spec, in the rules' order. The first without a mismatch chooses, unless the spec names
    /// its class.
    #[must_use]
    pub fn verdicts(&self, orderer: Orderer<'_>, spec: &TenantSpec) -> Vec<RuleVerdict> {
        let verdict = |rule: &PlacementRule| RuleVerdict {
            rule: rule.name.clone(),
            class: rule.class.clone(),
            mismatches: self.mismatches(rule, orderer, spec),
        };
        self.rules.iter().map(verdict).collect()
    }

    /// What forbids a domain.
    fn domain_faults(&self, domain: &Domain) -> Vec<Violation> {
        let fault = |description| Violation { field: "domain".into(), description };
        self.domains.forbid(domain).into_iter().map(fault).collect()
    }

    /// What a class forbids of an order whose spec is wrong anyway, so that all faults are named at once.
    #[must_use]
    pub fn class_faults(&self, input: &SpecInput) -> Vec<Violation> {
        let mut faults = Vec::new();
        let mut add = |field: &str, description: String| faults.push(Violation { field: field.into(), description });
        let named = input.class.parse::<ClassName>().ok();
        if let Some((name, class)) = named.and_then(|name| self.classes.get(&name).map(|class| (name, class))) {
            if !input.region.is_empty() && !class.regions.contains(&input.region) {
                let (region, offered) = (&input.region, class.regions.join(", "));
                add("region", format!("class {name} is not offered in {region:?}; it is in: {offered}"));
            }
            let most = class.node_count_max;
            if input.node_count > i64::from(most) {
                let ordered = input.node_count;
                add("node_count", format!("class {name} allows at most {most} nodes, not {ordered}"));
            }
        }
        if let Ok(domain) = Domain::try_from(input.domain.clone()) {
            faults.extend(self.domain_faults(&domain));
        }
        faults
    }

    /// What is wrong with a class that is not on offer; `None` if it is.
    #[must_use]
    pub fn unknown_class(&self, class: &ClassName) -> Option<Violation> {
        let known: Vec<&str> = self.classes.keys().map(ClassName::as_str).collect();
        let known = match known.as_slice() {
            [] => "the daemon's configuration has no classes".to_owned(),
            known => format!("the classes are: {}", known.join(", ")),
        };
        let description = format!("{:?} does not exist; {known}", class.as_str());
        (!self.classes.contains_key(class)).then(|| Violation { field: "class".into(), description })
    }

    /// The placement for a changed spec of a tenant that was placed before. The tenant keeps what it
    /// was given, whatever the classes and placement rules say now; only its number of nodes
    /// follows the spec, within what its class allows now. `before` is the spec that it has.
    ///
    /// # Errors
    /// Too many nodes.
    pub fn place_again(
        &self,
        spec: &TenantSpec,
        before: &TenantSpec,
        current: &Placement,
    ) -> Result<Placement, Violations> {
        let class = self.classes.get(&current.class);
        let node_count = match (spec.node_count, class) {
            (Some(count), _) => count.get(),
            // Whoever leaves the number to the class from now on has the class's; who did so before keeps what it was given.
            (None, Some(class)) if before.node_count.is_some() => class.node_count,
            (None, _) => current.node_count,
        };
        // Fewer nodes are always fine, also when the limit has been lowered below them.
        let most = class.map_or(current.node_count, |class| class.node_count_max).max(current.node_count);
        if node_count > most {
            let class = &current.class;
            return Err(one("node_count", format!("class {class} allows at most {most} nodes, not {node_count}")));
        }
        let most = current.guardrails.as_ref().map(|guardrails| guardrails.quota().storage_gib);
        match too_large(&current.class, most, spec) {
            None => Ok(Placement { node_count, ..current.clone() }),
            Some(fault) => Err(Violations(vec![fault])),
        }
    }
}

/// What a class allows of volumes together, GiB; `None`: it has no quota.
#[must_use]
pub fn storage_gib_max(class: &Class) -> Option<u32> {
    class.level.is_shared().then(|| class.guardrails.clone().unwrap_or_default().quota().storage_gib)
}

/// In a shared cluster the files must fit the quota, or the apps would wait for a volume for ever.
fn too_large(class: &ClassName, most: Option<u32>, spec: &TenantSpec) -> Option<Violation> {
    let (most, ordered) = (most?, spec.storage.gib());
    let description = format!("class {class} allows at most {most} GiB of volumes together, not {ordered}");
    (ordered > most).then(|| Violation { field: "storage_gib".into(), description })
}

/// In a class's `guardrails.customer_group`, stands for the tenant's customer: without it one group
/// would have rights in every customer's namespace.
pub const CUSTOMER_PLACEHOLDER: &str = "{customer}";

/// A class's isolation settings for one of its customers.
pub(crate) fn of_customer(settings: IsolationSettings, name: &TenantName) -> Result<IsolationSettings, Violations> {
    let wrong =
        |error: InvalidIsolationSetting| one("class", format!("its guardrails are invalid for this customer: {error}"));
    let mut input = IsolationSettingsInput::from(settings);
    if let Some(group) = &input.customer_group {
        let own = group.as_str().replace(CUSTOMER_PLACEHOLDER, name.customer.as_str());
        input.customer_group = Some(own.parse().map_err(wrong)?);
    }
    IsolationSettings::try_from(input).map_err(wrong)
}

fn one(field: &str, description: impl Into<String>) -> Violations {
    Violations(vec![Violation { field: field.into(), description: description.into() }])
}
