//! The provider's own settings (`config_json`). Parsed once; a bad value never gets further.

use std::collections::BTreeMap;

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::names::normal;

/// A managed zone that delegates to tenants' zones.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParentZone {
    /// Project that it is in; empty: the tenant's.
    #[serde(default)]
    pub(crate) project: String,
    /// Name of the managed zone.
    pub(crate) zone: String,
}

/// Settings of the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Zones of ours that delegate to tenants' zones, by domain.
    pub(crate) parent_zones: BTreeMap<String, ParentZone>,
}

impl Config {
    /// Parses settings; an empty text is no settings.
    ///
    /// # Errors
    /// INVALID, naming the key.
    pub(crate) fn parse(text: &str) -> Result<Self, ProviderError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let mut config: Self = serde_json::from_str(text).map_err(|e| {
            ProviderError::new(ErrorKind::Invalid, format!("the provider's settings are not valid: {e}"))
        })?;
        config.parent_zones = config.parent_zones.into_iter().map(|(k, v)| (normal(&k), v)).collect();
        Ok(config)
    }

    /// The zone that delegates to `domain`: the longest parent that is a suffix of it.
    pub(crate) fn parent_of(&self, domain: &str) -> Option<&ParentZone> {
        self.parent_zones
            .iter()
            .filter(|(parent, _)| domain.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.')))
            .max_by_key(|(parent, _)| parent.len())
            .map(|(_, zone)| zone)
    }

    /// JSON Schema of the settings.
    pub(crate) fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Settings of the GKE provider",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "parent_zones": {
                    "type": "object",
                    "description": "Managed zones in which tenants' zones are delegated, by domain. The longest matching domain is used; without one, delegation is the operator's affair.",
                    "additionalProperties": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["zone"],
                        "properties": {
                            "project": { "type": "string", "description": "Project that the zone is in; the tenant's unless set." },
                            "zone": { "type": "string", "description": "Name of the managed zone.", "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$" }
                        }
                    }
                }
            }
        })
    }
}

/// Checks `endpoint_override`: TLS, or loopback.
///
/// # Errors
/// INVALID for anything else, since requests carry access tokens.
pub(crate) fn endpoint(request: &v1::ConfigureRequest) -> Result<Option<String>, ProviderError> {
    let text = request.endpoint_override.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |why: &str| {
        ProviderError::new(ErrorKind::Invalid, format!("endpoint_override {text:?} {why}"))
            .with_remedy("use an https URL, or http with a loopback address")
    };
    let url: url::Url = text.parse().map_err(|_| invalid("is not a URL"))?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(Some(text.trim_end_matches('/').to_owned())),
        "http" if loopback => Ok(Some(text.trim_end_matches('/').to_owned())),
        "http" => Err(invalid("is not encrypted and not on this machine")),
        _ => Err(invalid("is neither http nor https")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, endpoint};
    use landlord_provider_api::v1::ConfigureRequest;

    #[test]
    fn the_longest_parent_delegates() {
        let text = r#"{"parent_zones": {"example.com.": {"zone": "one"}, "eu.example.com": {"project": "dns", "zone": "two"}}}"#;
        let config = Config::parse(text).expect("valid");
        let of = |domain: &str| config.parent_of(domain).map(|p| p.zone.as_str());
        assert_eq!(of("acme.eu.example.com"), Some("two"));
        assert_eq!(of("acme.example.com"), Some("one"));
        assert_eq!(of("badexample.com"), None);
        assert_eq!(of("example.com"), None);
    }

    #[test]
    fn unknown_settings_are_refused_by_name() {
        let error = Config::parse(r#"{"parent_zone": {}}"#).expect_err("a typo");
        assert!(error.message.contains("parent_zone"), "{error}");
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        let check = |url: &str| {
            endpoint(&ConfigureRequest { endpoint_override: url.to_owned(), ..ConfigureRequest::default() })
        };
        assert_eq!(check("").expect("none"), None);
        assert_eq!(check("http://127.0.0.1:4566/").expect("loopback").as_deref(), Some("http://127.0.0.1:4566"));
        assert!(check("https://restricted.googleapis.com").is_ok());
        for bad in ["http://gcp.internal", "ftp://127.0.0.1", "nonsense"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
