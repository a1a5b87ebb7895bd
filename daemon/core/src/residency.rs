//! Residency rules: in which regions the data of a customer may lie, whatever class it orders.
//!
//! A placement rule chooses; a residency rule forbids. It binds a tenant also if the class is
//! named, and if a later change of labels would bind it. Knows no provider: regions are strings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::placement_rule::Orderer;

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
    /// It also binds tenants of customers that carry all of these labels; none: of no customer for its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub customer_labels: BTreeMap<String, String>,
}

/// Whether labels hold all of some that are wanted, of which there are any.
fn carries(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

impl Residency {
    fn binds(&self, orderer: Orderer<'_>, labels: &BTreeMap<String, String>) -> bool {
        let customer = orderer.name.customer.as_str();
        let by_labels = carries(&self.labels, labels) || carries(&self.customer_labels, orderer.labels);
        by_labels || self.customers.iter().any(|bound| bound == customer)
    }
}

/// All residency rules by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Residencies(pub BTreeMap<String, Residency>);

impl Residencies {
    /// Why a tenant with these labels may not lie in `region`; `None`: it may.
    #[must_use]
    pub fn forbids(&self, orderer: Orderer<'_>, labels: &BTreeMap<String, String>, region: &str) -> Option<String> {
        let mut binding = self.0.iter().filter(|(_, residency)| residency.binds(orderer, labels));
        let (rule, residency) = binding.find(|(_, residency)| !residency.regions.iter().any(|own| own == region))?;
        Some(format!("residency {rule:?} keeps it in {}, and {region} is not among them", residency.regions.join(", ")))
    }

    /// Which of `regions` a tenant may lie in, in their order.
    #[must_use]
    pub fn allowed<'a>(
        &self,
        orderer: Orderer<'_>,
        labels: &BTreeMap<String, String>,
        regions: &'a [String],
    ) -> Vec<&'a str> {
        let free = regions.iter().filter(|region| self.forbids(orderer, labels, region).is_none());
        free.map(String::as_str).collect()
    }
}
