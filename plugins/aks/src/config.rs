//! The provider's own settings (`config_json`). Parsed once; a bad value never gets further.

use std::collections::BTreeMap;

use azure_core::{cloud::CloudConfiguration, http::Url};
use landlord_provider_api::{ErrorKind, ProviderError, v1};
use serde::Deserialize;
use serde_json::{Value, json};

/// Which of Microsoft's clouds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cloud {
    /// The public one.
    #[default]
    Public,
    /// US Government.
    UsGovernment,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// Address of Azure Resource Manager.
    pub(crate) fn manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    /// Address of Entra.
    pub(crate) fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }
}

impl From<Cloud> for CloudConfiguration {
    fn from(cloud: Cloud) -> Self {
        match cloud {
            Cloud::Public => Self::AzurePublic,
            Cloud::UsGovernment => Self::AzureGovernment,
            Cloud::China => Self::AzureChina,
        }
    }
}

/// Settings of the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Zones of ours that delegate to tenants' zones: domain → resource id of the zone.
    pub(crate) parent_zones: BTreeMap<String, String>,
    /// Which of Microsoft's clouds.
    pub(crate) cloud: Cloud,
}

impl Config {
    /// Parses settings; an empty text is no settings.
    ///
    /// # Errors
    /// INVALID, naming the key.
    pub(crate) fn parse(text: &str) -> Result<Self, ProviderError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let invalid = |why: String| {
            ProviderError::new(ErrorKind::Invalid, format!("the provider's settings are not valid: {why}"))
        };
        let mut config: Self = serde_json::from_str(text).map_err(|e| invalid(e.to_string()))?;
        config.parent_zones =
            config.parent_zones.into_iter().map(|(k, v)| (k.trim_end_matches('.').to_lowercase(), v)).collect();
        for (domain, id) in &config.parent_zones {
            let zone = id.to_ascii_lowercase();
            let suffix = format!("/providers/microsoft.network/dnszones/{domain}");
            if !zone.starts_with("/subscriptions/") || !zone.ends_with(&suffix) {
                return Err(invalid(format!("parent_zones: {id:?} is not the resource id of a zone {domain}")));
            }
        }
        Ok(config)
    }

    /// The zone that delegates to `domain`: the longest parent that is a suffix of it, with its
    /// domain.
    pub(crate) fn parent_of(&self, domain: &str) -> Option<(&str, &str)> {
        self.parent_zones
            .iter()
            .filter(|(parent, _)| domain.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.')))
            .max_by_key(|(parent, _)| parent.len())
            .map(|(parent, id)| (parent.as_str(), id.as_str()))
    }

    /// JSON Schema of the settings.
    pub(crate) fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Settings of the AKS provider",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "parent_zones": {
                    "type": "object",
                    "description": "DNS zones in which tenants' zones are delegated: domain to resource id. The longest matching domain is used; without one, delegation is the operator's affair.",
                    "additionalProperties": { "type": "string", "pattern": "^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.Network/dns[zZ]ones/[^/]+$" }
                },
                "cloud": {
                    "enum": ["public", "us_government", "china"],
                    "description": "Which of Microsoft's clouds.",
                    "default": "public"
                }
            }
        })
    }
}

/// Checks `endpoint_override`: TLS, or loopback; without a path, since the cloud's own paths
/// follow.
///
/// # Errors
/// INVALID for anything else, since requests carry tokens.
pub(crate) fn endpoint(request: &v1::ConfigureRequest) -> Result<Option<Url>, ProviderError> {
    let text = request.endpoint_override.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |why: &str| {
        ProviderError::new(ErrorKind::Invalid, format!("endpoint_override {text:?} {why}"))
            .with_remedy("use an https URL without a path, or http with a loopback address")
    };
    let url: Url = text.parse().map_err(|_| invalid("is not a URL"))?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.path() != "/" || url.query().is_some() {
        return Err(invalid("has a path"));
    }
    match url.scheme() {
        "https" => Ok(Some(url)),
        "http" if loopback => Ok(Some(url)),
        "http" => Err(invalid("is not encrypted and not on this machine")),
        _ => Err(invalid("is neither http nor https")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, endpoint};
    use landlord_provider_api::v1::ConfigureRequest;

    fn zone(domain: &str) -> String {
        format!("/subscriptions/s/resourceGroups/dns/providers/Microsoft.Network/dnsZones/{domain}")
    }

    #[test]
    fn the_longest_parent_delegates() {
        let text = serde_json::json!({ "parent_zones": { "example.com.": zone("example.com"), "eu.example.com": zone("eu.example.com") } });
        let config = Config::parse(&text.to_string()).expect("valid");
        assert_eq!(config.parent_of("acme.eu.example.com").map(|p| p.0), Some("eu.example.com"));
        assert_eq!(config.parent_of("acme.example.com").map(|p| p.0), Some("example.com"));
        assert_eq!(config.parent_of("badexample.com"), None);
        assert_eq!(config.parent_of("example.com"), None);
    }

    #[test]
    fn unknown_settings_and_foreign_ids_are_refused_by_name() {
        for (text, word) in [
            (r#"{"parent_zone": {}}"#, "parent_zone"),
            (r#"{"parent_zones": {"example.com": "Z1"}}"#, "Z1"),
            (r#"{"cloud": "germany"}"#, "germany"),
        ] {
            let error = Config::parse(text).expect_err(text);
            assert!(error.message.contains(word), "{error}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        let check = |url: &str| {
            endpoint(&ConfigureRequest { endpoint_override: url.to_owned(), ..ConfigureRequest::default() })
        };
        assert_eq!(check("").expect("none"), None);
        let loopback = check("http://127.0.0.1:4566/").expect("loopback").map(|u| u.to_string());
        assert_eq!(loopback.as_deref(), Some("http://127.0.0.1:4566/"));
        assert!(check("https://arm.internal").is_ok());
        for bad in ["http://arm.internal", "ftp://127.0.0.1", "nonsense", "https://arm.internal/path"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
