//! Credential scopes: where the plugin's permission to act comes from. Secrets enter here,
//! stay in types that do not print them, and go nowhere else.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    cloud::CloudConfiguration,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{ClientMethodOptions, ClientOptions},
    time::OffsetDateTime,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use landlord_provider_api::ProviderError;
use landlord_provider_sdk::settings::{self, invalid_credential};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{certificate::Certificate, config::Cloud, error::chain, transport::Wire};

/// Within the daemon's deadline for a call. The SDK's own client of the instance's metadata
/// service would try for 72 seconds.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);
/// A given token without a readable end is taken to live this long.
const GIVEN_TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

/// `credential_json`.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Scope {
    /// A service account's token, exchanged for one of the application.
    WorkloadIdentity {
        /// Tenant of the application.
        tenant_id: String,
        /// Application.
        client_id: String,
        /// File that the token is read from, each time. The daemon replaces keys that end in
        /// `_file` by what the file holds, once, and takes no key that speaks of a token; this
        /// one must stay a path, so it has a second name for the daemon's configuration.
        #[serde(alias = "assertion_path")]
        token_file: PathBuf,
    },
    /// The identity of the machine.
    ManagedIdentity {
        /// Client id of a user-assigned identity; empty: the machine's own.
        #[serde(default)]
        client_id: String,
    },
    /// An application with a secret.
    ClientSecret {
        /// Tenant of the application.
        tenant_id: String,
        /// Application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// An application with a certificate.
    ClientCertificate {
        /// Tenant of the application.
        tenant_id: String,
        /// Application.
        client_id: String,
        /// Certificate and RSA key, PEM.
        certificate_pem: SecretString,
    },
    /// A token as it is, for simulators and short tasks.
    AccessToken {
        /// The token.
        token: SecretString,
    },
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::WorkloadIdentity { .. } => "Scope::WorkloadIdentity",
            Self::ManagedIdentity { .. } => "Scope::ManagedIdentity",
            Self::ClientSecret { .. } => "Scope::ClientSecret",
            Self::ClientCertificate { .. } => "Scope::ClientCertificate",
            Self::AccessToken { .. } => "Scope::AccessToken",
        })
    }
}

const REMEDY: &str = "its kind is workload_identity, managed_identity, client_secret, client_certificate or access_token; see the plugin's README";

fn invalid(why: impl std::fmt::Display) -> ProviderError {
    invalid_credential(why, REMEDY)
}

impl Scope {
    /// Parses a scope; empty is the machine's identity.
    ///
    /// # Errors
    /// INVALID. The message never holds a value, only the parser's view of the form.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ProviderError> {
        if bytes.is_empty() {
            return Ok(Self::ManagedIdentity { client_id: String::new() });
        }
        let scope: Self = settings::credential(bytes, REMEDY)?;
        for (name, empty) in scope.required() {
            if empty {
                return Err(invalid(format!("{name} is empty")));
            }
        }
        Ok(scope)
    }

    /// Required fields, and whether each is empty.
    fn required(&self) -> Vec<(&'static str, bool)> {
        match self {
            Self::WorkloadIdentity { tenant_id, client_id, token_file } => vec![
                ("tenant_id", tenant_id.is_empty()),
                ("client_id", client_id.is_empty()),
                ("token_file", token_file.as_os_str().is_empty()),
            ],
            Self::ManagedIdentity { .. } => Vec::new(),
            Self::ClientSecret { tenant_id, client_id, client_secret: secret }
            | Self::ClientCertificate { tenant_id, client_id, certificate_pem: secret } => vec![
                ("tenant_id", tenant_id.is_empty()),
                ("client_id", client_id.is_empty()),
                ("the secret", secret.expose_secret().is_empty()),
            ],
            Self::AccessToken { token } => vec![("token", token.expose_secret().is_empty())],
        }
    }

    /// The credential. Reaches out, and reads files, only when requested a token.
    ///
    /// # Errors
    /// INVALID for a tenant or certificate that cannot be one.
    pub(crate) fn credential(
        &self,
        wire: &Arc<Wire>,
        cloud: &Cloud,
    ) -> Result<Arc<dyn TokenCredential>, ProviderError> {
        let client_options =
            || ClientOptions { cloud: Some(Arc::new(CloudConfiguration::from(*cloud))), ..wire.options() };
        let refused = |e: azure_core::Error| invalid(chain(&e));
        let inner: Arc<dyn TokenCredential> = match self {
            Self::WorkloadIdentity { tenant_id, client_id, token_file } => {
                assertion(tenant_id, client_id, TokenFile(token_file.clone()), client_options()).map_err(refused)?
            }
            Self::ManagedIdentity { client_id } => {
                let id = (!client_id.is_empty()).then(|| UserAssignedId::ClientId(client_id.clone()));
                let options =
                    ManagedIdentityCredentialOptions { user_assigned_id: id, client_options: client_options() };
                ManagedIdentityCredential::new(Some(options)).map_err(refused)?
            }
            Self::ClientSecret { tenant_id, client_id, client_secret } => {
                let options = ClientSecretCredentialOptions { client_options: client_options() };
                let secret = client_secret.expose_secret().to_owned().into();
                ClientSecretCredential::new(tenant_id, client_id.clone(), secret, Some(options)).map_err(refused)?
            }
            Self::ClientCertificate { tenant_id, client_id, certificate_pem } => {
                let audience = format!("{}/{tenant_id}/oauth2/v2.0/token", cloud.authority());
                let certificate = Certificate::parse(certificate_pem.expose_secret(), client_id, audience);
                let certificate = certificate.map_err(|why| invalid(format!("certificate_pem: {why}")))?;
                assertion(tenant_id, client_id, certificate, client_options()).map_err(refused)?
            }
            Self::AccessToken { token } => Arc::new(Given(token.clone())),
        };
        Ok(Arc::new(Bounded(inner)))
    }
}

fn assertion<A: ClientAssertion + 'static>(
    tenant_id: &str,
    client_id: &str,
    assertion: A,
    client_options: ClientOptions,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = ClientAssertionCredentialOptions { client_options };
    Ok(ClientAssertionCredential::new(tenant_id.to_owned(), client_id.to_owned(), assertion, Some(options))?)
}

/// A file that Kubernetes renews; read each time, since azure_identity's own credential reads
/// it already when it is made.
#[derive(Debug)]
struct TokenFile(PathBuf);

#[async_trait]
impl ClientAssertion for TokenFile {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        tokio::fs::read_to_string(&self.0).await.map(|text| text.trim().to_owned()).map_err(|e| {
            let message = format!("the token file {} cannot be read: {e}", self.0.display());
            azure_core::Error::with_message(azure_core::error::ErrorKind::Credential, message)
        })
    }
}

/// A token that was given as it is.
#[derive(Debug)]
struct Given(SecretString);

#[async_trait]
impl TokenCredential for Given {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.0.expose_secret();
        let end = expiry(token).unwrap_or_else(|| OffsetDateTime::now_utc() + GIVEN_TOKEN_LIFETIME);
        Ok(AccessToken::new(token.to_owned(), end))
    }
}

/// `exp` of a JWT.
fn expiry(token: &str) -> Option<OffsetDateTime> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    OffsetDateTime::from_unix_timestamp(claims["exp"].as_i64()?).ok()
}

/// A credential that gives up in time.
#[derive(Debug)]
struct Bounded(Arc<dyn TokenCredential>);

#[async_trait]
impl TokenCredential for Bounded {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        match tokio::time::timeout(TOKEN_TIMEOUT, self.0.get_token(scopes, options)).await {
            Ok(result) => result,
            Err(_) => Err(azure_core::Error::with_message(
                azure_core::error::ErrorKind::Io,
                format!("no access token came within {} s", TOKEN_TIMEOUT.as_secs()),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, expiry};
    use crate::{config::Cloud, transport::Wire};

    #[test]
    fn every_kind_is_understood() {
        for text in [
            "",
            r#"{"kind":"managed_identity"}"#,
            r#"{"kind":"managed_identity","client_id":"c"}"#,
            r#"{"kind":"workload_identity","tenant_id":"t","client_id":"c","token_file":"/does/not/exist"}"#,
            r#"{"kind":"workload_identity","tenant_id":"t","client_id":"c","assertion_path":"/does/not/exist"}"#,
            r#"{"kind":"client_secret","tenant_id":"t","client_id":"c","client_secret":"s"}"#,
            r#"{"kind":"access_token","token":"t"}"#,
        ] {
            let wire = Wire::new(None).expect("a client");
            let scope = Scope::parse(text.as_bytes()).expect(text);
            assert!(scope.credential(&wire, &Cloud::Public).is_ok(), "{text}");
        }
    }

    #[test]
    fn bad_scopes_are_refused_without_quoting_a_secret() {
        let wire = Wire::new(None).expect("a client");
        for text in [
            r#"{"kind":"client_secret","tenant_id":"t","client_id":"c","client_secret":"hunter2","extra":"hunter2"}"#,
            r#"{"kind":"client_secret","tenant_id":"","client_id":"c","client_secret":"hunter2"}"#,
            r#"{"kind":"client_secret","tenant_id":"a b","client_id":"c","client_secret":"hunter2"}"#,
            r#"{"kind":"client_secret","tenant_id":5,"client_id":"c","client_secret":"hunter2"}"#,
            r#"{"kind":"client_certificate","tenant_id":"t","client_id":"c","certificate_pem":"hunter2"}"#,
            r#"{"kind":"access_token","token":""}"#,
            r#"{"kind":"hunter2"}"#,
        ] {
            let made = Scope::parse(text.as_bytes()).and_then(|s| s.credential(&wire, &Cloud::Public));
            let error = made.map(drop).expect_err(text);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_scope_never_prints_its_secret() {
        let text = r#"{"kind":"client_secret","tenant_id":"t","client_id":"c","client_secret":"hunter2"}"#;
        let scope = Scope::parse(text.as_bytes()).expect("valid");
        let credential = scope.credential(&Wire::new(None).expect("a client"), &Cloud::Public).expect("a credential");
        assert!(!format!("{scope:?}{credential:?}").contains("hunter2"));
    }

    #[test]
    fn the_end_of_a_jwt_is_read() {
        use base64::Engine as _;
        let claims = super::URL_SAFE_NO_PAD.encode(r#"{"exp":1764000000}"#);
        assert_eq!(expiry(&format!("h.{claims}.s")).map(|t| t.unix_timestamp()), Some(1_764_000_000));
        assert_eq!(expiry("sim-subscription-x"), None);
    }
}
