//! One webhook: claims it, reads on in the events, sends, records.
//!
//! ```text
//! claim ──► [ let go, read a page, send page and due tenants, record ] ──► wait for an event, or the next attempt
//!   ▲              │ lease lost, replayed, store away                          │
//!   └──────────────┴──────────────────────────────────◄────────────────────────┘
//! ```

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use landlord_core::{
    TenantName, Timestamp,
    ports::{ClaimedWebhook, Event, EventQuery, EventScope, HeldTenant, StoreError, WebhookClaim},
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    clock::Clock,
    event,
    event_id::EventIds,
    figures::WebhookFigures,
    filter::Filter,
    ports::{SecretSource, Store},
    progress::{Progress, Schedule},
    reading::{READ, Read, Reader},
    send::{CONCURRENCY, Failure, Sender},
    signature::Secret,
};

/// A request under way may end for this long when the daemon stops.
pub(crate) const GRACE: Duration = Duration::from_secs(3);
/// Of these at most so many are sent before what became of them is recorded: as many may be sent twice after a kill.
const PAGE: usize = 50;
/// A secret that can't be read is read again after this long: a file that is written again is whole by then.
const SECRET_WAIT: Duration = Duration::from_secs(2);

/// What delivers one webhook.
pub(crate) struct Delivery {
    pub(crate) name: String,
    /// The daemon.
    pub(crate) owner: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sender: Sender,
    pub(crate) secrets: SecretSource,
    pub(crate) ids: Arc<EventIds>,
    pub(crate) source: String,
    pub(crate) filter: Filter,
    pub(crate) schedule: Schedule,
    pub(crate) lease_ttl: Duration,
    pub(crate) figures: WebhookFigures,
    /// Notified when the place was moved by a replay.
    pub(crate) moved: Notify,
}

/// Why a claim is not worked on any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The daemon stops.
    Stopping,
    /// Another daemon has it, or the place was moved.
    Lost,
    /// The store can't be used now.
    StoreAway,
}

/// What became of events of one tenant, in order.
struct Run {
    tenant: TenantName,
    /// The store has removed the event that was tried before it was taken.
    is_purged: bool,
    taken: Vec<i64>,
    end: End,
}

enum End {
    /// All were taken.
    Taken,
    /// All of a held tenant before this position are done with.
    CaughtUp(i64),
    /// One was not taken.
    Failed(Box<Event>, Failure),
    /// The daemon stops; this is the first that was not sent.
    Interrupted(i64),
}

impl Delivery {
    /// Delivers until `stop`, whenever no other daemon does.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.figures.begun(&self.name);
        while !stop.is_cancelled() {
            let ended = match self.store.claim_webhook(&self.name, &self.owner, self.lease_ttl).await {
                Ok(Some(claimed)) => self.with_claim(claimed, &stop).await,
                // Another daemon delivers.
                Ok(None) => Ended::StoreAway,
                Err(error) => {
                    tracing::warn!(webhook = self.name, %error, "a webhook can't be claimed now");
                    Ended::StoreAway
                }
            };
            self.figures.left(&self.name);
            if ended == Ended::StoreAway {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.moved.notified() => {}
                    () = tokio::time::sleep(self.lease_ttl / 3) => {}
                }
            }
        }
    }

    async fn with_claim(&self, claimed: ClaimedWebhook, stop: &CancellationToken) -> Ended {
        let ClaimedWebhook { claim, state, now } = claimed;
        let (clock, mut progress) = (Clock::new(now), Progress::of(state));
        tracing::debug!(webhook = self.name, position = progress.position(), "this daemon delivers a webhook");
        let ended = tokio::select! {
            result = self.deliver(&claim, &mut progress, &clock, stop) => result.unwrap_or_else(|error| {
                tracing::warn!(webhook = self.name, %error, "a webhook waits for the store");
                Ended::StoreAway
            }),
            () = self.keep_lease(&claim, &clock) => Ended::Lost,
        };
        if ended != Ended::Lost {
            let left = async {
                self.record(&claim, &mut progress, true).await?;
                self.store.release_webhook(&claim).await
            };
            if let Err(error) = left.await {
                tracing::warn!(webhook = self.name, %error, "a webhook is not given back; its lease ends by itself");
            }
        }
        ended
    }

    /// Returns when the claim is lost, or can't be kept.
    async fn keep_lease(&self, claim: &WebhookClaim, clock: &Clock) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.lease_ttl / 3).await;
            match self.store.renew_webhook(claim, self.lease_ttl).await {
                Ok(Some(now)) => {
                    clock.set(now);
                    renewed = Instant::now();
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(webhook = self.name, %error, "the lease of a webhook is not renewed"),
            }
            if renewed.elapsed() > self.lease_ttl * 2 / 3 {
                return;
            }
        }
    }

    async fn deliver(
        &self,
        claim: &WebhookClaim,
        progress: &mut Progress,
        clock: &Clock,
        stop: &CancellationToken,
    ) -> Result<Ended, StoreError> {
        // The position up to which it is known that no event follows.
        let mut waited = 0;
        loop {
            let more = self.step(progress, clock, stop, waited).await?;
            if stop.is_cancelled() {
                return Ok(Ended::Stopping);
            }
            if !self.record(claim, progress, false).await? {
                return Ok(Ended::Lost);
            }
            if more {
                continue;
            }
            let query = EventQuery { after_seq: progress.position().max(waited), scope: self.filter.scope(), limit: 1 };
            let is_full = progress.room(PAGE, false) == 0;
            let until = progress.next_time().map(|time| time.since(clock.now()));
            tokio::select! {
                () = stop.cancelled() => return Ok(Ended::Stopping),
                () = self.moved.notified() => return Ok(Ended::Lost),
                position = self.store.wait_for_event(&query), if !is_full => waited = position,
                () = tokio::time::sleep(until.unwrap_or_default()), if until.is_some() => {}
            }
        }
    }

    /// Sends what is due; whether there is more.
    async fn step(
        &self,
        progress: &mut Progress,
        clock: &Clock,
        stop: &CancellationToken,
        waited: i64,
    ) -> Result<bool, StoreError> {
        progress.let_go();
        let secrets = match (self.secrets)() {
            Ok(secrets) => secrets,
            Err(error) => {
                // Also where this daemon goes on from another, or from its own run before, which had noticed it.
                self.figures.secret(&self.name, false);
                if progress.unable(&error) {
                    tracing::error!(webhook = self.name, error, "events wait: the secret of a webhook can't be used");
                } else {
                    // What is new is recorded before it is waited.
                    stop.run_until_cancelled(tokio::time::sleep(SECRET_WAIT)).await;
                }
                // Whatever waits is sent when it can be read, whether anything else happens meanwhile or not.
                return Ok(true);
            }
        };
        progress.able();
        self.figures.secret(&self.name, true);
        let sending = Sending { delivery: self, secrets: &secrets, clock, stop };
        let due = progress.due(clock.now());
        let cursor = progress.position();
        let read = match progress.room(PAGE, !due.is_empty()) {
            0 => None,
            room => Some(self.reader().read(progress, (waited, clock.now()), room).await?),
        };
        let mut jobs: Vec<BoxFuture<'_, Result<Run, StoreError>>> = Vec::new();
        jobs.extend(due.into_iter().map(|held| sending.retry(held, cursor).boxed()));
        let (end, more) = match read {
            Some(Read { groups, end, more }) => {
                jobs.extend(groups.into_iter().map(|(tenant, events)| sending.all(tenant, events).map(Ok).boxed()));
                (end, more)
            }
            None => (cursor, false),
        };
        let (mut runs, mut end) = (stream::iter(jobs).buffer_unordered(CONCURRENCY), end);
        while let Some(run) = runs.next().await {
            let run = run?;
            if let End::Interrupted(position) = run.end {
                end = end.min(position - 1);
            }
            self.apply(progress, run, clock.now());
        }
        progress.advance(end);
        Ok(more)
    }

    fn reader(&self) -> Reader<'_> {
        Reader { webhook: &self.name, store: &*self.store, filter: &self.filter }
    }

    fn apply(&self, progress: &mut Progress, run: Run, now: Timestamp) {
        if run.is_purged {
            progress.missed(1);
            tracing::error!(
                webhook = self.name, tenant = %run.tenant,
                "an event was removed before the receiver took it (store.events_max)"
            );
        }
        for position in run.taken {
            progress.taken(&run.tenant, position, now);
        }
        match run.end {
            End::Taken | End::Interrupted(_) => {}
            End::CaughtUp(position) => progress.caught_up(&run.tenant, position, now),
            End::Failed(event, failure) => {
                tracing::warn!(
                    webhook = self.name, tenant = %run.tenant, status = failure.status, error = failure.message,
                    "an event was not taken; it is sent again"
                );
                let when = (now, rand::random::<f64>());
                progress.not_taken((&run.tenant, &event), &failure, when, &self.schedule);
            }
        }
    }

    /// Records what changed; false: the claim is lost.
    async fn record(&self, claim: &WebhookClaim, progress: &mut Progress, all: bool) -> Result<bool, StoreError> {
        let waiting = progress.waiting();
        let Some(changed) = progress.take(all) else { return Ok(true) };
        for parked in &changed.parked {
            tracing::error!(
                webhook = self.name, tenant = %parked.tenant, error = parked.error,
                "an event is parked: the receiver has not taken it in time; replay it when the receiver is mended"
            );
        }
        self.figures.recorded(&self.name, changed.parked.len(), changed.missed, waiting);
        self.store.record_webhook(claim, changed).await
    }
}

/// The span of a request, in the trace of the operation that the event is part of.
fn span(webhook: &str, event: &Event) -> tracing::Span {
    let span = tracing::info_span!(
        "webhook",
        otel.kind = "client",
        webhook,
        "tenant.id" = %event.uid,
        seq = event.seq,
        outcome = tracing::field::Empty
    );
    if let Some(operation) = event.operation {
        landlord_trace::within(&span, operation);
    }
    span
}

/// What requests of one step share.
#[derive(Clone, Copy)]
struct Sending<'a> {
    delivery: &'a Delivery,
    secrets: &'a [Secret],
    clock: &'a Clock,
    stop: &'a CancellationToken,
}

impl Sending<'_> {
    /// Sends what a held tenant waits for, up to the webhook's place.
    async fn retry(self, held: HeldTenant, cursor: i64) -> Result<Run, StoreError> {
        let scope = EventScope::Environment(held.tenant.clone().into());
        let (events, _) = self.delivery.reader().events(scope, held.position - 1).await?;
        // Where one was tried, or waits for others, there was one; how many others of the tenant's are gone, nobody knows any more.
        let is_known = held.attempts > 0 || !held.error.is_empty();
        let is_purged = is_known && events.first().is_none_or(|first| first.seq != held.position);
        let is_last = events.len() < READ as usize;
        let end = if is_last { cursor } else { events.last().map_or(cursor, |last| last.seq.min(cursor)) };
        let wanted = events.into_iter().filter(|event| event.seq <= end && self.delivery.filter.wants(event));
        let run = self.all(held.tenant, wanted.collect()).await;
        Ok(match run.end {
            End::Taken => Run { end: End::CaughtUp(end + 1), is_purged, ..run },
            End::CaughtUp(_) | End::Failed(..) | End::Interrupted(_) => Run { is_purged, ..run },
        })
    }

    /// Sends events of one tenant, each when the one before was taken.
    async fn all(self, tenant: TenantName, events: Vec<Event>) -> Run {
        let mut taken = Vec::with_capacity(events.len());
        for event in events {
            match self.one(&event).await {
                Some(Ok(())) => taken.push(event.seq),
                Some(Err(failure)) => {
                    return Run { tenant, is_purged: false, taken, end: End::Failed(Box::new(event), failure) };
                }
                None => return Run { tenant, is_purged: false, taken, end: End::Interrupted(event.seq) },
            }
        }
        Run { tenant, is_purged: false, taken, end: End::Taken }
    }

    /// Sends an event; `None`: the daemon stops.
    async fn one(self, event: &Event) -> Option<Result<(), Failure>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let delivery = self.delivery;
        let id = delivery.ids.id(event.seq).unwrap_or_default();
        let body = event::body(&delivery.source, &id, event);
        let began = Instant::now();
        let grace = async {
            self.stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let span = span(&delivery.name, event);
        // A receiver goes on with the operation's trace, also where nothing is exported.
        let traceparent = span.in_scope(landlord_trace::traceparent);
        let body = (body, traceparent.or_else(|| event.operation.map(landlord_trace::traceparent_of)));
        let sent = delivery.sender.send(self.secrets, &id, self.clock.now(), body).instrument(span.clone());
        let result = tokio::select! {
            result = sent => result.map(drop),
            () = grace => return None,
        };
        span.record("outcome", if result.is_ok() { "ok" } else { "not taken" });
        delivery.figures.attempted(&delivery.name, result.is_ok(), began.elapsed());
        if result.is_ok() {
            delivery.figures.delivered(&delivery.name, self.clock.now().since(event.time));
        }
        Some(result)
    }
}
