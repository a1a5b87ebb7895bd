//! All webhooks of a configuration: checked, started, shown.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use ipnet::IpNet;
use landlord_core::{
    CustomerId, Timestamp,
    ports::{StoreError, TestDelivery, WebhookState, WebhookView, Webhooks},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    address::Allowed,
    deliver::Delivery,
    error::Error,
    event::{self, EventType},
    event_id::EventIds,
    figures::WebhookFigures,
    filter::Filter,
    ports::{SecretSource, Store},
    progress::Schedule,
    send::{CaFile, Sender, Target},
};

/// Parked events shown of each webhook.
const PARKED_SHOWN: u32 = 20;

/// A webhook as configured.
#[derive(Clone)]
pub struct WebhookOptions {
    /// Name.
    pub name: String,
    /// Where it goes.
    pub url: Url,
    /// Types of events; empty: all.
    pub event_types: Vec<EventType>,
    /// Customers; empty: all.
    pub customers: Vec<CustomerId>,
    /// Networks that are no public ones and may be connected to.
    pub allowed_networks: Vec<IpNet>,
    /// Whether it may go without TLS.
    pub insecure: bool,
    /// CAs of the receiver; `None`: those of the system.
    pub ca: Option<CaFile>,
    /// Longest request.
    pub timeout: Duration,
    /// An event that is not taken for this long is parked.
    pub retry_timeout: Duration,
    /// Its secrets.
    pub secrets: SecretSource,
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOptions").field("name", &self.name).finish_non_exhaustive()
    }
}

impl WebhookOptions {
    /// Whether it could be delivered: URL, addresses in it, CA. Connects nowhere.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Error> {
        self.sender().map(drop)
    }

    fn sender(&self) -> Result<Sender, Error> {
        Sender::new(Target {
            url: self.url.clone(),
            ca: self.ca.clone(),
            timeout: self.timeout,
            insecure: self.insecure,
            allowed: Allowed::new(&self.allowed_networks),
        })
    }

    /// The URL without what may be secret.
    fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Only of URLs without a host, which are refused.
        let _ = url.set_password(None);
        url.into()
    }
}

/// Waits, the same for all webhooks.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// After the first attempt; doubled with each.
    pub first_backoff: Duration,
    /// Longest wait between two attempts.
    pub backoff_max: Duration,
    /// A daemon that is killed is followed by another after this long.
    pub lease_ttl: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_backoff: Duration::from_secs(5),
            backoff_max: Duration::from_secs(10 * 60),
            lease_ttl: Duration::from_secs(30),
        }
    }
}

struct Webhook {
    options: WebhookOptions,
    delivery: Arc<Delivery>,
}

/// All webhooks of a configuration.
pub struct Service {
    store: Arc<dyn Store>,
    ids: Arc<EventIds>,
    source: String,
    webhooks: BTreeMap<String, Webhook>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("webhooks", &self.webhooks.keys()).finish_non_exhaustive()
    }
}

impl Service {
    /// Webhooks of an installation, delivered by the daemon `owner`. `secret`: the store's, by which events get their ids.
    ///
    /// # Errors
    /// The first webhook that can't be used, by name.
    pub fn new(
        (installation, owner): (&str, &str),
        (store, secret): (Arc<dyn Store>, &[u8; 32]),
        all: Vec<WebhookOptions>,
        timing: Timing,
        figures: &WebhookFigures,
    ) -> Result<Self, (String, Error)> {
        let (ids, source) = (Arc::new(EventIds::new(secret)), event::source(installation));
        let mut webhooks = BTreeMap::new();
        for options in all {
            let sender = options.sender().map_err(|error| (options.name.clone(), error))?;
            let delivery = Delivery {
                name: options.name.clone(),
                owner: owner.to_owned(),
                store: store.clone(),
                sender,
                secrets: options.secrets.clone(),
                ids: ids.clone(),
                source: source.clone(),
                filter: Filter {
                    types: options.event_types.iter().copied().collect(),
                    customers: options.customers.iter().cloned().collect(),
                },
                schedule: Schedule {
                    first_backoff: timing.first_backoff,
                    backoff_max: timing.backoff_max,
                    retry_timeout: options.retry_timeout,
                },
                lease_ttl: timing.lease_ttl,
                figures: figures.clone(),
                moved: tokio::sync::Notify::new(),
            };
            webhooks.insert(options.name.clone(), Webhook { options, delivery: Arc::new(delivery) });
        }
        Ok(Self { store, ids, source, webhooks })
    }

    /// Delivers until `stop`: a task for each webhook, so that none waits for another.
    pub fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for webhook in self.webhooks.values() {
            tasks.spawn(Arc::clone(&webhook.delivery).run(stop.clone()));
        }
    }

    async fn view(&self, webhook: &Webhook, state: Option<WebhookState>) -> Result<WebhookView, StoreError> {
        let options = &webhook.options;
        let parked = match &state {
            Some(state) if state.parked_count > 0 => self.store.parked_events(&options.name, PARKED_SHOWN).await?,
            Some(_) | None => Vec::new(),
        };
        let id = |position| self.ids.id(position).unwrap_or_default();
        Ok(WebhookView {
            name: options.name.clone(),
            url: options.shown_url(),
            event_types: options.event_types.iter().map(|of| of.as_str().to_owned()).collect(),
            customers: options.customers.clone(),
            state: state.map(|state| {
                let ids = state.held.iter().map(|held| id(held.position)).collect();
                (state, ids)
            }),
            parked: parked.into_iter().map(|event| (id(event.position), event)).collect(),
        })
    }

    fn webhook(&self, name: &str) -> Result<&Webhook, StoreError> {
        self.webhooks.get(name).ok_or_else(|| StoreError::NotFound(format!("webhooks/{name}")))
    }
}

#[async_trait]
impl Webhooks for Service {
    async fn webhooks(&self) -> Result<Vec<WebhookView>, StoreError> {
        let states = self.store.webhooks().await?.into_iter();
        let mut states: BTreeMap<String, WebhookState> = states.map(|state| (state.name.clone(), state)).collect();
        let mut views = Vec::with_capacity(self.webhooks.len());
        for (name, webhook) in &self.webhooks {
            views.push(self.view(webhook, states.remove(name)).await?);
        }
        Ok(views)
    }

    fn position(&self, event_id: &str) -> Option<i64> {
        self.ids.position(event_id)
    }

    async fn replay(&self, name: &str, position: i64) -> Result<(), StoreError> {
        let webhook = self.webhook(name)?;
        self.store.replay_webhook(name, position.saturating_sub(1)).await?;
        // Whichever daemon delivers it: this one now, another when it renews its lease.
        webhook.delivery.moved.notify_one();
        Ok(())
    }

    async fn test(&self, name: &str) -> Result<TestDelivery, StoreError> {
        let delivery = &self.webhook(name)?.delivery;
        // Of no position, and new each time.
        let event_id = format!("test_{:032x}", rand::random::<u128>());
        let now = now();
        let body = event::test_body(&self.source, &event_id, name, now);
        let began = Instant::now();
        let result = match (delivery.secrets)() {
            Ok(secrets) => delivery
                .sender
                .send(&secrets, &event_id, now, (body, landlord_trace::traceparent()))
                .await
                .map_err(|failure| (failure.status, failure.message)),
            Err(problem) => Err((None, problem)),
        };
        let (status, error) = match result {
            Ok(status) => (Some(status), String::new()),
            Err((status, message)) => (status, message),
        };
        Ok(TestDelivery { event_id, status, error, duration: began.elapsed() })
    }
}

/// A test is of no lease, and so of this machine's clock.
fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}
