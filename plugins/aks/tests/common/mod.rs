//! The cloud that the tests work on, and the tenant that they drive on it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use landlord_plugin_aks::Aks;
use landlord_provider_api::v1;
use landlord_test_driver::Cloud;
pub use landlord_test_driver::{DOMAIN, Made, records};

pub type Flow = landlord_test_driver::Flow<Aks>;

pub const REGION: &str = "westeurope";
pub const SUBSCRIPTION: &str = "11111111-2222-4333-8444-555555555555";
pub const UID: &str = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";
pub const PARAMETERS: &str = r#"{"public_access_cidrs":["203.0.113.0/24"],"kubernetes_version":"1.34"}"#;
pub const CLOUD: Cloud =
    Cloud { region: REGION, account: SUBSCRIPTION, machine_type: "Standard_D4s_v5", parameters: PARAMETERS };

/// A token of a subscription's owner, as the simulator takes it.
pub fn token(subscription: &str) -> String {
    format!(r#"{{"kind":"access_token","token":"sim-{subscription}-test"}}"#)
}

pub async fn provider(url: &str, credential: &str, config: &str) -> Aks {
    landlord_test_driver::provider(url, credential, config).await
}

pub async fn flow(url: &str, credential: &str) -> Flow {
    Flow::new(&CLOUD, url, credential, UID).await
}

/// A tenant with nodes of its own in the cluster that `host` made.
pub async fn neighbour(url: &str, credential: &str, uid: &str, host: &Made) -> (Flow, Made) {
    Flow::new(&CLOUD, url, credential, uid).await.in_shared(host)
}

pub fn scope(uid: &str) -> v1::Scope {
    CLOUD.scope(uid)
}
