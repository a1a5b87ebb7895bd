//! A customer: who signed, and what the contract allows. Pure: time is a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::spec::{Collector, check_labels, is_hidden};
use crate::{
    ClassName, CustomerId, Level, Placement, Timestamp,
    environment::{DISPLAY_NAME_CHARS_MAX, Domain, TenantSpec, Violation, Violations},
};

/// Most contacts, classes and domains of a customer.
const LIST_MAX: usize = 100;
/// Longest text of a contract's number and of a contact.
const TEXT_CHARS_MAX: usize = 200;

/// What was signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contract {
    /// Its number.
    pub number: String,
    /// When it begins; `None`: it has begun.
    pub start: Option<Timestamp>,
    /// When it ends; `None`: it does not.
    pub end: Option<Timestamp>,
}

/// Somebody to turn to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// Address of e-mail.
    pub email: String,
    /// What for, such as `billing`.
    pub role: String,
}

/// How much a customer's tenants may have together; `None`: as much as they want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomerLimits {
    /// Tenants.
    pub tenants: Option<u32>,
    /// Storage for files, GiB.
    pub storage_gib: Option<u32>,
    /// Nodes.
    pub nodes: Option<u32>,
}

/// What is agreed with a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomerSpec {
    /// Name for humans.
    pub display_name: String,
    /// What was signed.
    pub contract: Contract,
    /// Labels, usable in placement and residency rules.
    pub labels: BTreeMap<String, String>,
    /// Whom to turn to.
    pub contacts: Vec<Contact>,
    /// Classes that may be ordered; empty: all.
    pub classes: Vec<ClassName>,
    /// Isolation levels that may be ordered; empty: all.
    pub levels: Vec<Level>,
    /// How much may be ordered.
    pub limits: CustomerLimits,
    /// Domains that are the customer's: its tenants' are these or below them; empty: any.
    pub domains: Vec<Domain>,
    /// Nothing may be ordered.
    pub suspended: bool,
}

/// A customer as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Id.
    pub id: CustomerId,
    /// What is agreed.
    pub spec: CustomerSpec,
    /// Changes with every write.
    pub etag: String,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

/// What a customer's tenants have together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Tenants.
    pub tenants: u64,
    /// Storage for files, GiB.
    pub storage_gib: u64,
    /// Nodes.
    pub nodes: u64,
}

/// How the installation deals with customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustomerRules {
    /// Whether a tenant of a customer that is not known makes it known, without limits; else it is refused.
    pub make_unknown: bool,
    /// Whether nothing is changed of the tenants of a customer that is suspended or whose contract has ended.
    pub freeze: bool,
}

impl Default for CustomerRules {
    fn default() -> Self {
        Self { make_unknown: true, freeze: true }
    }
}

impl CustomerSpec {
    /// Why nothing may be ordered at a time; `None`: something may.
    #[must_use]
    pub fn blocked(&self, now: Timestamp) -> Option<String> {
        if self.suspended {
            return Some("the customer is suspended".into());
        }
        match (self.contract.start, self.contract.end) {
            (Some(start), _) if now < start => Some(format!("the customer's contract begins {start}")),
            (_, Some(end)) if now >= end => Some(format!("the customer's contract ended {end}")),
            _ => None,
        }
    }

    /// Why its tenants are left as they are at a time; `None`: they are not.
    #[must_use]
    pub fn frozen(&self, now: Timestamp) -> Option<String> {
        // Before it begins there may be tenants of an earlier contract.
        self.blocked(now).filter(|_| self.suspended || self.contract.end.is_some_and(|end| now >= end))
    }

    /// Everything that forbids an order. `used`: by all its tenants but this one; `before`: the tenant as it was, whose class and
    /// domain were accepted then.
    #[must_use]
    pub fn violations(
        &self,
        used: Used,
        (spec, placement): (&TenantSpec, &Placement),
        before: Option<(&TenantSpec, &Placement)>,
        now: Timestamp,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut add = |field: &str, description: String| found.push(Violation { field: field.into(), description });
        if let Some(why) = self.blocked(now) {
            add("suspended", format!("{why}; nothing can be ordered"));
        }
        if before.is_none() {
            if !self.classes.is_empty() && !self.classes.contains(&placement.class) {
                let allowed: Vec<&str> = self.classes.iter().map(ClassName::as_str).collect();
                add(
                    "allowed_classes",
                    format!("class {} is not agreed upon; {} are", placement.class, allowed.join(", ")),
                );
            }
            if !self.levels.is_empty() && !self.levels.contains(&placement.level) {
                let allowed: Vec<&str> = self.levels.iter().map(|level| level.as_str()).collect();
                add(
                    "allowed_levels",
                    format!("level {} is not agreed upon; {} are", placement.level.as_str(), allowed.join(", ")),
                );
            }
            let own = |domain: &Domain| spec.domain.reversed().starts_with(&domain.reversed());
            if !self.domains.is_empty() && !self.domains.iter().any(own) {
                let verified: Vec<&str> = self.domains.iter().map(Domain::as_str).collect();
                let domain = spec.domain.as_str();
                add(
                    "verified_domains",
                    format!("{domain} is none of the customer's domains ({}), nor below one", verified.join(", ")),
                );
            }
        }
        let had = before.map_or((0, 0, 0), |(spec, placement)| {
            (1, u64::from(spec.storage.gib()), u64::from(placement.nodes_max()))
        });
        let (storage, nodes) = (u64::from(spec.storage.gib()), u64::from(placement.nodes_max()));
        let limits = [
            ("limits.tenants_max", self.limits.tenants, used.tenants, (had.0, 1), "tenants"),
            ("limits.storage_gib_max", self.limits.storage_gib, used.storage_gib, (had.1, storage), "GiB of storage"),
            ("limits.nodes_max", self.limits.nodes, used.nodes, (had.2, nodes), "nodes"),
        ];
        for (field, limit, used, (had, has), what) in limits {
            // A limit below what is used forbids more, and nothing that is there.
            let exceeded = |limit: &u32| has > had && used + has > u64::from(*limit);
            let Some(limit) = limit.filter(exceeded) else { continue };
            add(
                field,
                format!(
                    "the customer may have {limit} {what}; its other tenants have {used}, and this one would have {has}"
                ),
            );
        }
        found
    }

    /// Checks what the types can't.
    ///
    /// # Errors
    /// All violations, by the API's paths.
    pub fn checked(self) -> Result<Self, Violations> {
        let mut problems = Collector::default();
        if self.display_name.chars().count() > DISPLAY_NAME_CHARS_MAX || self.display_name.chars().any(is_hidden) {
            let problem = format!("must have at most {DISPLAY_NAME_CHARS_MAX} characters, and no control characters");
            problems.add("display_name", problem);
        }
        check_labels(&self.labels, &mut problems);
        let text = |text: &str| text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(is_hidden);
        if !text(&self.contract.number) {
            problems.add("contract.number", format!("must have at most {TEXT_CHARS_MAX} characters"));
        }
        if let (Some(start), Some(end)) = (self.contract.start, self.contract.end)
            && end <= start
        {
            problems.add("contract.end_time", "must be after start_time");
        }
        for (index, contact) in self.contacts.iter().enumerate() {
            if ![&contact.name, &contact.email, &contact.role].into_iter().all(|part| text(part)) {
                problems.add(
                    &format!("contacts[{index}]"),
                    format!("each part must have at most {TEXT_CHARS_MAX} characters"),
                );
            }
        }
        let lists = [
            ("contacts", self.contacts.len()),
            ("allowed_classes", self.classes.len()),
            ("verified_domains", self.domains.len()),
        ];
        for (field, count) in lists.into_iter().filter(|(_, count)| *count > LIST_MAX) {
            problems.add(field, format!("must be at most {LIST_MAX}, not {count}"));
        }
        problems.finish(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SpecInput;

    fn order(domain: &str, storage_gib: i64, nodes: u32) -> (TenantSpec, Placement) {
        let input = SpecInput { domain: domain.into(), storage_gib, ..SpecInput::default() };
        let key = crate::placement::ProviderKey { provider: "sky".parse().unwrap(), credentials: "main".into() };
        let class = "small".parse().unwrap();
        let placement = Placement::without_choices(class, Level::Cluster, key, String::new(), "here".into());
        (TenantSpec::parse(input).unwrap(), Placement { node_count: nodes, ..placement })
    }

    #[test]
    fn all_that_a_contract_forbids_is_reported_at_once() {
        let customer = CustomerSpec {
            classes: vec!["large".parse().unwrap()],
            levels: vec![Level::Node],
            domains: vec![Domain::try_from("acme.example.com".to_owned()).unwrap()],
            limits: CustomerLimits { tenants: Some(1), storage_gib: Some(100), nodes: Some(3) },
            contract: Contract { end: Some(Timestamp(1_000)), ..Contract::default() },
            ..CustomerSpec::default()
        };
        let (spec, placement) = order("files.other.example.com", 60, 2);
        let used = Used { tenants: 1, storage_gib: 50, nodes: 2 };
        let fields = |now: i64, before: Option<(&TenantSpec, &Placement)>| -> Vec<String> {
            let found = customer.violations(used, (&spec, &placement), before, Timestamp(now));
            found.into_iter().map(|violation| violation.field).collect()
        };
        let of_order = ["allowed_classes", "allowed_levels", "verified_domains"];
        let of_limits = ["limits.tenants_max", "limits.storage_gib_max", "limits.nodes_max"];
        let all: Vec<&str> = ["suspended"].into_iter().chain(of_order).chain(of_limits).collect();
        assert_eq!(fields(1_000, None), all);
        assert_eq!(fields(999, None), all[1..]);
        // What was accepted is not judged again; of what is there only more is.
        assert!(fields(999, Some((&spec, &placement))).is_empty());
        let (smaller, fewer) = order("files.other.example.com", 10, 1);
        assert_eq!(fields(999, Some((&smaller, &fewer))), of_limits[1..]);
        assert!(CustomerSpec::default().violations(used, (&spec, &placement), None, Timestamp(0)).is_empty());
        let own = CustomerSpec { domains: vec![spec.domain.clone()], ..CustomerSpec::default() };
        assert!(own.violations(used, (&spec, &placement), None, Timestamp(0)).is_empty());
    }

    #[test]
    fn a_contract_that_ended_freezes_and_one_that_has_not_begun_does_not() {
        let contract = Contract { start: Some(Timestamp(10)), end: Some(Timestamp(20)), ..Contract::default() };
        let customer = CustomerSpec { contract, ..CustomerSpec::default() };
        let at = |now: i64| (customer.blocked(Timestamp(now)).is_some(), customer.frozen(Timestamp(now)).is_some());
        assert_eq!([at(9), at(10), at(19), at(20)], [(true, false), (false, false), (false, false), (true, true)]);
        let suspended = CustomerSpec { suspended: true, ..CustomerSpec::default() };
        assert!(suspended.frozen(Timestamp(0)).is_some());
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once() {
        let wrong = CustomerSpec {
            display_name: "x".repeat(100),
            labels: BTreeMap::from([("-".to_owned(), String::new())]),
            contract: Contract { start: Some(Timestamp(2)), end: Some(Timestamp(1)), number: "n".repeat(300) },
            ..CustomerSpec::default()
        };
        let fields: Vec<String> = wrong.checked().unwrap_err().0.into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["display_name", "labels[\"-\"]", "contract.number", "contract.end_time"]);
        // What an earlier version wrote, or a migration, is read.
        assert_eq!(serde_json::from_str::<CustomerSpec>("{}").unwrap(), CustomerSpec::default());
    }
}
