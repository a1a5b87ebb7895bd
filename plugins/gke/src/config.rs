//! The provider's own settings (`config_json`). Parsed once; a bad value never gets further.

use landlord_provider_api::ProviderError;
use landlord_provider_sdk::{settings, zones::ParentZones};
use serde::Deserialize;
use serde_json::{Value, json};

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
    pub(crate) parent_zones: ParentZones<ParentZone>,
}

impl Config {
    /// Parses settings; an empty text is no settings.
    ///
    /// # Errors
    /// INVALID, naming the key.
    pub(crate) fn parse(text: &str) -> Result<Self, ProviderError> {
        settings::parse(text)
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

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn unknown_settings_are_refused_by_name() {
        let error = Config::parse(r#"{"parent_zone": {}}"#).expect_err("a typo");
        assert!(error.message.contains("parent_zone"), "{error}");
    }
}
