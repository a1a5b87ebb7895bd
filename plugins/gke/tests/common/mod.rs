//! The cloud that the tests work on, and the tenant that they drive on it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use landlord_plugin_gke::Gke;
use landlord_provider_api::v1;
use landlord_test_driver::Cloud;
pub use landlord_test_driver::{DOMAIN, Made};

pub type Flow = landlord_test_driver::Flow<Gke>;

pub const REGION: &str = "europe-west1";
pub const PROJECT: &str = "acme-prod-4711";
pub const UID: &str = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";
pub const PARAMETERS: &str = r#"{"public_access_cidrs":["203.0.113.0/24"],"kubernetes_version":"1.35"}"#;
pub const CLOUD: Cloud =
    Cloud { region: REGION, account: PROJECT, machine_type: "e2-standard-4", parameters: PARAMETERS };

/// A token of an owner of a project of the simulator.
pub fn token(project: &str) -> String {
    format!(r#"{{"kind":"access_token","token":"ya29.sim-{project}.test"}}"#)
}

pub async fn provider(url: &str, credential: &str, config: &str) -> Gke {
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
