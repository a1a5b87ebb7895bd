//! Asking a control plane whether it works, as its administrator; how whoever else asks an API server reaches it.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    credentials::Credentials,
    error::{Error, Result},
};

/// What the API server still lacks.
pub(crate) async fn apiserver(client: &kube::Client) -> Result<(), String> {
    let request = http_get("/readyz").map_err(|error| error.to_string())?;
    client.request_text(request).await.map(|_| ()).map_err(|error| error.to_string())
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>, http::Error> {
    http::Request::get(path).body(Vec::new())
}

/// What the controllers still have to do.
pub(crate) async fn controllers(client: &kube::Client) -> Result<(), String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    match accounts.get_opt("default").await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("the controllers have made no service account yet".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// The way to an API server that is believed by its own certificate authority (PEM) alone, for somebody without credentials.
///
/// # Errors
/// [`Error::Damaged`]: no URL, no certificate.
pub fn client_config(endpoint: &str, ca_pem: &str) -> Result<kube::Config> {
    // Whoever comes first decides; all have the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let damaged = |what| Error::Damaged { what, path: endpoint.into() };
    let authority = CertificateDer::from_pem_slice(ca_pem.as_bytes());
    let authority = authority.map_err(|_| damaged("the certificate authority"))?;
    let mut config = kube::Config::new(endpoint.parse().map_err(|_| damaged("the endpoint"))?);
    config.root_cert = Some(vec![authority.to_vec()]);
    Ok(config)
}

/// A client with the administrator's rights.
pub(crate) fn client(endpoint: &str, credentials: &Credentials) -> Result<kube::Client> {
    let mut config = client_config(endpoint, &credentials.ca_pem)?;
    config.auth_info.token = Some(credentials.admin_token.clone().into());
    kube::Client::try_from(config).map_err(Error::kubernetes("making a client"))
}
