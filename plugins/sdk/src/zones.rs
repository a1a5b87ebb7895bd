//! Domains, and the zones of the operator's in which tenants' zones are delegated.

use std::collections::BTreeMap;

use landlord_provider_api::{ProviderError, v1};
use serde::{Deserialize, Deserializer};

use crate::error::invalid;

/// A domain as it is compared: lower case, without the last dot.
#[must_use]
pub fn normal(domain: &str) -> String {
    domain.trim_end_matches('.').to_ascii_lowercase()
}

/// Parent zones by domain; `Z` is how the cloud names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentZones<Z>(BTreeMap<String, Z>);

impl<Z> Default for ParentZones<Z> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, Z: Deserialize<'de>> Deserialize<'de> for ParentZones<Z> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let zones = BTreeMap::<String, Z>::deserialize(deserializer)?;
        Ok(Self(zones.into_iter().map(|(domain, zone)| (normal(&domain), zone)).collect()))
    }
}

impl<Z> ParentZones<Z> {
    /// The zone that delegates to `domain`, with its own domain: the longest parent that is a suffix of it.
    #[must_use]
    pub fn of(&self, domain: &str) -> Option<(&str, &Z)> {
        let is_parent = |parent: &str| domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
        let parents = self.0.iter().filter(|(parent, _)| is_parent(parent));
        parents.max_by_key(|(parent, _)| parent.len()).map(|(parent, zone)| (parent.as_str(), zone))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Z)> {
        self.0.iter().map(|(domain, zone)| (domain.as_str(), zone))
    }
}

/// The name of a record in the zone of `domain`, as it is compared.
///
/// # Errors
/// INVALID: it is not within the zone, or has no value.
pub fn record_name(record: &v1::DnsRecord, domain: &str) -> Result<String, ProviderError> {
    let name = normal(&record.name);
    if name.strip_suffix(domain).is_none_or(|rest| !rest.is_empty() && !rest.ends_with('.')) {
        return Err(invalid(format!("the record {name} is not within the zone {domain}")));
    }
    if record.values.is_empty() {
        return Err(invalid(format!("the record {name} has no value")));
    }
    Ok(name)
}

/// A text as a zone file has it (RFC 1035, 5.1); one that is quoted stays as it is.
#[must_use]
pub fn quoted(text: &str) -> String {
    if text.starts_with('"') { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\\\"")) }
}

/// Whether a delegation names exactly these servers, in whatever order and spelling.
pub fn same_servers<S: AsRef<str>>(present: impl IntoIterator<Item = S>, wanted: &[String]) -> bool {
    let mut present: Vec<String> = present.into_iter().map(|server| normal(server.as_ref())).collect();
    let mut wanted: Vec<String> = wanted.iter().map(|server| normal(server)).collect();
    present.sort();
    wanted.sort();
    present == wanted
}

#[cfg(test)]
mod tests {
    use landlord_provider_api::v1::DnsRecord;

    use super::{ParentZones, quoted, record_name, same_servers};

    #[test]
    fn a_record_lies_in_its_zone_and_has_values() {
        let record = |name: &str, values: &[&str]| DnsRecord {
            name: name.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            ..DnsRecord::default()
        };
        let of = |name: &str, values: &[&str]| record_name(&record(name, values), "acme.example.com");
        assert_eq!(of("Chat.acme.example.com.", &["192.0.2.1"]).expect("within"), "chat.acme.example.com");
        assert_eq!(of("acme.example.com", &["192.0.2.1"]).expect("itself"), "acme.example.com");
        for (name, values, why) in [
            ("xacme.example.com", &["192.0.2.1"][..], "not within"),
            ("example.com", &["192.0.2.1"], "not within"),
            ("chat.acme.example.com", &[], "has no value"),
        ] {
            assert!(of(name, values).expect_err(name).message.contains(why), "{name}");
        }
        assert_eq!((quoted("a \"b\""), quoted("\"c\"")), ("\"a \\\"b\\\"\"".to_owned(), "\"c\"".to_owned()));
    }

    #[test]
    fn the_longest_parent_delegates() {
        let zones: ParentZones<String> =
            serde_json::from_str(r#"{"Example.com.": "Z1", "eu.example.com": "Z2"}"#).expect("zones");
        let of = |domain: &str| zones.of(domain).map(|(_, zone)| zone.as_str());
        assert_eq!(of("acme.eu.example.com"), Some("Z2"));
        assert_eq!(of("acme.example.com"), Some("Z1"));
        assert_eq!(zones.of("acme.example.com").map(|found| found.0), Some("example.com"));
        assert_eq!(of("badexample.com"), None);
        assert_eq!(of("example.com"), None);
        assert_eq!(zones.iter().count(), 2);
    }

    #[test]
    fn servers_are_compared_as_a_set_of_names() {
        let wanted = ["ns1.example", "ns2.example"].map(str::to_owned);
        assert!(same_servers(["NS2.example.", "ns1.example"], &wanted));
        assert!(!same_servers(["ns1.example"], &wanted));
    }
}
