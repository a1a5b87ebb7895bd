//! The provider's own settings (`config_json`). Parsed once; a bad value never gets further.

use landlord_provider_api::ProviderError;
use landlord_provider_sdk::{settings, zones::ParentZones};
use serde::Deserialize;
use serde_json::{Value, json};

/// Settings of the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Zones of ours that delegate to tenants' zones: domain → hosted zone id.
    pub(crate) parent_zones: ParentZones<String>,
    /// Region whose STS endpoint is requested roles.
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
        let mut config: Self = settings::parse(text)?;
        if config.sts_region.is_empty() {
            Self::STS_REGION.clone_into(&mut config.sts_region);
        }
        Ok(config)
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
                    "description": "Region whose STS endpoint is queried when a role is assumed.",
                    "default": Self::STS_REGION
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn unknown_settings_are_refused_by_name() {
        let error = Config::parse(r#"{"parent_zone": {}}"#).expect_err("a typo");
        assert!(error.message.contains("parent_zone"), "{error}");
    }
}
