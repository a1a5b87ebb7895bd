//! How often a call was made in a row without success, for its span. Losing count is no harm: it begins at one again.

use std::collections::BTreeMap;

use landlord_provider_api::Method;
use parking_lot::Mutex;

/// Calls that are counted at once: more tenants than one daemon has under way.
const COUNTED_MAX: usize = 10_000;

/// Failed calls in a row, by method and tenant.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<(u32, String), u32>>);

impl Attempts {
    /// The number of the call that begins now, from 1 on.
    pub(crate) fn next(&self, method: Method, tenant: &str) -> u32 {
        let mut counts = self.0.lock();
        let key = (method as u32, tenant.to_owned());
        if counts.len() >= COUNTED_MAX && !counts.contains_key(&key) {
            return 1;
        }
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// The next one is a first one again.
    pub(crate) fn succeeded(&self, method: Method, tenant: &str) {
        self.0.lock().remove(&(method as u32, tenant.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, COUNTED_MAX};
    use landlord_provider_api::Method;

    #[test]
    fn attempts_are_counted_until_one_succeeds() {
        let attempts = Attempts::default();
        let next = |tenant: &str| attempts.next(Method::EnsureCluster, tenant);
        assert_eq!([next("a"), next("a"), next("b")], [1, 2, 1]);
        attempts.succeeded(Method::EnsureCluster, "a");
        assert_eq!(next("a"), 1);
        (0..COUNTED_MAX).for_each(|n| assert_eq!(next(&n.to_string()), 1));
        assert_eq!([next("one more"), next("one more"), next("b")], [1, 1, 2], "the memory is bounded");
    }
}
