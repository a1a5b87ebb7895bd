//! Credential scopes: where the plugin's permission to act comes from. Secrets enter here, stay in
//! types that do not print them, and go nowhere else.

use landlord_provider_api::ProviderError;
use landlord_provider_sdk::settings::{self, invalid_credential};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

const REMEDY: &str = "its kind is adc, service_account_key, impersonate or access_token; see the plugin's README";
/// `source` inside `source`: Google takes delegates for a chain; deeper is a mistake.
const DEPTH_MAX: usize = 4;

/// `credential_json`.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Scope {
    /// Application Default Credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names,
    /// gcloud's file, or the metadata server of the machine or pod.
    Adc {},
    /// A service account's key, as the JSON that Google gives out.
    ServiceAccountKey {
        /// The key; as text too, which is how the daemon hands over the content of a `key_file`.
        #[serde(deserialize_with = "read_in")]
        key: Value,
    },
    /// A service account, impersonated with other credentials.
    Impersonate {
        /// Its email address.
        service_account: String,
        /// Service accounts in between, by email address, the first one first.
        #[serde(default)]
        delegates: Vec<String>,
        /// Credentials to impersonate it with; ADC unless given.
        #[serde(default)]
        source: Option<Box<Scope>>,
    },
    /// An access token as it is. It ends within an hour: for tests and by hand.
    AccessToken {
        /// The token.
        token: SecretString,
    },
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Adc {} => "Scope::Adc",
            Self::ServiceAccountKey { .. } => "Scope::ServiceAccountKey",
            Self::Impersonate { .. } => "Scope::Impersonate",
            Self::AccessToken { .. } => "Scope::AccessToken",
        })
    }
}

impl Scope {
    /// Parses a scope; empty is ADC.
    ///
    /// # Errors
    /// INVALID. The message never holds a value, only the parser's view of the form.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ProviderError> {
        if bytes.is_empty() {
            return Ok(Self::Adc {});
        }
        let scope: Self = settings::credential(bytes, REMEDY)?;
        scope.check(0).map_err(|why| invalid_credential(why, REMEDY))?;
        Ok(scope)
    }

    fn check(&self, depth: usize) -> Result<(), String> {
        use secrecy::ExposeSecret as _;
        match self {
            Self::Adc {} => Ok(()),
            Self::AccessToken { token } if token.expose_secret().is_empty() => Err("token is empty".to_owned()),
            Self::AccessToken { .. } => Ok(()),
            Self::ServiceAccountKey { key } => check_key(key),
            Self::Impersonate { service_account, delegates, source } => {
                if !is_email(service_account) {
                    return Err("service_account is not the email address of a service account".to_owned());
                }
                if !delegates.iter().all(|d| is_email(d)) {
                    return Err("delegates has one that is not the email address of a service account".to_owned());
                }
                if depth >= DEPTH_MAX {
                    return Err(format!("source is nested more than {DEPTH_MAX} deep"));
                }
                source.as_ref().map_or(Ok(()), |s| s.check(depth + 1))
            }
        }
    }

    /// The project that the credential itself belongs to, as far as it names one.
    pub(crate) fn project(&self) -> Option<String> {
        match self {
            Self::Adc {} => std::env::var("GOOGLE_CLOUD_PROJECT").ok().filter(|p| !p.is_empty()),
            Self::ServiceAccountKey { key } => key["project_id"].as_str().map(str::to_owned),
            Self::Impersonate { service_account, .. } => {
                let domain = service_account.split('@').nth(1)?;
                domain.strip_suffix(".iam.gserviceaccount.com").map(str::to_owned)
            }
            Self::AccessToken { .. } => None,
        }
    }
}

/// An object, or the text of one.
fn read_in<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => serde_json::from_str(&text).map_err(|_| serde::de::Error::custom("not JSON")),
        value => Ok(value),
    }
}

fn check_key(key: &Value) -> Result<(), String> {
    for name in ["client_email", "private_key", "token_uri"] {
        if key[name].as_str().unwrap_or_default().is_empty() {
            return Err(format!("key has no {name}: it is not a service account's key"));
        }
    }
    // The signed claim goes there; anybody who reads it may act for five minutes.
    if !key["token_uri"].as_str().unwrap_or_default().starts_with("https://") {
        return Err("key.token_uri is not an https URL".to_owned());
    }
    Ok(())
}

fn is_email(text: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    text.split_once('@').is_some_and(|(name, domain)| good(name) && good(domain) && domain.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::Scope;

    const KEY: &str = r#"{"type":"service_account","project_id":"acme-prod","client_email":"l@acme-prod.iam.gserviceaccount.com","private_key":"hunter2","token_uri":"https://oauth2.googleapis.com/token"}"#;

    #[test]
    fn the_four_kinds_are_understood_and_report_their_project() {
        let key = format!(r#"{{"kind":"service_account_key","key":{KEY}}}"#);
        let nested = format!(
            r#"{{"kind":"impersonate","service_account":"landlord@acme-test.iam.gserviceaccount.com","delegates":["d@hub.iam.gserviceaccount.com"],"source":{key}}}"#
        );
        let from_file = serde_json::json!({ "kind": "service_account_key", "key": KEY }).to_string();
        for (text, project) in [
            (r#"{"kind":"access_token","token":"t"}"#, None),
            (key.as_str(), Some("acme-prod")),
            (from_file.as_str(), Some("acme-prod")),
            (nested.as_str(), Some("acme-test")),
        ] {
            let scope = Scope::parse(text.as_bytes()).expect(text);
            assert_eq!(scope.project().as_deref(), project, "{text}");
        }
        for text in ["", r#"{"kind":"adc"}"#] {
            assert!(matches!(Scope::parse(text.as_bytes()), Ok(Scope::Adc {})), "{text}");
        }
    }

    #[test]
    fn bad_scopes_are_refused_without_quoting_a_secret() {
        let no_uri = KEY.replace("token_uri", "hunter2");
        let plain = KEY.replace("https:", "http:");
        for text in [
            r#"{"kind":"access_token","token":"hunter2","extra":"hunter2"}"#.to_owned(),
            r#"{"kind":"access_token","token":""}"#.to_owned(),
            r#"{"kind":"access_token","token":5}"#.to_owned(),
            r#"{"kind":"hunter2"}"#.to_owned(),
            r#"{"kind":"impersonate","service_account":"hunter2"}"#.to_owned(),
            r#"{"kind":"impersonate","service_account":"a/b@c.d"}"#.to_owned(),
            format!(r#"{{"kind":"service_account_key","key":{no_uri}}}"#),
            format!(r#"{{"kind":"service_account_key","key":{plain}}}"#),
        ] {
            let error = Scope::parse(text.as_bytes()).expect_err(&text);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_scope_never_prints_its_secret() {
        let text = format!(r#"{{"kind":"service_account_key","key":{KEY}}}"#);
        let scope = Scope::parse(text.as_bytes()).expect("valid");
        assert!(!format!("{scope:?}").contains("hunter2"));
    }
}
