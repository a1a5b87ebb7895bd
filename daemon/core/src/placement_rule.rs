//! Placement rules: which class a tenant gets that names none, and why not another. Knows no class.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{ClassName, TenantName, TenantSpec};

/// For whom something is placed: the tenant's name, and the labels of its customer.
#[derive(Debug, Clone, Copy)]
pub struct Orderer<'a> {
    /// The tenant.
    pub name: &'a TenantName,
    /// Labels of its customer.
    pub labels: &'a BTreeMap<String, String>,
}

/// A rule that picks a class for a tenant whose spec names none. All given parts must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementRule {
    /// Name, shown to say which rule chose.
    pub name: String,
    /// Customers it is for; empty: all.
    #[serde(default)]
    pub customers: Vec<String>,
    /// Labels that the tenant must carry.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Labels that its customer must carry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub customer_labels: BTreeMap<String, String>,
    /// Regions wished for; empty: any.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Class chosen.
    pub class: ClassName,
}

/// What a placement rule says of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleVerdict {
    /// The rule's name.
    pub rule: String,
    /// The class that it chooses.
    pub class: ClassName,
    /// The parts that do not match; empty if all do.
    pub mismatches: Vec<Mismatch>,
}

/// A part of a placement rule that does not match. Its text names everything; what a reader may not know of others,
/// whoever shows it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The rule is for customers by name, and this one is not among them.
    Customers {
        /// For whom it is.
        of: Vec<String>,
        /// Who ordered.
        customer: String,
    },
    /// The rule is for customers that carry a label.
    CustomerLabel {
        /// Key.
        key: String,
        /// Value.
        value: String,
    },
    /// Something of the order itself, in words.
    Order(String),
}

impl Mismatch {
    /// All that is said of it to whoever may not know for whom the rule is.
    pub const OF_OTHERS: &str = "it is for other customers";
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customers { of, customer } => {
                write!(f, "it is for the customers {}, not for {customer}", of.join(", "))
            }
            Self::CustomerLabel { key, value } => write!(f, "it is for customers with the label {key}={value}"),
            Self::Order(text) => f.write_str(text),
        }
    }
}

impl PlacementRule {
    /// Which parts do not match, and what they ask for.
    pub(crate) fn mismatches(&self, orderer: Orderer<'_>, spec: &TenantSpec) -> Vec<Mismatch> {
        let mut mismatches = Vec::new();
        let customer = orderer.name.customer.as_str();
        if !self.customers.is_empty() && !self.customers.iter().any(|c| c == customer) {
            mismatches.push(Mismatch::Customers { of: self.customers.clone(), customer: customer.to_owned() });
        }
        let mut of_order = |text: String| mismatches.push(Mismatch::Order(text));
        for (key, value) in &self.labels {
            match spec.labels.get(key) {
                Some(has) if has == value => {}
                Some(has) => of_order(format!("it requests the label {key}={value}, not {key}={has}")),
                None => of_order(format!("it requests the label {key}={value}, which is missing")),
            }
        }
        if !self.regions.is_empty() {
            match &spec.region {
                Some(region) if self.regions.contains(region) => {}
                Some(region) => of_order(format!("it is for {}, not for {region}", self.regions.join(", "))),
                None => of_order(format!("it is for {}, and no region is wished for", self.regions.join(", "))),
            }
        }
        let missing = self.customer_labels.iter().filter(|(key, value)| orderer.labels.get(*key) != Some(*value));
        mismatches
            .extend(missing.map(|(key, value)| Mismatch::CustomerLabel { key: key.clone(), value: value.clone() }));
        mismatches
    }
}
