//! Asking a control plane whether it works, as its administrator.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;

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

/// A client with the administrator's rights.
pub(crate) fn client(endpoint: &str, credentials: &Credentials) -> Result<kube::Client> {
    let damaged = |_| Error::Damaged { what: "the endpoint", path: endpoint.into() };
    let mut config = kube::Config::new(endpoint.parse().map_err(damaged)?);
    config.root_cert = Some(vec![credentials.ca_der()?]);
    config.auth_info.token = Some(credentials.admin_token.clone().into());
    kube::Client::try_from(config).map_err(Error::kubernetes("making a client"))
}
