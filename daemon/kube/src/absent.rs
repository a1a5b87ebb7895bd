//! Towards absence: what is gone already is success, and how long something has been on its way out.

use std::time::{Duration, SystemTime};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Preconditions};

/// Annotation that a dynamic provisioner sets: only its volumes are released by somebody.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// A load balancer takes minutes to go. What has been ending for longer than this is held by something that does not run any more.
const STUCK_AFTER: Duration = Duration::from_secs(600);

/// Why something will not end, if it has been at it for too long. `why`: what holds it, in words.
#[must_use]
pub fn stuck(what: &str, started: &Time, why: &str) -> Option<String> {
    let waited = since(started);
    (waited > STUCK_AFTER).then(|| format!("{what} has been ending for {} minutes; {why}", waited.as_secs() / 60))
}

/// Takes "not found" for success.
///
/// # Errors
/// Every other error as it is.
pub fn gone_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    known(result).map(drop)
}

/// Takes "not found" for `None`: of a list it says that the cluster does not know the kind, of an object that there is none.
///
/// # Errors
/// Every other error as it is.
pub fn known<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        other => other.map(Some),
    }
}

/// Deletes exactly the object with this uid: one that was recreated under its name since is somebody else's.
#[must_use]
pub fn exactly(uid: Option<String>) -> DeleteParams {
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::background() }
}

/// How long ago it was by this machine's clock; zero for what is still to come.
#[must_use]
pub fn since(time: &Time) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(u64::try_from(time.0.as_second()).unwrap_or_default()))
}
