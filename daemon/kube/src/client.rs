//! Access to a tenant's API server: a client for us, a file for Helm. Token or client key are in
//! memory or in a file of mode 0600, never in arguments or environment.

use std::{collections::HashMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, Request};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
    config::AuthInfo,
};
use landlord_core::{
    ErrorKind, Failure,
    ports::{KubeCredentials, KubeIdentity},
};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::{
    error::{Error, Result},
    traced::TracedLayer,
};

/// An API server across the world completes a handshake in well under this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The API server itself ends requests after 60 s.
const READ_TIMEOUT: Duration = Duration::from_secs(65);
/// Clients kept for their open connection, about 100 KB each. Past it all are recreated.
const CLIENTS_MAX: usize = 512;
/// <https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/>
const IMPERSONATE: HeaderName = HeaderName::from_static("impersonate-user");

/// How a tenant's cluster is talked to.
#[derive(Clone)]
pub struct ClusterClients {
    /// With the daemon's own rights: for what is not the tenant's.
    pub admin: Client,
    /// For everything of the apps: on a shared cluster with the rights of the tenant's deployer, else the same.
    pub tenant: Client,
}

/// Clients by what they connect with: tenants of one host cluster share one, and its connections.
#[derive(Default)]
pub struct Clients {
    known: Mutex<HashMap<[u8; 32], Client>>,
}

impl Clients {
    /// A client for a cluster; connects when first used.
    ///
    /// # Errors
    /// [`Error::Access`].
    pub fn get(&self, access: &KubeCredentials) -> Result<Client> {
        let key = digest(access);
        if let Some(client) = self.known.lock().get(&key) {
            return Ok(client.clone());
        }
        let client = connect(access)?;
        let mut known = self.known.lock();
        if known.len() >= CLIENTS_MAX {
            known.clear();
        }
        known.insert(key, client.clone());
        Ok(client)
    }

    /// Makes a call with a client for `access`. A client whose token was refused is not used again.
    ///
    /// # Errors
    /// The call's own, as a failure.
    pub async fn call<T, E>(
        &self,
        access: &KubeCredentials,
        call: impl AsyncFnOnce(Client) -> Result<T, E>,
    ) -> Result<T, Failure>
    where
        E: Into<Failure>,
    {
        let result = match self.get(access) {
            Ok(client) => {
                let span = tracing::debug_span!("kubernetes", endpoint = access.endpoint);
                call(client).instrument(span).await.map_err(Into::into)
            }
            Err(error) => Err(Failure::from(error)),
        };
        if result.as_ref().is_err_and(|failure| failure.kind == ErrorKind::Auth) {
            self.forget(access);
        }
        result
    }

    /// Drops the client of an access that was refused: it is not used again.
    pub fn forget(&self, access: &KubeCredentials) {
        self.known.lock().remove(&digest(access));
    }
}

/// Distinguishes accesses without keeping their secrets.
fn digest(access: &KubeCredentials) -> [u8; 32] {
    let mut digest = Sha256::new();
    let (kind, first, second) = match &access.identity {
        KubeIdentity::Token(token) => ("token", token.expose_secret(), ""),
        KubeIdentity::ClientCertificate { certificate_pem, key_pem } => {
            ("certificate", certificate_pem.expose_secret(), key_pem.expose_secret())
        }
    };
    for part in [&access.endpoint, &access.ca_pem, kind, first, second] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// A client that requests everything as somebody else, with that one's rights only, over the connections of `client`.
/// The API server adds the groups of a service account by itself.
///
/// # Errors
/// [`Error::Access`]: `user` can't be sent as a name.
pub fn acting_as(client: &Client, user: &str) -> Result<Client> {
    let user = HeaderValue::from_str(user).map_err(|_| Error::Access { problem: "the account has no name".into() })?;
    let client = client.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        request.headers_mut().insert(IMPERSONATE, user.clone());
        let client = client.clone();
        async move { client.send(request).await }
    });
    Ok(Client::new(service, "default"))
}

fn connect(access: &KubeCredentials) -> Result<Client> {
    let unusable = |problem: String| Error::Access { problem };
    let endpoint: http::Uri =
        access.endpoint.parse().map_err(|_| unusable(format!("{:?} is no URL", access.endpoint)))?;
    if endpoint.scheme_str() != Some("https") {
        // A token would be readable on the way, and a certificate would prove nothing.
        return Err(unusable(format!("{endpoint} is not https")));
    }
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(access.ca_pem.as_bytes()).map(|der| der.map(|der| der.to_vec())).collect();
    let certificates = certificates.map_err(|_| unusable("its certificate authority is no PEM".into()))?;
    if certificates.is_empty() {
        return Err(unusable("it has no certificate authority".into()));
    }
    let mut config = Config::new(endpoint);
    config.root_cert = Some(certificates);
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    config.auth_info = auth_info(&access.identity);
    let builder = ClientBuilder::try_from(config).map_err(|error| unusable(error.to_string()))?;
    Ok(builder.with_layer(&TracedLayer).build())
}

fn auth_info(identity: &KubeIdentity) -> AuthInfo {
    match identity {
        KubeIdentity::Token(token) => {
            AuthInfo { token: Some(token.expose_secret().to_owned().into()), ..AuthInfo::default() }
        }
        KubeIdentity::ClientCertificate { certificate_pem, key_pem } => AuthInfo {
            client_certificate_data: Some(BASE64_STANDARD.encode(certificate_pem.expose_secret())),
            client_key_data: Some(BASE64_STANDARD.encode(key_pem.expose_secret()).into()),
            ..AuthInfo::default()
        },
    }
}

/// The same access as a kubeconfig (JSON is YAML). Holds the secret: for a file of mode 0600.
pub fn kubeconfig(access: &KubeCredentials) -> String {
    let ca = BASE64_STANDARD.encode(&access.ca_pem);
    let user = match &access.identity {
        KubeIdentity::Token(token) => json!({ "token": token.expose_secret() }),
        KubeIdentity::ClientCertificate { certificate_pem, key_pem } => json!({
            "client-certificate-data": BASE64_STANDARD.encode(certificate_pem.expose_secret()),
            "client-key-data": BASE64_STANDARD.encode(key_pem.expose_secret()),
        }),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "tenant", "cluster": { "server": access.endpoint, "certificate-authority-data": ca } }],
        "users": [{ "name": "landlord", "user": user }],
        "contexts": [{ "name": "tenant", "context": { "cluster": "tenant", "user": "landlord" } }],
        "current-context": "tenant",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(endpoint: &str, identity: KubeIdentity) -> KubeCredentials {
        KubeCredentials { endpoint: endpoint.into(), ca_pem: String::new(), identity, expire_time: None }
    }

    fn token(token: &str) -> KubeIdentity {
        KubeIdentity::Token(token.to_owned().into())
    }

    fn certificate(certificate: &str, key: &str) -> KubeIdentity {
        let (certificate_pem, key_pem) = (certificate.to_owned().into(), key.to_owned().into());
        KubeIdentity::ClientCertificate { certificate_pem, key_pem }
    }

    #[test]
    fn unusable_access_is_refused() {
        for (endpoint, part) in [("http://x", "not https"), ("::", "no URL"), ("https://x", "no certificate")] {
            let Err(error) = connect(&access(endpoint, token("t"))) else { panic!("{endpoint}") };
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn every_identity_has_a_client_of_its_own() {
        let identities = [token("a"), token("ab"), certificate("a", "b"), certificate("ab", ""), certificate("a", "c")];
        let digests = identities.map(|identity| digest(&access("https://x", identity)));
        let different: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(different.len(), digests.len());
    }

    #[test]
    fn a_kubeconfig_names_one_identity() {
        let user = |identity| {
            let text = kubeconfig(&access("https://x", identity));
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["users"][0]["user"].clone()
        };
        assert_eq!(user(token("t")), json!({ "token": "t" }));
        let expected = json!({ "client-certificate-data": "Yw==", "client-key-data": "aw==" });
        assert_eq!(user(certificate("c", "k")), expected);
    }
}
