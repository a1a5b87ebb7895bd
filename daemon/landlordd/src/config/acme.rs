//! How many certificates ACME servers give this installation: all its tenants, in whatever cluster, share them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use landlord_core::certificate::{ORDER_WINDOW_MAX, OrderLimit, OrderLimits, authority};
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// The one server whose limits are known without being written down.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
const HOUR: u64 = 60 * 60;
const WEEK: u64 = 7 * 24 * HOUR;

/// Limits of one ACME server. What is not named has none, but for Let's Encrypt, whose own are the defaults:
/// <https://letsencrypt.org/docs/rate-limits/> (June 2025).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeLimits {
    /// Address of its directory, as issuers name it.
    pub server: String,
    /// Orders altogether.
    pub orders: AcmeLimit,
    /// Certificates for names within one registered domain.
    pub registered_domain: AcmeLimit,
    /// Certificates for exactly the same names.
    pub same_names: AcmeLimit,
}

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeLimit {
    /// Most; 0: no limit.
    pub max: u32,
    /// In any stretch of this length, at most 31 days.
    pub window: HumanDuration,
}

impl AcmeLimit {
    const fn of(max: u32, window: u64) -> Self {
        Self { max, window: HumanDuration::from_secs(window) }
    }

    fn limit(self) -> OrderLimit {
        OrderLimit { max: self.max, window: self.window.get() }
    }
}

impl Default for AcmeLimit {
    fn default() -> Self {
        Self::of(0, WEEK)
    }
}

impl AcmeLimits {
    /// As the engine takes them, with whose they are.
    pub(crate) fn limits(&self) -> (String, OrderLimits) {
        let limits = OrderLimits {
            orders: self.orders.limit(),
            registered_domain: self.registered_domain.limit(),
            same_names: self.same_names.limit(),
        };
        (authority(&self.server), limits)
    }
}

pub(super) fn defaults() -> BTreeMap<String, AcmeLimits> {
    let limits = AcmeLimits {
        server: LETS_ENCRYPT.to_owned(),
        orders: AcmeLimit::of(300, 3 * HOUR),
        registered_domain: AcmeLimit::of(50, WEEK),
        same_names: AcmeLimit::of(5, WEEK),
    };
    [("lets-encrypt".to_owned(), limits)].into()
}

pub(super) fn check(servers: &BTreeMap<String, AcmeLimits>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (name, limits) in servers {
        let host = limits.server.strip_prefix("https://").and_then(|rest| rest.split('/').next());
        if host.is_none_or(str::is_empty) {
            problems
                .push(format!("acme_limits.{name}.server: must be the https address of an ACME server's directory"));
        } else if !seen.insert(authority(&limits.server)) {
            problems.push(format!("acme_limits.{name}.server: {} has limits already", limits.server));
        }
        let all = [
            ("orders", limits.orders),
            ("registered_domain", limits.registered_domain),
            ("same_names", limits.same_names),
        ];
        for (key, limit) in all {
            let window = limit.window.get();
            if window < Duration::from_secs(1) || window > ORDER_WINDOW_MAX {
                let shown = limit.window;
                problems.push(format!("acme_limits.{name}.{key}.window: must be 1s to 31days, not {shown}"));
            }
        }
    }
}
