//! Credential scopes: where the plugin's permission to act comes from. Secrets enter here,
//! stay in the SDK's types, which do not print them, and go nowhere else.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{
    BehaviorVersion, SdkConfig, default_provider::credentials::DefaultCredentialsChain,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig, sts::AssumeRoleProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, SharedCredentialsProvider, future},
};
use landlord_provider_api::ProviderError;
use landlord_provider_sdk::settings::{self, invalid_credential};
use serde::Deserialize;
use tokio::sync::Mutex;

/// Renewed this long before they end, so that no call goes out with credentials that end on
/// the way, and a Kubernetes token lives its 15 minutes.
const RENEW_BEFORE: Duration = Duration::from_secs(20 * 60);
/// Session name unless set; it shows in CloudTrail.
const SESSION_NAME: &str = "landlord";
const REMEDY: &str = "its kind is default, profile, assume_role or static; see the plugin's README";
/// `source` inside `source`: AWS itself allows role chaining, but deeper is a mistake.
const DEPTH_MAX: usize = 4;

/// `credential_json`.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Scope {
    /// The SDK's default chain: environment, web identity, container, instance.
    Default {},
    /// A profile of the shared config files.
    Profile {
        /// Name of the profile.
        name: String,
    },
    /// A role, taken with other credentials.
    AssumeRole {
        /// ARN of the role.
        role_arn: String,
        /// External id that the role's trust policy requests.
        #[serde(default)]
        external_id: String,
        /// Session name, for CloudTrail.
        #[serde(default)]
        session_name: String,
        /// Credentials to take it with.
        #[serde(default)]
        source: Option<Box<Scope>>,
    },
    /// Keys as they are.
    Static {
        /// Access key id.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: String,
        /// Session token of temporary keys.
        #[serde(default)]
        session_token: String,
    },
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default {} => "Scope::Default",
            Self::Profile { .. } => "Scope::Profile",
            Self::AssumeRole { .. } => "Scope::AssumeRole",
            Self::Static { .. } => "Scope::Static",
        })
    }
}

impl Scope {
    /// Parses a scope; empty is the default chain.
    ///
    /// # Errors
    /// INVALID. The message never holds a value, only the parser's view of the form.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ProviderError> {
        if bytes.is_empty() {
            return Ok(Self::Default {});
        }
        let scope: Self = settings::credential(bytes, REMEDY)?;
        scope.check(0).map_err(|why| invalid_credential(why, REMEDY))?;
        Ok(scope)
    }

    fn check(&self, depth: usize) -> Result<(), String> {
        let required = |name: &str, value: &str| {
            if value.is_empty() { Err(format!("{name} is empty")) } else { Ok(()) }
        };
        match self {
            Self::Default {} => Ok(()),
            Self::Profile { name } => required("name", name),
            Self::Static { access_key_id, secret_access_key, .. } => {
                required("access_key_id", access_key_id)?;
                required("secret_access_key", secret_access_key)
            }
            Self::AssumeRole { role_arn, source, .. } => {
                if !role_arn.starts_with("arn:aws") || !role_arn.contains(":role/") {
                    return Err("role_arn is not the ARN of a role".to_owned());
                }
                if depth >= DEPTH_MAX {
                    return Err(format!("source is nested more than {DEPTH_MAX} deep"));
                }
                source.as_ref().map_or(Ok(()), |s| s.check(depth + 1))
            }
        }
    }

    /// The role that calls are made as, when the scope names it.
    pub(crate) fn role_arn(&self) -> Option<&str> {
        match self {
            Self::AssumeRole { role_arn, .. } => Some(role_arn),
            _ => None,
        }
    }

    /// The provider of credentials. Reaches out only when requested credentials.
    pub(crate) async fn provider(&self, base: &SdkConfig) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Cached { inner: self.uncached(base).await, held: Arc::default() })
    }

    async fn uncached(&self, base: &SdkConfig) -> SharedCredentialsProvider {
        let settings = || {
            let mut config = ProviderConfig::without_region().with_region(base.region().cloned());
            if let Some(http) = base.http_client() {
                config = config.with_http_client(http);
            }
            config
        };
        match self {
            Self::Default {} => {
                let chain = DefaultCredentialsChain::builder().configure(settings()).build().await;
                SharedCredentialsProvider::new(chain)
            }
            Self::Profile { name } => SharedCredentialsProvider::new(
                ProfileFileCredentialsProvider::builder().configure(&settings()).profile_name(name).build(),
            ),
            Self::Static { access_key_id, secret_access_key, session_token } => {
                let token = (!session_token.is_empty()).then(|| session_token.clone());
                SharedCredentialsProvider::new(Credentials::new(
                    access_key_id,
                    secret_access_key,
                    token,
                    None,
                    "landlord-static",
                ))
            }
            Self::AssumeRole { role_arn, external_id, session_name, source } => {
                let source = match source {
                    Some(scope) => Box::pin(scope.uncached(base)).await,
                    None => Box::pin(Self::Default {}.uncached(base)).await,
                };
                let session = if session_name.is_empty() { SESSION_NAME } else { session_name };
                let mut builder = AssumeRoleProvider::builder(role_arn).configure(base).session_name(session);
                if !external_id.is_empty() {
                    builder = builder.external_id(external_id);
                }
                SharedCredentialsProvider::new(builder.build_from_provider(source).await)
            }
        }
    }
}

/// What [`Scope::provider`] is built upon.
pub(crate) fn behavior() -> BehaviorVersion {
    BehaviorVersion::latest()
}

/// Credentials kept until shortly before they end, for the calls that are signed here.
#[derive(Debug)]
struct Cached {
    inner: SharedCredentialsProvider,
    held: Arc<Mutex<Option<Credentials>>>,
}

impl Cached {
    async fn get(&self) -> provider::Result {
        let mut held = self.held.lock().await;
        if let Some(credentials) = held.as_ref() {
            let fresh = credentials.expiry().is_none_or(|end| end > SystemTime::now() + RENEW_BEFORE);
            if fresh {
                return Ok(credentials.clone());
            }
        }
        let credentials = self.inner.provide_credentials().await?;
        // Without an end they may still change in a file: they are requested each time.
        *held = credentials.expiry().map(|_| credentials.clone());
        Ok(credentials)
    }
}

impl ProvideCredentials for Cached {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn the_four_kinds_are_understood() {
        for text in [
            "",
            r#"{"kind":"default"}"#,
            r#"{"kind":"profile","name":"prod"}"#,
            r#"{"kind":"static","access_key_id":"AKIA","secret_access_key":"s"}"#,
            r#"{"kind":"assume_role","role_arn":"arn:aws:iam::111122223333:role/landlord","external_id":"x",
                "source":{"kind":"profile","name":"hub"}}"#,
        ] {
            assert!(Scope::parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn bad_scopes_are_refused_without_quoting_a_secret() {
        for text in [
            r#"{"kind":"static","access_key_id":"AKIA","secret_access_key":"hunter2","extra":"hunter2"}"#,
            r#"{"kind":"static","access_key_id":"","secret_access_key":"hunter2"}"#,
            r#"{"kind":"static","access_key_id":5,"secret_access_key":"hunter2"}"#,
            r#"{"kind":"hunter2"}"#,
            r#"{"kind":"assume_role","role_arn":"hunter2"}"#,
        ] {
            let error = Scope::parse(text.as_bytes()).expect_err(text);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_scope_never_prints_its_secret() {
        let text = r#"{"kind":"static","access_key_id":"AKIA","secret_access_key":"hunter2"}"#;
        let scope = Scope::parse(text.as_bytes()).expect("valid");
        assert!(!format!("{scope:?}").contains("hunter2"));
    }
}
