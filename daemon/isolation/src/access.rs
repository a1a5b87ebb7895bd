//! Tokens of the customer's account.

use std::time::Duration;

use kube::Client;
use landlord_core::{
    isolation::SharedTarget,
    ports::{CUSTOMER_ACCESS_MAX, CUSTOMER_ACCESS_MIN, KubeCredentials},
};
use landlord_kube::{Result, markers::CUSTOMER, token};

/// Access for the customer.
pub(crate) async fn customer(
    client: &Client,
    access: &KubeCredentials,
    place: &SharedTarget,
    lifetime: Duration,
) -> Result<KubeCredentials> {
    let lifetime = lifetime.clamp(CUSTOMER_ACCESS_MIN, CUSTOMER_ACCESS_MAX);
    token::issue(client, access, place.namespace.as_str(), CUSTOMER, lifetime).await
}
