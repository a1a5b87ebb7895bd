//! A chosen context with its files read: who we are to which API server. Goes to the daemon as the
//! contract's message and becomes our own client.

use std::{path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{Client, Config, config::AuthInfo};
use landlord_provider_api::{ProviderError, v1};
use prost_types::Timestamp;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{
    error::invalid,
    expiry,
    files::{read_referenced, read_referenced_private},
    kubeconfig::{Chosen, Problems, User},
};

/// An API server across the world completes a handshake in well under this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// With the connect timeout, well below what the daemon gives a call (60 s).
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Who we are.
enum Identity {
    Token(SecretString),
    Certificate { certificate_pem: SecretString, key_pem: SecretString },
}

/// Access to one API server.
pub(crate) struct Access {
    pub(crate) cluster_name: String,
    pub(crate) endpoint: String,
    pub(crate) ca_pem: String,
    identity: Identity,
    expire_time: Option<Timestamp>,
}

impl Access {
    /// Reads the files that a context names; they lie beside the kubeconfig, in `folder`.
    ///
    /// # Errors
    /// INVALID.
    pub(crate) fn resolve(chosen: Chosen, folder: Option<&Path>) -> Result<Self, ProviderError> {
        let Chosen { cluster_name, cluster, user_name, user } = chosen;
        let ca_pem = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            (Some(data), _) => decode("certificate-authority-data", data)?,
            (None, Some(path)) => read_referenced(path, folder)?,
            (None, None) => SecretString::default(),
        };
        let ca_pem = ca_pem.expose_secret().to_owned();
        let mut problems = Problems::default();
        if !is_pem_of_certificates(&ca_pem) {
            problems.add(
                format!("the certificate authority of cluster {cluster_name:?} holds no PEM certificate"),
                "put the PEM of the cluster's authority there; -data keys hold it in base64",
            );
        }
        let (identity, expire_time) = identity(&user_name, &user, folder, &mut problems)?;
        problems.end()?;
        Ok(Self { cluster_name, endpoint: cluster.server, ca_pem, identity, expire_time })
    }

    /// Distinguishes accesses without keeping their secrets.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let (kind, first, second) = match &self.identity {
            Identity::Token(token) => ("token", token.expose_secret(), ""),
            Identity::Certificate { certificate_pem, key_pem } => {
                ("certificate", certificate_pem.expose_secret(), key_pem.expose_secret())
            }
        };
        let mut digest = Sha256::new();
        for part in [&self.endpoint, &self.ca_pem, kind, first, second] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// As the contract's message.
    pub(crate) fn message(self) -> v1::KubeAccess {
        let plain = |secret: SecretString| secret.expose_secret().to_owned();
        let (token, client_certificate_pem, client_key_pem) = match self.identity {
            Identity::Token(token) => (plain(token), String::new(), String::new()),
            Identity::Certificate { certificate_pem, key_pem } => {
                (String::new(), plain(certificate_pem), plain(key_pem))
            }
        };
        v1::KubeAccess {
            endpoint: self.endpoint,
            ca_pem: self.ca_pem,
            token,
            expire_time: self.expire_time,
            client_certificate_pem,
            client_key_pem,
        }
    }

    /// A client; connects when first used. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// INVALID: certificate and key do not belong together, or are of a kind that TLS does not know.
    pub(crate) fn client(&self) -> Result<Client, ProviderError> {
        let unusable = |problem: String| {
            invalid(
                format!("the kubeconfig can't be used: {problem}"),
                "check server, certificate authority, client certificate and client key of the context",
            )
        };
        let endpoint = self.endpoint.parse().map_err(|_| unusable("server is no URL".into()))?;
        let mut config = Config::new(endpoint);
        let authorities = CertificateDer::pem_slice_iter(self.ca_pem.as_bytes()).flatten();
        config.root_cert = Some(authorities.map(|der| der.to_vec()).collect());
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        config.default_retry = false;
        config.auth_info = match &self.identity {
            Identity::Token(token) => {
                AuthInfo { token: Some(token.expose_secret().to_owned().into()), ..AuthInfo::default() }
            }
            Identity::Certificate { certificate_pem, key_pem } => AuthInfo {
                client_certificate_data: Some(BASE64_STANDARD.encode(certificate_pem.expose_secret())),
                client_key_data: Some(BASE64_STANDARD.encode(key_pem.expose_secret()).into()),
                ..AuthInfo::default()
            },
        };
        Client::try_from(config).map_err(|error| unusable(error.to_string()))
    }
}

/// As client-go has it: a client certificate proves who we are before a token is inspected, a
/// `tokenFile` wins over a `token`, and `-data` wins over a file.
fn identity(
    name: &str,
    user: &User,
    folder: Option<&Path>,
    problems: &mut Problems,
) -> Result<(Identity, Option<Timestamp>), ProviderError> {
    let certificate_pem = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => Some(decode("client-certificate-data", data.expose_secret())?),
        (None, Some(path)) => Some(read_referenced(path, folder)?),
        (None, None) => None,
    };
    let key_pem = match (&user.client_key_data, &user.client_key) {
        (Some(data), _) => Some(decode("client-key-data", data.expose_secret())?),
        (None, Some(path)) => Some(read_referenced_private(path, folder)?),
        (None, None) => None,
    };
    if let (Some(certificate_pem), Some(key_pem)) = (certificate_pem, key_pem) {
        let first = CertificateDer::pem_slice_iter(certificate_pem.expose_secret().as_bytes()).next();
        let Some(Ok(first)) = first else {
            problems.add(format!("the client certificate of user {name:?} holds no PEM certificate"), "correct it");
            return Ok((Identity::Certificate { certificate_pem, key_pem }, None));
        };
        if PrivateKeyDer::from_pem_slice(key_pem.expose_secret().as_bytes()).is_err() {
            problems.add(
                format!("the client key of user {name:?} is no PEM private key that is not encrypted"),
                "decrypt it, for example with `openssl pkey`, or correct it",
            );
        }
        let expire_time = expiry::of_certificate(&first);
        return Ok((Identity::Certificate { certificate_pem, key_pem }, expire_time));
    }
    let token = match (&user.token_file, &user.token) {
        (Some(path), _) => read_referenced(path, folder)?.expose_secret().trim().to_owned(),
        (None, Some(token)) => token.expose_secret().trim().to_owned(),
        (None, None) => String::new(),
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        problems.add(
            format!("the token of user {name:?} is empty or no token"),
            "put the bearer token there, and nothing else",
        );
    }
    let expire_time = expiry::of_token(&token);
    Ok((Identity::Token(token.into()), expire_time))
}

fn decode(key: &str, base64: &str) -> Result<SecretString, ProviderError> {
    let compact: String = base64.split_ascii_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(compact).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(SecretString::from).ok_or_else(|| {
        invalid(
            format!("the kubeconfig can't be used: {key} is no base64 of a PEM"),
            "write it as `base64 -w0 FILE` prints it",
        )
    })
}

fn is_pem_of_certificates(pem: &str) -> bool {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        if certificate.is_err() {
            return false;
        }
        count += 1;
    }
    count > 0
}
