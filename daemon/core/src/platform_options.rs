//! What a class chooses of its platform: which parts a cluster gets, and values for their releases. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::AppName;

/// What a class chooses of its platform; kept with the placement, so that a changed class reaches nobody by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformOptions {
    /// Parts that are installed, or not, by name; the platform says what those get that are not named.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<AppName, bool>,
    /// Values by release, over those of platform and installation. Whoever reads a placement reads them: secrets are named there, not
    /// written.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<AppName, Map<String, Value>>,
}

impl PlatformOptions {
    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a part is ordered, by the class or by the platform where the class says nothing.
    #[must_use]
    pub fn orders(&self, part: &PlatformPart) -> bool {
        self.parts.get(&part.name).copied().unwrap_or(part.is_default)
    }

    /// Why a part is not installed; `None`: it is. `has_zone`: whether the cluster is that of one tenant, who has a zone;
    /// `offers`: whether the provider's cloud brings what a capability names.
    #[must_use]
    pub fn left_out(&self, part: &PlatformPart, has_zone: bool, offers: impl Fn(&str) -> bool) -> Option<LeftOut> {
        if !self.orders(part) {
            return Some(LeftOut::NotOrdered);
        }
        if part.needs_zone && !has_zone {
            return Some(LeftOut::NoZone);
        }
        let brought = part.capability.as_deref().filter(|capability| offers(capability));
        brought.map(|capability| LeftOut::Brought { capability: capability.to_owned() })
    }
}

/// A part of a platform: one or several releases that a class orders or leaves out together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformPart {
    /// Its name in the class.
    pub name: AppName,
    /// Whether clusters get it whose class says nothing.
    pub is_default: bool,
    /// Word of a provider whose cloud brings the part; `None`: no cloud does.
    pub capability: Option<String>,
    /// Whether it works in a tenant's zone, and so in a cluster of a tenant's own only.
    pub needs_zone: bool,
}

/// Why a part is not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// The class does not order it.
    NotOrdered,
    /// It works in the zone of one tenant, and there is none.
    NoZone,
    /// The cloud brings it.
    Brought {
        /// The provider's word.
        capability: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_the_class_says_else_the_platform_unless_the_cloud_brings_it() {
        let options = |text: &str| serde_json::from_str::<PlatformOptions>(text).unwrap();
        let part = |is_default: bool| PlatformPart {
            name: "metrics-server".parse().unwrap(),
            is_default,
            capability: Some("metrics-server".into()),
            needs_zone: false,
        };
        let brought = Some(LeftOut::Brought { capability: "metrics-server".into() });
        let cases = [
            ("{}", true, false, None),
            ("{}", false, false, Some(LeftOut::NotOrdered)),
            ("{}", true, true, brought.clone()),
            (r#"{"parts": {"metrics-server": true}}"#, false, false, None),
            (r#"{"parts": {"metrics-server": true}}"#, false, true, brought),
            (r#"{"parts": {"metrics-server": false}}"#, true, true, Some(LeftOut::NotOrdered)),
            (r#"{"parts": {"logs": true}}"#, false, false, Some(LeftOut::NotOrdered)),
        ];
        for (text, is_default, offers, expected) in cases {
            let left_out = options(text).left_out(&part(is_default), false, |_| offers);
            assert_eq!(left_out, expected, "{text} {is_default} {offers}");
        }
        let without = PlatformPart { capability: None, ..part(true) };
        assert_eq!(options("{}").left_out(&without, false, |_| true), None);
        let zoned = PlatformPart { needs_zone: true, ..without };
        assert_eq!(options("{}").left_out(&zoned, false, |_| true), Some(LeftOut::NoZone));
        assert_eq!(options("{}").left_out(&zoned, true, |_| true), None);
    }
}
