//! Settings, class parameters and credentials: JSON that becomes a type, or INVALID. A message about settings quotes what
//! is wrong; one about a credential never quotes a value.

use landlord_provider_api::{ErrorKind, ProviderError};
use serde::de::DeserializeOwned;

/// The settings of a provider (`config_json`); an empty text is an empty object.
///
/// # Errors
/// INVALID, naming the key.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ProviderError> {
    object(text, "the provider's settings")
}

/// The parameters of a class (`parameters_json`); an empty text is an empty object.
///
/// # Errors
/// INVALID, naming the key.
pub fn parameters<T: DeserializeOwned>(text: &str) -> Result<T, ProviderError> {
    object(text, "the class parameters")
}

fn object<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, ProviderError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text)
        .map_err(|error| ProviderError::new(ErrorKind::Invalid, format!("{what} are not valid: {error}")))
}

/// A credential (`credential_json`). The remedy names which kinds there are.
///
/// # Errors
/// INVALID with line and column only: the parser's own message can quote a value.
pub fn credential<T: DeserializeOwned>(json: &[u8], remedy: &str) -> Result<T, ProviderError> {
    serde_json::from_slice(json).map_err(|error| {
        let place = format!("near line {} column {}", error.line(), error.column());
        invalid_credential(format!("unknown, missing or misplaced key {place}"), remedy)
    })
}

/// INVALID for a credential that can't be used; `why` must hold no value of it.
pub fn invalid_credential(why: impl std::fmt::Display, remedy: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, format!("the credential scope is not valid: {why}")).with_remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::{credential, parameters, parse};
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Form {
        secret: String,
    }

    #[test]
    fn settings_name_the_key_and_credentials_repeat_nothing() {
        assert_eq!(parse::<Form>(" ").expect("empty"), Form::default());
        assert!(parse::<Form>(r#"{"sekret": ""}"#).expect_err("a typo").message.contains("sekret"));
        assert!(parameters::<Form>("[").expect_err("no object").message.starts_with("the class parameters"));
        for text in [r#"{"hunter2": 1}"#, r#"{"secret": ["hunter2"]}"#, "hunter2", ""] {
            let error = credential::<Form>(text.as_bytes(), "see the README").expect_err(text);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert_eq!(error.remedy, "see the README");
        }
    }
}
