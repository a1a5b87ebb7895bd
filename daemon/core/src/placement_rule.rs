//! Placement rules: which class a tenant gets that names none, and why not another. Knows no class.

use std::collections::BTreeMap;

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
    /// The parts that do not match, in words; empty if all do.
    pub mismatches: Vec<String>,
}

impl PlacementRule {
    /// Which parts do not match, and what they ask for.
    pub(crate) fn mismatches(&self, orderer: Orderer<'_>, spec: &TenantSpec) -> Vec<String> {
        let mut mismatches = Vec::new();
        let customer = orderer.name.customer.as_str();
        if !self.customers.is_empty() && !self.customers.iter().any(|c| c == customer) {
            mismatches.push(format!("it is for the customers {}, not for {customer}", self.customers.join(", ")));
        }
        for (key, value) in &self.labels {
            match spec.labels.get(key) {
                Some(has) if has == value => {}
                Some(has) => mismatches.push(format!("it requests the label {key}={value}, not {key}={has}")),
                None => mismatches.push(format!("it requests the label {key}={value}, which is missing")),
            }
        }
        for (key, value) in &self.customer_labels {
            if orderer.labels.get(key) != Some(value) {
                mismatches.push(format!("it is for customers with the label {key}={value}"));
            }
        }
        if !self.regions.is_empty() {
            match &spec.region {
                Some(region) if self.regions.contains(region) => {}
                Some(region) => mismatches.push(format!("it is for {}, not for {region}", self.regions.join(", "))),
                None => mismatches.push(format!("it is for {}, and no region is wished for", self.regions.join(", "))),
            }
        }
        mismatches
    }
}
