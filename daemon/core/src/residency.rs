//! Residency rules: in which regions the data of a customer may lie, whatever class it orders.
//!
//! A placement rule chooses; a residency rule forbids. It binds a tenant also if the class is
//! named, and if a later change of labels would bind it. Knows no provider: regions are strings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TenantName;

/// Regions that the tenants bound by it may lie in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residency {
    /// Regions allowed, in the spelling of every provider in question. At least one.
    pub regions: Vec<String>,
    /// Customers whose tenants it binds.
    #[serde(default)]
    pub customers: Vec<String>,
    /// It also binds tenants that carry all of these labels; none: no tenant for its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Residency {
    fn binds(&self, name: &TenantName, labels: &BTreeMap<String, String>) -> bool {
        let customer = name.customer.as_str();
        let carries = !self.labels.is_empty() && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        carries || self.customers.iter().any(|bound| bound == customer)
    }
}

/// All residency rules by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Residencies(pub BTreeMap<String, Residency>);

impl Residencies {
    /// Why a tenant with these labels may not lie in `region`; `None`: it may.
    #[must_use]
    pub fn forbids(&self, name: &TenantName, labels: &BTreeMap<String, String>, region: &str) -> Option<String> {
        let mut binding = self.0.iter().filter(|(_, residency)| residency.binds(name, labels));
        let (rule, residency) = binding.find(|(_, residency)| !residency.regions.iter().any(|own| own == region))?;
        Some(format!("residency {rule:?} keeps it in {}, and {region} is not among them", residency.regions.join(", ")))
    }

    /// Which of `regions` a tenant may lie in, in their order.
    #[must_use]
    pub fn allowed<'a>(
        &self,
        name: &TenantName,
        labels: &BTreeMap<String, String>,
        regions: &'a [String],
    ) -> Vec<&'a str> {
        let free = regions.iter().filter(|region| self.forbids(name, labels, region).is_none());
        free.map(String::as_str).collect()
    }
}
