//! Short-lived access to tenants' API servers, kept in memory until shortly before it ends.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use landlord_core::{Failure, TenantUid, ports::KubeCredentials};
use landlord_provider_api::{Provider, v1};
use parking_lot::Mutex;

use crate::clock::now;

/// A token is renewed this long before it ends: longer than any one call with it.
const RENEW_BEFORE: Duration = Duration::from_secs(90);
/// Access that ends late (client certificates live for a year) is requested again after this long all the same, so that
/// one that was replaced is out of use soon; asking costs one call of a plugin, most often without a call of its cloud.
const KEEP_MAX: Duration = Duration::from_secs(10 * 60);

/// Access by tenant.
#[derive(Debug, Default)]
pub(crate) struct AccessCache {
    known: Mutex<HashMap<TenantUid, Known>>,
}

#[derive(Debug)]
struct Known {
    credentials: KubeCredentials,
    requested: Instant,
}

impl Known {
    /// Whether it may be used once more. Without a known end it is not.
    fn is_fresh(&self) -> bool {
        self.requested.elapsed() < KEEP_MAX
            && self.credentials.expire_time.is_some_and(|expire_time| expire_time > now().after(RENEW_BEFORE))
    }
}

impl AccessCache {
    /// Access to a tenant's API server.
    pub(crate) async fn get(
        &self,
        uid: TenantUid,
        provider: &dyn Provider,
        request: v1::KubeAccessRequest,
    ) -> Result<KubeCredentials, Failure> {
        let endpoint = request.cluster.as_ref().map(|cluster| cluster.endpoint.clone());
        if let Some(known) = self.known.lock().get(&uid)
            && known.is_fresh()
            && endpoint.is_none_or(|endpoint| endpoint.is_empty() || endpoint == known.credentials.endpoint)
        {
            return Ok(known.credentials.clone());
        }
        let requested = Instant::now();
        let credentials = KubeCredentials::try_from(provider.kube_access(request).await?)?;
        let known = Known { credentials: credentials.clone(), requested };
        self.known.lock().insert(uid, known);
        Ok(credentials)
    }

    /// Forgets a tenant's access: the tenant is gone, or the access did not work.
    pub(crate) fn forget(&self, uid: TenantUid) {
        self.known.lock().remove(&uid);
    }
}

#[cfg(test)]
mod tests {
    use landlord_core::ports::KubeIdentity;

    use super::*;

    fn known(ends_in: Option<Duration>, requested_before: Duration) -> Known {
        let credentials = KubeCredentials {
            endpoint: "https://kube.example.com".into(),
            ca_pem: String::new(),
            identity: KubeIdentity::Token("t".to_owned().into()),
            expire_time: ends_in.map(|ends_in| now().after(ends_in)),
        };
        Known { credentials, requested: Instant::now().checked_sub(requested_before).unwrap() }
    }

    #[test]
    fn access_is_kept_until_shortly_before_its_end_and_never_long() {
        let (minute, year) = (Duration::from_secs(60), Duration::from_secs(365 * 24 * 3_600));
        let cases = [
            (Some(minute * 15), Duration::ZERO, true),
            (Some(minute), Duration::ZERO, false),
            (Some(year), minute * 9, true),
            (Some(year), KEEP_MAX, false),
            (None, Duration::ZERO, false),
        ];
        for (ends_in, requested_before, fresh) in cases {
            assert_eq!(known(ends_in, requested_before).is_fresh(), fresh, "{ends_in:?} {requested_before:?}");
        }
    }
}
