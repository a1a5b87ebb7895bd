//! Ports to webhooks: what is kept of each, and what the API may ask of them. Knows no HTTP.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::store_error::StoreError;
use crate::{CustomerId, TenantName, Timestamp};

/// Parked events that are kept of a webhook, the newest ones: for as long as nobody looks, they must not fill the store.
pub const PARKED_MAX: u32 = 1_000;

/// A tenant whose next event a receiver has not taken yet. Its later events wait, those of other tenants don't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldTenant {
    /// Whose events wait.
    pub tenant: TenantName,
    /// Position of the first event that waits.
    pub position: i64,
    /// How often that one was tried.
    pub attempts: u32,
    /// Since when that one counts as failing; `None`: it was not tried.
    pub since: Option<Timestamp>,
    /// When it is tried next.
    pub next_time: Timestamp,
    /// Why the last attempt failed, or why there was none.
    pub error: String,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Position.
    pub position: i64,
    /// Whose.
    pub tenant: TenantName,
    /// Type, as receivers know it.
    pub event_type: String,
    /// When it happened.
    pub event_time: Timestamp,
    /// When it was given up.
    pub park_time: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: String,
}

/// What the store knows of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookState {
    /// Name.
    pub name: String,
    /// The daemon that delivers it at this moment; `None`: none does.
    pub daemon: Option<String>,
    /// Every event up to this position is delivered, parked, or one of a held tenant.
    pub position: i64,
    /// Since when nothing was delivered though something should be; `None`: the last attempt succeeded.
    pub failing_since: Option<Timestamp>,
    /// Tenants whose events wait.
    pub held: Vec<HeldTenant>,
    /// Events delivered.
    pub delivered_count: u64,
    /// Positions that the store forgot before they were delivered.
    pub missed_count: u64,
    /// Events that were given up and are kept.
    pub parked_count: u64,
    /// When an event was last delivered; `None`: none was.
    pub delivery_time: Option<Timestamp>,
    /// Why the last attempt failed; empty: it did not.
    pub error: String,
}

/// The right to deliver a webhook until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookClaim {
    /// Name.
    pub webhook: String,
    /// Owner that holds it.
    pub owner: String,
    /// Raised by every claim and every replay; an older one can't write.
    pub fence: i64,
}

/// A claim with what it begins from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedWebhook {
    /// The claim.
    pub claim: WebhookClaim,
    /// Where it stands.
    pub state: WebhookState,
    /// The database's clock.
    pub now: Timestamp,
}

/// What became of events since the last record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookProgress {
    /// As in [`WebhookState`].
    pub position: i64,
    /// As in [`WebhookState`].
    pub failing_since: Option<Timestamp>,
    /// As in [`WebhookState`]: replaces what was.
    pub held: Vec<HeldTenant>,
    /// Events delivered, more.
    pub delivered: u64,
    /// Positions missed, more.
    pub missed: u64,
    /// Events given up, more.
    pub parked: Vec<ParkedEvent>,
    /// As in [`WebhookState`].
    pub error: String,
}

/// What is kept of webhooks: a place in the events, which are the only queue.
#[async_trait]
pub trait WebhookStore: Send + Sync + 'static {
    /// Claims a webhook whose lease is free or over, raising its fence; `None`: another daemon has it. One that is new begins
    /// after the newest event.
    async fn claim_webhook(
        &self,
        name: &str,
        owner: &str,
        lease_ttl: Duration,
    ) -> Result<Option<ClaimedWebhook>, StoreError>;

    /// Renews the lease, and gives the database's clock; `None`: the claim is lost.
    async fn renew_webhook(&self, claim: &WebhookClaim, lease_ttl: Duration) -> Result<Option<Timestamp>, StoreError>;

    /// Records what became of events; false: the claim is lost and nothing is written.
    async fn record_webhook(&self, claim: &WebhookClaim, progress: WebhookProgress) -> Result<bool, StoreError>;

    /// Gives a claim back. One that is lost stays lost.
    async fn release_webhook(&self, claim: &WebhookClaim) -> Result<(), StoreError>;

    /// Has a webhook go on after a position, whatever was delivered since: nothing is held any more, and what was parked after
    /// it is forgotten. Whoever delivers it has lost its claim. NotFound: no daemon has ever delivered it.
    async fn replay_webhook(&self, name: &str, position: i64) -> Result<(), StoreError>;

    /// All webhooks that were ever delivered, by name.
    async fn webhooks(&self) -> Result<Vec<WebhookState>, StoreError>;

    /// Events of a webhook that were given up, newest first.
    async fn parked_events(&self, name: &str, limit: u32) -> Result<Vec<ParkedEvent>, StoreError>;

    /// Position of the oldest event that is kept; 0: there is none.
    async fn oldest_event(&self) -> Result<i64, StoreError>;
}

/// A webhook as it is configured, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookView {
    /// Name.
    pub name: String,
    /// Where it goes, without what may be secret.
    pub url: String,
    /// Types of the events that it gets; empty: all.
    pub event_types: Vec<String>,
    /// Customers whose events it gets; empty: all.
    pub customers: Vec<CustomerId>,
    /// How far it is, with the ids of the events that wait, in the order of `held`; `None`: no daemon has begun.
    pub state: Option<(WebhookState, Vec<String>)>,
    /// The newest events that were given up, with the ids by which receivers would know them.
    pub parked: Vec<(String, ParkedEvent)>,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestDelivery {
    /// Id of the event that was sent.
    pub event_id: String,
    /// HTTP status; `None`: none came.
    pub status: Option<u16>,
    /// Why it counts as failed; empty: it does not.
    pub error: String,
    /// How long it took.
    pub duration: Duration,
}

/// What the API may ask of webhooks.
#[async_trait]
pub trait Webhooks: Send + Sync + 'static {
    /// All that are configured, by name.
    async fn webhooks(&self) -> Result<Vec<WebhookView>, StoreError>;

    /// The position of an event, by the id that receivers know; `None`: it is no such id.
    fn position(&self, event_id: &str) -> Option<i64>;

    /// Delivers again from a position on, that one included. NotFound: it is not configured, or was never delivered.
    async fn replay(&self, name: &str, position: i64) -> Result<(), StoreError>;

    /// Sends an event of no tenant at once, once. NotFound: it is not configured.
    async fn test(&self, name: &str) -> Result<TestDelivery, StoreError>;
}
