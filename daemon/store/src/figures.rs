//! What is measured of the store, as OpenMetrics. Knows neither statements nor who reads the figures.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// From a statement in the database's cache to the longest that is waited for, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0, 15.0];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReaderLabels {
    reader: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabels {
    reader: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    reader: &'static str,
    state: &'static str,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// The figures of a store; clones share them.
#[derive(Debug, Clone)]
pub struct StoreFigures {
    reads: Seconds<ReadLabels>,
    transactions: Seconds<OutcomeLabels>,
    changes: Counter,
    repeated: Counter,
    silences: Counter,
    writable: Gauge,
    connections: Family<ConnectionLabels, Gauge>,
    waiting: Family<ReaderLabels, Gauge>,
    size: Gauge,
}

impl Default for StoreFigures {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        Self {
            reads: Family::new_with_constructor(seconds),
            transactions: Family::new_with_constructor(seconds),
            changes: Counter::default(),
            repeated: Counter::default(),
            silences: Counter::default(),
            writable: Gauge::default(),
            connections: Family::default(),
            waiting: Family::default(),
            size: Gauge::default(),
        }
    }
}

fn outcome(succeeded: bool) -> &'static str {
    if succeeded { "ok" } else { "error" }
}

impl StoreFigures {
    /// Makes the figures part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        let reads = "Time of a read, from the request for a connection to the end, by who reads (api, engine)";
        registry.register_with_unit("landlord_store_read_duration", reads, Unit::Seconds, self.reads.clone());
        let transactions = "Time of a transaction that writes, repetitions included; many changes share one";
        let name = "landlord_store_transaction_duration";
        registry.register_with_unit(name, transactions, Unit::Seconds, self.transactions.clone());
        let changes = "Changes that were written; refused ones among them";
        registry.register("landlord_store_changes", changes, self.changes.clone());
        let repeated = "Transactions that were run again: the database gave them up, or was not reached";
        registry.register("landlord_store_transactions_repeated", repeated, self.repeated.clone());
        let silences = "Connections that were given up because no response came";
        registry.register("landlord_store_connections_silent", silences, self.silences.clone());
        let writable = "1: the last transaction was committed; 0: it failed, nothing is accepted and nothing goes on";
        registry.register("landlord_store_writable", writable, self.writable.clone());
        let connections = "Open connections that read, by who reads and state (used, idle)";
        registry.register("landlord_store_connections", connections, self.connections.clone());
        let waiting = "Reads that wait for a connection";
        registry.register("landlord_store_reads_waiting", waiting, self.waiting.clone());
        let size = "Size of the database";
        registry.register_with_unit("landlord_store_size", size, Unit::Bytes, self.size.clone());
    }

    pub(crate) fn read(&self, reader: &'static str, succeeded: bool, took: Duration) {
        let labels = ReadLabels { reader, outcome: outcome(succeeded) };
        self.reads.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn connections(&self, reader: &'static str, open: usize, idle: usize, waiting: usize) {
        let set = |state, count: usize| {
            let gauge = self.connections.get_or_create(&ConnectionLabels { reader, state });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set("used", open.saturating_sub(idle));
        set("idle", idle);
        self.waiting.get_or_create(&ReaderLabels { reader }).set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn wrote(&self, changes: usize, succeeded: bool, took: Duration) {
        self.transactions.get_or_create(&OutcomeLabels { outcome: outcome(succeeded) }).observe(took.as_secs_f64());
        if succeeded {
            self.changes.inc_by(changes as u64);
        }
        self.writable.set(i64::from(succeeded));
    }

    pub(crate) fn repeats(&self) {
        self.repeated.inc();
    }

    pub(crate) fn silent(&self) {
        self.silences.inc();
    }

    pub(crate) fn sized(&self, bytes: u64) {
        self.size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
