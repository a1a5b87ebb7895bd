//! Towards absence: what is gone already is success, and how long something has been on its way out.

use std::time::{Duration, SystemTime};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Annotation that a dynamic provisioner sets: only its volumes are released by somebody.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Takes "not found" for success.
///
/// # Errors
/// Every other error as it is.
pub fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// How long ago it was by this machine's clock; zero for what is still to come.
#[must_use]
pub fn since(time: &Time) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(u64::try_from(time.0.as_second()).unwrap_or_default()))
}
