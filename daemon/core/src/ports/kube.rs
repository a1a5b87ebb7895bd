//! Access to Kubernetes API servers, as the parts of the daemon hand it to each other. Knows no
//! client of Kubernetes; secrets are in types that do not print them.

use std::time::Duration;

use async_trait::async_trait;
use landlord_provider_api::v1;
use secrecy::SecretString;

use crate::{Environment, ErrorKind, Failure, Timestamp};

/// Who a client of an API server is: one or the other, never both.
#[derive(Debug, Clone)]
pub enum KubeIdentity {
    /// A bearer token.
    Token(SecretString),
    /// A client certificate.
    ClientCertificate {
        /// PEM of the certificate, its intermediate authorities after it.
        certificate_pem: SecretString,
        /// PEM of its private key.
        key_pem: SecretString,
    },
}

/// Access to a Kubernetes API server.
#[derive(Debug, Clone)]
pub struct KubeCredentials {
    /// URL of the API server.
    pub endpoint: String,
    /// PEM of its certificate authority.
    pub ca_pem: String,
    /// Who we are there.
    pub identity: KubeIdentity,
    /// When the identity stops working; `None`: not known.
    pub expire_time: Option<Timestamp>,
}

impl TryFrom<v1::KubeAccess> for KubeCredentials {
    type Error = Failure;

    /// # Errors
    /// INTERNAL: the plugin gave neither a token nor a whole client certificate, or both.
    fn try_from(access: v1::KubeAccess) -> Result<Self, Failure> {
        let certificate = (!access.client_certificate_pem.is_empty(), !access.client_key_pem.is_empty());
        let identity = match (!access.token.is_empty(), certificate) {
            (true, (false, false)) => KubeIdentity::Token(access.token.into()),
            (false, (true, true)) => KubeIdentity::ClientCertificate {
                certificate_pem: access.client_certificate_pem.into(),
                key_pem: access.client_key_pem.into(),
            },
            _ => {
                let problem = format!(
                    "the plugin's access to {} must carry either a token or a client certificate with its key",
                    access.endpoint
                );
                return Err(Failure::new(ErrorKind::Internal, problem).with_remedy("report it to the plugin's authors"));
            }
        };
        let expire_time = access.expire_time.map(|time| {
            Timestamp(time.seconds.saturating_mul(1_000).saturating_add(i64::from(time.nanos / 1_000_000)))
        });
        Ok(Self { endpoint: access.endpoint, ca_pem: access.ca_pem, identity, expire_time })
    }
}

/// What a customer gets of the cluster that its tenant lives in.
#[derive(Debug, Clone)]
pub struct CustomerAccess {
    /// Access with the rights of the customer's service account and no others.
    pub kube: KubeCredentials,
    /// The tenant's namespace, where those rights hold.
    pub namespace: String,
}

/// Issues short-lived access to tenants' API servers.
#[async_trait]
pub trait KubeAccess: Send + Sync + 'static {
    /// Access for an operator: the rights of the daemon itself. Changes nothing anywhere.
    ///
    /// # Errors
    /// CONFLICT while the tenant has no cluster yet, or where access that ends soon can't be had; else as
    /// [`Failure::kind`] says.
    async fn access(&self, tenant: &Environment) -> Result<KubeCredentials, Failure>;

    /// Access for the customer: the rights of the tenant's own service account, for `duration`. The API server keeps
    /// no record of it, and it can't be taken back before it ends but with the account.
    ///
    /// # Errors
    /// CONFLICT: the tenant is not built yet, its isolation is not recorded as standing, or it has no account for its
    /// customer at its level; else as [`Failure::kind`] says.
    async fn customer_access(&self, tenant: &Environment, duration: Duration) -> Result<CustomerAccess, Failure>;
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn access(token: &str, certificate: &str, key: &str) -> v1::KubeAccess {
        v1::KubeAccess {
            endpoint: "https://kube.example.com".into(),
            ca_pem: "PEM".into(),
            token: token.into(),
            client_certificate_pem: certificate.into(),
            client_key_pem: key.into(),
            expire_time: Some((UNIX_EPOCH + Duration::from_millis(60_005)).into()),
        }
    }

    #[test]
    fn a_token_or_a_whole_certificate_and_not_both() {
        let cases = [
            ("t", "", "", true),
            ("", "c", "k", true),
            ("", "", "", false),
            ("t", "c", "k", false),
            ("t", "c", "", false),
            ("t", "", "k", false),
            ("", "c", "", false),
            ("", "", "k", false),
        ];
        for (token, certificate, key, fine) in cases {
            let found = KubeCredentials::try_from(access(token, certificate, key));
            assert_eq!(found.is_ok(), fine, "{token:?} {certificate:?} {key:?}");
            if let Ok(found) = found {
                assert_eq!(found.expire_time, Some(Timestamp(60_005)));
            }
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        for given in [access("hunter2", "", ""), access("", "hunter2", "hunter2")] {
            assert!(!format!("{given:?}").contains("hunter2"));
            let found = KubeCredentials::try_from(given).unwrap();
            assert!(!format!("{found:?}").contains("hunter2"));
        }
        let broken = KubeCredentials::try_from(access("hunter2", "hunter2", "")).unwrap_err();
        assert!(!format!("{broken:?}").contains("hunter2"));
    }
}
