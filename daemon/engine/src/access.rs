//! Short-lived access to tenants' API servers, kept in memory until shortly before it ends.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use landlord_core::{Failure, TenantUid, Timestamp, ports::KubeCredentials};
use landlord_provider_api::{Provider, v1};
use parking_lot::Mutex;

/// A token is renewed this long before it ends: longer than any one call with it.
const RENEW_BEFORE: Duration = Duration::from_secs(90);

/// Tokens by tenant.
#[derive(Debug, Default)]
pub(crate) struct AccessCache {
    tokens: Mutex<HashMap<TenantUid, KubeCredentials>>,
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
        if let Some(known) = self.tokens.lock().get(&uid)
            && known.expire_time > now().after(RENEW_BEFORE)
            && endpoint.is_none_or(|endpoint| endpoint.is_empty() || endpoint == known.endpoint)
        {
            return Ok(known.clone());
        }
        let access = provider.kube_access(request).await?;
        let expire_time = access.expire_time.map_or(Timestamp(0), |time| {
            Timestamp(time.seconds.saturating_mul(1_000) + i64::from(time.nanos / 1_000_000))
        });
        let credentials = KubeCredentials {
            endpoint: access.endpoint,
            ca_pem: access.ca_pem,
            token: access.token.into(),
            expire_time,
        };
        self.tokens.lock().insert(uid, credentials.clone());
        Ok(credentials)
    }

    /// Forgets a tenant's token: it is gone, or the token did not work.
    pub(crate) fn forget(&self, uid: TenantUid) {
        self.tokens.lock().remove(&uid);
    }
}

/// The wall clock: tokens end by it, not by the database's clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
