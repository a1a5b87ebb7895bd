//! Figures of certificates, as OpenMetrics.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    listener: String,
    outcome: &'static str,
}

/// The figures of all listeners; clones share them.
#[derive(Debug, Clone, Default)]
pub struct TlsFigures {
    reloads: Family<ReloadLabels, Counter>,
}

impl TlsFigures {
    /// Makes the figures part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        let reloads = "Changes of certificate files by listener and outcome (ok, error: the pair of before goes on)";
        registry.register("landlord_tls_reloads", reloads, self.reloads.clone());
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
