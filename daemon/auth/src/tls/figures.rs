//! Figures of certificates, as OpenMetrics.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    listener: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

/// The figures of all listeners; clones share them.
#[derive(Debug, Clone, Default)]
pub struct TlsFigures {
    reloads: Family<ReloadLabels, Counter>,
    expiry: Family<ListenerLabels, Gauge>,
    lifetime: Family<ListenerLabels, Gauge>,
}

impl TlsFigures {
    /// Makes the figures part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        let reloads = "Changes of certificate files by listener and outcome (ok, error: the pair of before goes on)";
        registry.register("landlord_tls_reloads", reloads, self.reloads.clone());
        let expiry = "When the certificate that a listener uses ends, Unix time";
        registry.register_with_unit("landlord_tls_certificate_expiry", expiry, Unit::Seconds, self.expiry.clone());
        let lifetime = "How long the certificate that a listener uses holds from its first moment to its last";
        let of_whole = self.lifetime.clone();
        registry.register_with_unit("landlord_tls_certificate_lifetime", lifetime, Unit::Seconds, of_whole);
    }

    /// A listener whose files were read. Both outcomes are counted from 0 on: of a figure that begins at 1 nobody sees the increase,
    /// and files that can't be used are counted once.
    pub(crate) fn begun(&self, listener: &str) {
        for outcome in ["ok", "error"] {
            drop(self.reloads.get_or_create(&ReloadLabels { listener: listener.to_owned(), outcome }));
        }
    }

    /// From when to when the certificate in use holds, Unix time in seconds.
    pub(crate) fn holds(&self, listener: &str, (begin, end): (i64, i64)) {
        let labels = ListenerLabels { listener: listener.to_owned() };
        self.expiry.get_or_create(&labels).set(end);
        self.lifetime.get_or_create(&labels).set(end.saturating_sub(begin));
    }

    /// How long the certificate of `listener` holds.
    #[cfg(test)]
    pub(crate) fn lifetime(&self, listener: &str) -> i64 {
        self.lifetime.get_or_create(&ListenerLabels { listener: listener.to_owned() }).get()
    }

    /// When the certificate of `listener` ends.
    #[cfg(test)]
    pub(crate) fn expiry(&self, listener: &str) -> i64 {
        self.expiry.get_or_create(&ListenerLabels { listener: listener.to_owned() }).get()
    }

    pub(crate) fn reloaded(&self, listener: &str, succeeded: bool) {
        let outcome = if succeeded { "ok" } else { "error" };
        self.reloads.get_or_create(&ReloadLabels { listener: listener.to_owned(), outcome }).inc();
    }

    /// How often files of `listener` were reloaded with this outcome.
    #[must_use]
    pub fn reloads(&self, listener: &str, succeeded: bool) -> u64 {
        let outcome = if succeeded { "ok" } else { "error" };
        self.reloads.get_or_create(&ReloadLabels { listener: listener.to_owned(), outcome }).get()
    }
}
