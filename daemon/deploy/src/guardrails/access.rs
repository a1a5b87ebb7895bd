//! Tokens of a tenant's two accounts, and the rights of the deployer on our own calls.

use std::time::Duration;

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};
use landlord_core::{
    Timestamp,
    guardrails::Place,
    ports::{CUSTOMER_ACCESS_MAX, CUSTOMER_ACCESS_MIN, KubeCredentials, KubeIdentity},
};

use super::{CUSTOMER, DEPLOYER};
use crate::error::{Doing as _, Error, Result};

/// Life of Helm's token: the shortest that the API server issues, and three times the longest run of Helm.
const DEPLOYER_TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Name by which the API server knows the deployer of a place.
pub(crate) fn deployer_user(place: &Place) -> String {
    format!("system:serviceaccount:{}:{DEPLOYER}", place.namespace)
}

/// Access with the deployer's rights, for a process of its own.
pub(crate) async fn deployer(client: &Client, access: &KubeCredentials, place: &Place) -> Result<KubeCredentials> {
    issue(client, access, place, DEPLOYER, DEPLOYER_TOKEN_LIFETIME).await
}

/// Access for the customer.
pub(crate) async fn customer(
    client: &Client,
    access: &KubeCredentials,
    place: &Place,
    lifetime: Duration,
) -> Result<KubeCredentials> {
    issue(client, access, place, CUSTOMER, lifetime.clamp(CUSTOMER_ACCESS_MIN, CUSTOMER_ACCESS_MAX)).await
}

async fn issue(
    client: &Client,
    access: &KubeCredentials,
    place: &Place,
    account: &str,
    lifetime: Duration,
) -> Result<KubeCredentials> {
    let namespace = place.namespace.as_str();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec { expiration_seconds: Some(seconds), ..TokenRequestSpec::default() }),
        ..TokenRequest::default()
    };
    let what = || format!("issuing a token of {namespace}/{account}");
    let issued = match accounts.create_token_request(account, &PostParams::default(), &request).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Err(Error::Unfenced { what: format!("the account {namespace}/{account} does not exist yet") });
        }
        other => other.doing(what)?,
    };
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
