//! Tokens of service accounts, issued by the API server for a bounded time.

use std::time::Duration;

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};
use landlord_core::{
    Timestamp,
    ports::{KubeCredentials, KubeIdentity},
};

use crate::{
    absent::known,
    error::{Doing as _, Error, Result},
};

/// Name by which the API server knows a service account.
#[must_use]
pub fn user_of(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// Access as a service account, for `lifetime`, which the API server may lengthen to 10 minutes.
///
/// # Errors
/// [`Error::AccountMissing`]; else what the API server says.
pub async fn issue(
    client: &Client,
    access: &KubeCredentials,
    namespace: &str,
    account: &str,
    lifetime: Duration,
) -> Result<KubeCredentials> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec { expiration_seconds: Some(seconds), ..TokenRequestSpec::default() }),
        ..TokenRequest::default()
    };
    let what = || format!("issuing a token of {namespace}/{account}");
    let issued = known(accounts.create_token_request(account, &PostParams::default(), &request).await).doing(what)?;
    let missing = || Error::AccountMissing { account: format!("{namespace}/{account}") };
    let issued = issued.ok_or_else(missing)?;
    let issued = issued.status.and_then(|status| Some((status.token?, status.expiration_timestamp?)));
    let Some((token, expires)) = issued else {
        return Err(Error::Access { problem: format!("the API server issued no token for {namespace}/{account}") });
    };
    Ok(KubeCredentials {
        endpoint: access.endpoint.clone(),
        ca_pem: access.ca_pem.clone(),
        identity: KubeIdentity::Token(token.into()),
        expire_time: Some(Timestamp(expires.0.as_millisecond())),
    })
}
