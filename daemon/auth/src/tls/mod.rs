//! TLS of the listeners: certificate, key and client CA from files, reloaded when the files change.
//!
//! # Guarantees
//! - TLS 1.3 and 1.2 only, by rustls on aws-lc-rs; ALPN `h2`.
//! - New files serve new connections; connections that are open keep what they began with, so none is dropped.
//! - Files that can't be used (missing, half written, a key that is not the certificate's) change nothing: the pair of
//!   before goes on, the log and the metric `landlord_tls_reloads` say so, and the files are read again.

mod figures;
mod reload;

use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

pub use self::{
    figures::TlsFigures,
    reload::{POLL_INTERVAL, Reloader},
};
use crate::{secret_file, small_file};

/// Largest file that is read: a chain and the CAs of a large company have tens of KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// gRPC is HTTP/2.
const ALPN: &[u8] = b"h2";

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Clients may show one; one that no CA of ours has signed is refused.
    Optional,
    /// Clients without one are refused.
    Required,
}

/// The files of one listener.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate chain in PEM, leaf first.
    pub certificate: PathBuf,
    /// Private key in PEM; must not be readable by others.
    pub key: PathBuf,
    /// CAs of clients' certificates in PEM; `None`: clients are not requested one.
    pub client_ca: Option<(PathBuf, ClientAuth)>,
}

/// Files that can't be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{path} can't be read")]
    Read {
        /// File.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is too large to be what it should be.
    #[error("{path} is larger than 1 MiB")]
    TooLarge {
        /// File.
        path: PathBuf,
    },
    /// The key can be read by others than the daemon.
    #[error("{path}: {problem}")]
    KeyExposed {
        /// File.
        path: PathBuf,
        /// By whom, and what to do.
        problem: String,
    },
    /// A file holds nothing of what it should hold.
    #[error("{path} holds no {what} in PEM")]
    Empty {
        /// File.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A file is no PEM.
    #[error("{path} is no PEM")]
    Pem {
        /// File.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not fit together, or one of them can't be used.
    #[error("{certificate} and {key} can't be used together")]
    Pair {
        /// Certificate chain.
        certificate: PathBuf,
        /// Private key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The client CAs can't be used.
    #[error("the client CAs of {path} can't be used: {problem}")]
    ClientCa {
        /// File.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// What the files held when they were read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Content {
    /// Reads all files of a listener.
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let (key, metadata) = read(&files.key)?;
        if let Some(problem) = secret_file::exposure(&metadata) {
            return Err(TlsError::KeyExposed { path: files.key.clone(), problem });
        }
        Ok(Self {
            certificate: read(&files.certificate)?.0,
            key,
            client_ca: files.client_ca.as_ref().map(|(path, _)| Ok(read(path)?.0)).transpose()?,
        })
    }
}

/// Reads and checks the files of one listener.
///
/// # Errors
/// The first problem of them.
pub fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    build(files, &Content::read(files)?)
}

/// From when to when the leaf of a chain holds, Unix time in seconds. `None`: it can't be read, which rustls says better.
pub(crate) fn validity(content: &Content) -> Option<(i64, i64)> {
    let leaf = CertificateDer::pem_slice_iter(&content.certificate).next()?.ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&leaf).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// A server's configuration from what the files held.
pub(crate) fn build(files: &TlsFiles, content: &Content) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(&files.certificate, &content.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|source| match source {
        rustls_pki_types::pem::Error::NoItemsFound => TlsError::Empty { path: files.key.clone(), what: "private key" },
        source => TlsError::Pem { path: files.key.clone(), source },
    })?;
    let pair = |source| TlsError::Pair { certificate: files.certificate.clone(), key: files.key.clone(), source };
    let verifier = client_verifier(files, content, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(pair)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn client_verifier(
    files: &TlsFiles,
    content: &Content,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (Some((path, auth)), Some(pem)) = (&files.client_ca, &content.client_ca) else {
        return Ok(Arc::new(NoClientAuth));
    };
    let unusable =
        |error: &dyn std::fmt::Display| TlsError::ClientCa { path: path.clone(), problem: error.to_string() };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = match auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Required => builder,
    };
    builder.build().map(|verifier| verifier as _).map_err(|error| unusable(&error))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned(), what: "certificate" });
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<(Vec<u8>, Metadata), TlsError> {
    small_file::read(path, FILE_BYTES_MAX).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => TlsError::TooLarge { path: path.to_owned() },
        _ => TlsError::Read { path: path.to_owned(), source },
    })
}
