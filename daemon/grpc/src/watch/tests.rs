//! Watches over a store that counts its reads.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::StreamExt as _;
use landlord_core::{
    TenantUid, Timestamp,
    ports::{EventKind, EventScope, NewEvent, StoreError},
};
use tokio::sync::watch::Sender;

use super::*;

/// Watches that wait side by side.
const WATCHES: usize = 10_000;

/// Events in memory, with the reads that were made.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<Event>>,
    newest: Sender<i64>,
    reads: AtomicUsize,
}

impl Log {
    fn append(&self, name: &str) {
        let name = name.parse().unwrap();
        let mut events = self.events.lock().unwrap();
        let seq = i64::try_from(events.len()).unwrap() + 1;
        let event = NewEvent {
            kind: EventKind::Tenant,
            stage: String::new(),
            reason: "Settled".into(),
            message: String::new(),
            progress: None,
        };
        let uid: TenantUid = uuid::Uuid::new_v4().to_string().parse().unwrap();
        events.push(Event { seq, time: Timestamp(0), uid, name, event, operation: None });
        self.newest.send_replace(seq);
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl EventSource for Arc<Log> {
    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let events = self.events.lock().unwrap();
        let after = events.iter().filter(|event| event.seq > query.after_seq && recent::chooses(query, event));
        Ok(after.take(query.limit as usize).cloned().collect())
    }

    async fn wait_for_event(&self, query: &EventQuery) -> i64 {
        *self.newest.subscribe().wait_for(|newest| *newest > query.after_seq).await.unwrap()
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        Ok(*self.newest.borrow())
    }
}

fn tokens() -> Arc<OpaqueTokens> {
    Arc::new(OpaqueTokens::new(&[7; 32]).unwrap())
}

fn watches(log: &Arc<Log>) -> (Watches, CancellationToken) {
    let stop = CancellationToken::new();
    (Watches::new(Arc::new(log.clone()), tokens(), stop.clone()), stop)
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_watches_make_no_call_and_share_one_read_of_news() {
    let log = Arc::new(Log::default());
    let (watches, _stop) = watches(&log);
    let mut streams = Vec::new();
    for _ in 0..WATCHES {
        let mut stream = Box::pin(watches.open(EventQuery::default(), "").await.unwrap());
        assert!(stream.next().await.unwrap().unwrap().event.is_none());
        streams.push(stream);
    }
    let opened = log.reads();
    tokio::time::sleep(HEARTBEAT_INTERVAL - Duration::from_secs(1)).await;
    assert_eq!(log.reads(), opened, "idle watches read the store");
    log.append("customers/acme/tenants/prod");
    for stream in &mut streams {
        let message = stream.next().await.unwrap().unwrap();
        assert_eq!((message.position, message.event.unwrap().seq), (1, 1));
    }
    assert!(log.reads() - opened <= 2, "{} reads for one event", log.reads() - opened);
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_has_a_heartbeat() {
    let log = Arc::new(Log::default());
    let (watches, _stop) = watches(&log);
    let mut stream = Box::pin(watches.open(EventQuery::default(), "").await.unwrap());
    stream.next().await.unwrap().unwrap();
    let began = tokio::time::Instant::now();
    assert!(stream.next().await.unwrap().unwrap().event.is_none());
    assert_eq!(began.elapsed().as_secs(), HEARTBEAT_INTERVAL.as_secs());
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_nothing_is_cut_and_given_where_to_go_on() {
    let log = Arc::new(Log::default());
    for _ in 0..7_000 {
        log.append("customers/acme/tenants/prod");
    }
    let (watches, _stop) = watches(&log);
    let mut stream = Box::pin(watches.open(EventQuery::default(), "0").await.unwrap());
    tokio::time::sleep(STALL_MAX * 2).await;
    let mut last = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(message) => last = message.position,
            Err(error) => break error,
        }
    };
    assert!(usize::try_from(last).unwrap() < WAITING_MAX, "{last} messages were kept for it");
    let status = tonic::Status::from(error);
    assert_eq!(status.code(), tonic::Code::Aborted);
    let info = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
    assert_eq!(info.reason, "WATCH_TOO_SLOW");
    let resume_token = &info.metadata["resume_token"];
    assert_eq!(tokens().open(TOKEN_SCOPE, resume_token), Some(last.to_string()));
    assert!(stream.next().await.is_none());
    // It goes on there and misses nothing.
    let mut stream = Box::pin(watches.open(EventQuery::default(), resume_token).await.unwrap());
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((first.position, first.event), (last, None));
    for expected in last + 1..=7_000 {
        assert_eq!(stream.next().await.unwrap().unwrap().position, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_watch_gets_what_it_chose_and_nothing_twice() {
    let log = Arc::new(Log::default());
    let (watches, stop) = watches(&log);
    let acme = EventQuery { scope: EventScope::Customer("acme".parse().unwrap()), ..EventQuery::default() };
    let prod = EventScope::Environment("customers/acme/tenants/prod".parse().unwrap());
    let prod = EventQuery { scope: prod, ..EventQuery::default() };
    let mut wanted = Vec::new();
    for (query, names) in [
        (EventQuery::default(), vec!["prod", "test", "prod"]),
        (EventQuery { scope: EventScope::HostClusters, ..EventQuery::default() }, vec!["one"]),
        (acme, vec!["prod", "test"]),
        (prod, vec!["prod"]),
    ] {
        wanted.push((Box::pin(watches.open(query, "").await.unwrap()), names));
    }
    for _ in 0..300 {
        for name in [
            "customers/acme/tenants/prod",
            "customers/acme/tenants/test",
            "hostClusters/one",
            "customers/b/tenants/prod",
        ] {
            log.append(name);
        }
    }
    for (stream, names) in &mut wanted {
        for _ in 0..300 {
            for name in names.iter() {
                let event = loop {
                    if let Some(event) = stream.next().await.unwrap().unwrap().event {
                        break event;
                    }
                };
                assert_eq!(event.name.id(), *name);
            }
        }
    }
    stop.cancel();
    for (stream, _) in &mut wanted {
        let error = loop {
            if let Err(error) = stream.next().await.unwrap() {
                break error;
            }
        };
        assert!(matches!(error, Error::Stopping), "{error:?}");
    }
}

#[tokio::test]
async fn what_feeds_another_stream_ends_it_with_its_error_after_the_messages_that_wait() {
    let (watches, stop) = watches(&Arc::new(Log::default()));
    let (lines, receiver) = mpsc::channel(1);
    let mut stream = Box::pin(watches.fed(receiver, async move {
        // There is no room for more.
        lines.send("one").await.unwrap();
        Some(Error::LogsTooSlow)
    }));
    assert_eq!(stream.next().await.unwrap().unwrap(), "one");
    let status = tonic::Status::from(stream.next().await.unwrap().unwrap_err());
    assert_eq!(tonic_types::StatusExt::get_details_error_info(&status).unwrap().reason, "WATCH_TOO_SLOW");
    assert!(stream.next().await.is_none());

    let (lines, receiver) = mpsc::channel::<()>(1);
    let mut stream = Box::pin(watches.fed(receiver, async move {
        let _lines = lines;
        std::future::pending().await
    }));
    stop.cancel();
    assert!(matches!(stream.next().await, Some(Err(Error::Stopping))));
}
