//! How much one principal may ask for: requests, open watches, creates. Nobody's share depends on what others do.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use landlord_core::access::{Action, Principal};

use crate::{
    error::Error,
    listen::OpenCall,
    shares::{Share, Shares},
};

/// A principal's watches beyond its share: when to try again is not known; a watch ends within the hour.
const STREAM_RETRY_DELAY: Duration = Duration::from_secs(30);
/// Principals of whom something is remembered before those who requested nothing lately are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// What each principal may ask for; `None`: as much as it wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second, on average; as many may come at once.
    pub requests_per_second: Option<NonZeroU32>,
    /// Watches that are open.
    pub streams_max: Option<NonZeroU32>,
    /// Tenants and host clusters ordered an hour, on average; as many may come at once.
    pub creates_per_hour: Option<NonZeroU32>,
}

/// Counts what principals ask for.
pub(crate) struct Limiter {
    limits: Limits,
    requests: Option<DefaultKeyedRateLimiter<String>>,
    creates: Option<DefaultKeyedRateLimiter<String>>,
    streams: Shares<String>,
}

/// Holds a principal's place for an open watch.
pub(crate) type StreamPlace = Arc<Share<String>>;

/// What was granted to one request.
#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) limiter: Arc<Limiter>,
    /// Given back when the last part of the request is gone.
    pub(crate) _stream: Option<StreamPlace>,
    /// Its connection is at work until then.
    pub(crate) _call: Arc<OpenCall>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            requests: limits.requests_per_second.map(|count| RateLimiter::keyed(Quota::per_second(count))),
            creates: limits.creates_per_hour.map(|count| RateLimiter::keyed(Quota::per_hour(count))),
            streams: Shares::default(),
        }
    }

    /// Counts a request, and for a watch takes its place.
    ///
    /// # Errors
    /// The principal has requested too much; with the time to wait.
    pub(crate) fn request(&self, principal: &Principal, action: Action) -> Result<Option<StreamPlace>, Error> {
        if let (Some(requests), Some(count)) = (&self.requests, self.limits.requests_per_second) {
            check(requests, principal, || format!("{principal} may make {count} requests a second"))?;
        }
        let Some(count) = self.limits.streams_max.filter(|_| is_stream(action)) else { return Ok(None) };
        match self.streams.take(principal.name.clone(), count.get() as usize) {
            Some(place) => Ok(Some(Arc::new(place))),
            None => Err(Error::LimitReached {
                limit: format!("{principal} may have {count} watches open"),
                retry_delay: STREAM_RETRY_DELAY,
            }),
        }
    }

    /// Whether orders are limited.
    pub(crate) fn limits_creates(&self) -> bool {
        self.creates.is_some()
    }

    /// Counts an order.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub(crate) fn create(&self, principal: &Principal) -> Result<(), Error> {
        match (&self.creates, self.limits.creates_per_hour) {
            (Some(creates), Some(count)) => {
                check(creates, principal, || format!("{principal} may order {count} tenants and host clusters an hour"))
            }
            _ => Ok(()),
        }
    }
}

fn check(
    limiter: &DefaultKeyedRateLimiter<String>,
    principal: &Principal,
    limit: impl Fn() -> String,
) -> Result<(), Error> {
    if limiter.len() > REMEMBERED_MAX {
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }
    limiter.check_key(&principal.name).map_err(|until| Error::LimitReached {
        limit: limit(),
        retry_delay: until.wait_time_from(limiter.clock().now()),
    })
}

fn is_stream(action: Action) -> bool {
    matches!(action, Action::WatchTenants | Action::WatchHostClusters | Action::GetTenantLogs)
}

#[cfg(test)]
mod tests {
    use landlord_core::access::AuthMethod;

    use super::*;

    fn principal(name: &str) -> Principal {
        Principal {
            name: name.into(),
            groups: Default::default(),
            customer: None,
            method: AuthMethod::Token,
            expire_time: None,
        }
    }

    #[test]
    fn each_principal_has_a_share_of_its_own() {
        let limiter = Limiter::new(Limits {
            requests_per_second: NonZeroU32::new(5),
            streams_max: NonZeroU32::new(2),
            creates_per_hour: NonZeroU32::new(3),
        });
        let (one, other) = (principal("one"), principal("other"));
        let taken = (0..100).filter(|_| limiter.request(&one, Action::GetTenant).is_ok()).count();
        assert!((5..10).contains(&taken), "{taken}");
        let refused = limiter.request(&one, Action::GetTenant).unwrap_err();
        let Error::LimitReached { limit, retry_delay } = refused else { panic!("{refused:?}") };
        assert!(limit.contains("one may make 5 requests"), "{limit}");
        assert!(retry_delay > Duration::ZERO && retry_delay < Duration::from_secs(2), "{retry_delay:?}");
        let held: Vec<_> = (0..2).map(|_| limiter.request(&other, Action::WatchTenants).unwrap()).collect();
        assert!(limiter.request(&other, Action::WatchHostClusters).is_err());
        drop(held);
        assert!(limiter.request(&other, Action::WatchHostClusters).unwrap().is_some());
        assert_eq!((0..10).filter(|_| limiter.create(&other).is_ok()).count(), 3);
        limiter.create(&one).unwrap();
        let free = Limiter::new(Limits::default());
        assert!((0..1_000).all(|_| free.request(&one, Action::WatchTenants).is_ok() && free.create(&one).is_ok()));
    }
}
