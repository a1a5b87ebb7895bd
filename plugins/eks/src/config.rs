//! The provider's own settings (`config_json`). Parsed once; a bad value never gets further.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use landlord_provider_api::{ErrorKind, ProviderError, v1};

/// Settings of the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Zones of ours that delegate to tenants' zones: domain → hosted zone id.
    pub(crate) parent_zones: BTreeMap<String, String>,
    /// Region whose STS endpoint is asked for roles.
    pub(crate) sts_region: String,
}

impl Config {
    /// Region of STS unless set: the one whose tokens every default Region accepts.
    pub(crate) const STS_REGION: &'static str = "us-east-1";

    /// Parses settings; an empty text is no settings.
    ///
    /// # Errors
    /// INVALID, naming the key.
    pub(crate) fn parse(text: &str) -> Result<Self, ProviderError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let mut config: Self = serde_json::from_str(text).map_err(|e| {
            ProviderError::new(ErrorKind::Invalid, format!("the provider's settings are not valid: {e}"))
        })?;
        if config.sts_region.is_empty() {
            Self::STS_REGION.clone_into(&mut config.sts_region);
        }
        config.parent_zones =
            config.parent_zones.into_iter().map(|(k, v)| (k.trim_end_matches('.').to_lowercase(), v)).collect();
        Ok(config)
    }

    /// The zone that delegates to `domain`: the longest parent that is a suffix of it.
    pub(crate) fn parent_of(&self, domain: &str) -> Option<&str> {
        self.parent_zones
            .iter()
            .filter(|(parent, _)| domain.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.')))
            .max_by_key(|(parent, _)| parent.len())
            .map(|(_, id)| id.as_str())
    }

    /// JSON Schema of the settings.
    pub(crate) fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Settings of the EKS provider",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "parent_zones": {
                    "type": "object",
                    "description": "Hosted zones in which tenants' zones are delegated: domain to hosted zone id. The longest matching domain is used; without one, delegation is the operator's affair.",
                    "additionalProperties": { "type": "string", "pattern": "^[A-Z0-9]{1,32}$" }
                },
                "sts_region": {
                    "type": "string",
                    "description": "Region whose STS endpoint is asked when a role is assumed.",
                    "default": Self::STS_REGION
                }
            }
        })
    }
}

/// Checks `endpoint_override`: TLS, or loopback.
///
/// # Errors
/// INVALID for anything else, since requests carry session tokens.
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
        let text = r#"{"parent_zones": {"example.com.": "Z1", "eu.example.com": "Z2"}}"#;
        let config = Config::parse(text).expect("valid");
        assert_eq!(config.parent_of("acme.eu.example.com"), Some("Z2"));
        assert_eq!(config.parent_of("acme.example.com"), Some("Z1"));
        assert_eq!(config.parent_of("badexample.com"), None);
        assert_eq!(config.parent_of("example.com"), None);
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
        assert!(check("https://aws.internal").is_ok());
        for bad in ["http://aws.internal", "ftp://127.0.0.1", "nonsense"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
