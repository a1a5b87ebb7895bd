//! The provider's own settings (`config_json`) and the class parameters, of which there are none.
//! Parsed once; a bad value never gets further.

use std::fmt;

use landlord_provider_api::ProviderError;
use landlord_provider_sdk::settings;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::invalid;

/// The oldest Kubernetes unless set: from 1.30 on, ValidatingAdmissionPolicies, by which tenants are kept to their nodes, are
/// stable, <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>.
const MINIMUM_VERSION: &str = "1.30";

/// A minor version of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Version {
    /// Reads `1.30`; digits end where a vendor's suffix begins (`30+`).
    pub(crate) fn parse(major: &str, minor: &str) -> Option<Self> {
        let number = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().ok()
        };
        Some(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Settings of the provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    /// The oldest Kubernetes that is adopted.
    pub(crate) minimum_version: Version,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    minimum_version: String,
}

impl Default for Raw {
    fn default() -> Self {
        Self { minimum_version: MINIMUM_VERSION.to_owned() }
    }
}

impl Config {
    /// Parses settings; an empty text is no settings.
    ///
    /// # Errors
    /// INVALID, naming the key.
    pub(crate) fn parse(text: &str) -> Result<Self, ProviderError> {
        let raw: Raw = settings::parse(text)?;
        let parts = raw.minimum_version.split_once('.');
        let minimum_version = parts.and_then(|(major, minor)| Version::parse(major, minor)).ok_or_else(|| {
            let problem = format!("minimum_version {:?} is no minor version", raw.minimum_version);
            invalid(problem, "write it like \"1.30\"")
        })?;
        Ok(Self { minimum_version })
    }

    /// JSON Schema of the settings.
    pub(crate) fn schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Settings of the provider for clusters that exist already",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "minimum_version": {
                    "type": "string",
                    "description": "The oldest minor version of Kubernetes that is adopted.",
                    "pattern": "^[0-9]+\\.[0-9]+$",
                    "default": MINIMUM_VERSION
                }
            }
        })
    }
}

/// Checks the class parameters.
///
/// # Errors
/// INVALID: there are none to set.
pub(crate) fn check_parameters(text: &str) -> Result<(), ProviderError> {
    let parameters: serde_json::Map<String, Value> = settings::parameters(text)?;
    match parameters.keys().next() {
        None => Ok(()),
        Some(key) => {
            Err(invalid(format!("the class parameter {key:?} is unknown"), "remove it: this provider has none"))
        }
    }
}

/// JSON Schema of the class parameters.
pub(crate) fn parameters_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Class parameters: none",
        "type": "object",
        "additionalProperties": false
    })
}

#[cfg(test)]
mod tests {
    use super::{Config, Version, check_parameters};

    #[test]
    fn vendors_suffixes_are_read_over_and_versions_are_compared_as_numbers() {
        let version = |minor: &str| Version::parse("1", minor).unwrap();
        assert_eq!(version("30+"), version("30"));
        assert!(version("9") < version("30") && version("30") < version("37"));
        assert_eq!(Version::parse("1", "x"), None);
        assert_eq!(Config::parse("").unwrap().minimum_version.to_string(), "1.30");
    }

    #[test]
    fn settings_and_parameters_that_do_not_exist_are_refused_by_name() {
        let error = Config::parse(r#"{"minimal_version": "1.30"}"#).unwrap_err();
        assert!(error.message.contains("minimal_version"), "{error}");
        assert!(Config::parse(r#"{"minimum_version": "new"}"#).is_err());
        assert!(check_parameters("{}").is_ok());
        let error = check_parameters(r#"{"vpc_cidr": "10.0.0.0/16"}"#).unwrap_err();
        assert!(error.message.contains("vpc_cidr"), "{error}");
    }
}
