//! `[customers]`: how customers are dealt with.

use landlord_core::environment::CustomerRules;
use serde::{Deserialize, Serialize};

/// How customers are dealt with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Customers {
    /// What becomes of an order for a customer that is not known.
    pub unknown: Unknown,
    /// What becomes of the tenants of a customer that is suspended or whose contract has ended.
    pub ended: Ended,
}

/// What becomes of an order for a customer that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// The customer is made, without limits.
    #[default]
    Create,
    /// It is refused.
    Refuse,
}

/// What becomes of tenants whose customer may order nothing more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// They go on, and are repaired.
    None,
    /// They go on, and nothing is changed of them.
    #[default]
    Freeze,
}

impl Customers {
    pub(crate) fn rules(self) -> CustomerRules {
        CustomerRules { make_unknown: self.unknown == Unknown::Create, freeze: self.ended == Ended::Freeze }
    }
}
