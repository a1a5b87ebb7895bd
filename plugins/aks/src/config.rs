//! The provider's own settings (`config_json`). Parsed once; a bad value never gets further.

use azure_core::cloud::CloudConfiguration;
use landlord_provider_api::ProviderError;
use landlord_provider_sdk::{error::invalid, settings, zones::ParentZones};
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
    pub(crate) parent_zones: ParentZones<String>,
    /// Which of Microsoft's clouds.
    pub(crate) cloud: Cloud,
}

impl Config {
    /// Parses settings; an empty text is no settings.
    ///
    /// # Errors
    /// INVALID, naming the key.
    pub(crate) fn parse(text: &str) -> Result<Self, ProviderError> {
        let config: Self = settings::parse(text)?;
        for (domain, id) in config.parent_zones.iter() {
            let zone = id.to_ascii_lowercase();
            let suffix = format!("/providers/microsoft.network/dnszones/{domain}");
            if !zone.starts_with("/subscriptions/") || !zone.ends_with(&suffix) {
                return Err(invalid(format!(
                    "the provider's settings are not valid: parent_zones: {id:?} is not the resource id of a zone {domain}"
                )));
            }
        }
        Ok(config)
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

#[cfg(test)]
mod tests {
    use super::Config;

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
}
