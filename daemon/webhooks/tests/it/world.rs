//! A store, and daemons that deliver from it.

use std::{sync::Arc, time::Duration};

use landlord_core::ports::{
    Commit, EventKind, Release, TenantStore as _, WebhookState, WebhookStore as _, Webhooks as _, WorkStore as _,
};
use landlord_store::{SqliteOptions, Store, sqlite};
use landlord_store_contract::fixtures::{self, LEASE};
use landlord_webhooks::{Secret, Service, Timing, WebhookFigures, WebhookOptions};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::receiver::Receiver;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An hour is a second or so.
pub(crate) const TIMING: Timing = Timing {
    first_backoff: Duration::from_millis(20),
    backoff_max: Duration::from_millis(200),
    // Renewed by a busy machine too; a daemon that was killed is followed after it.
    lease_ttl: Duration::from_secs(3),
};

pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    _folder: tempfile::TempDir,
}

/// A daemon; killed when it is dropped.
pub(crate) struct Daemon {
    pub(crate) service: Arc<Service>,
    stop: CancellationToken,
    tasks: TaskTracker,
    runtime: Option<tokio::runtime::Runtime>,
}

pub(crate) fn options(name: &str, receiver: &Receiver) -> WebhookOptions {
    WebhookOptions {
        name: name.into(),
        url: receiver.url().parse().unwrap(),
        event_types: Vec::new(),
        customers: Vec::new(),
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
        insecure: true,
        ca: None,
        timeout: Duration::from_millis(300),
        retry_timeout: Duration::from_secs(3_600),
        secrets: Arc::new(|| Ok(vec![Secret::parse(&SECRET.to_owned().into()).unwrap()])),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::keeping(SqliteOptions::default().events_max).await
    }

    /// With a store that keeps so many events, and a thousand more at most.
    pub(crate) async fn keeping(events_max: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions { create: true, events_max, ..SqliteOptions::default() };
        let store = sqlite::open(&folder.path().join("landlord.db"), options).await.unwrap();
        Self { store: Arc::new(store), _folder: folder }
    }

    /// A daemon with these webhooks, which have begun when it returns.
    pub(crate) async fn daemon(&self, owner: &str, all: Vec<WebhookOptions>) -> Daemon {
        let names: Vec<String> = all.iter().map(|options| options.name.clone()).collect();
        let secret = self.store.token_secret().await.unwrap();
        let store = (self.store.clone() as _, &secret);
        let figures = WebhookFigures::default();
        let service = Service::new(("test", owner), store, all, TIMING, &figures).unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        {
            let _inside = runtime.enter();
            service.start(&tasks, &stop);
        }
        tasks.close();
        for _ in 0..400 {
            let states = self.store.webhooks().await.unwrap();
            if names.iter().all(|name| states.iter().any(|state| state.name == *name && state.daemon.is_some())) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Daemon { service: Arc::new(service), stop, tasks, runtime: Some(runtime) }
    }

    /// An event of an order.
    pub(crate) async fn order(&self, tenant: &str) {
        fixtures::created(&*self.store, "acme", tenant).await;
    }

    /// Orders, and as many events of each as there are reasons.
    pub(crate) async fn events(&self, tenant: &str, reasons: &[&str]) {
        self.order(tenant).await;
        let claim = fixtures::claim_one(&*self.store).await;
        for reason in reasons {
            let events = vec![fixtures::event(EventKind::Tenant, reason)];
            self.store.commit(&claim, Commit { events, ..Commit::default() }).await.unwrap();
        }
        let release = Release::After(LEASE);
        self.store.commit(&claim, Commit { release, ..Commit::default() }).await.unwrap();
    }

    pub(crate) async fn state(&self, name: &str) -> WebhookState {
        let states = self.store.webhooks().await.unwrap();
        states.into_iter().find(|state| state.name == name).unwrap()
    }

    /// Waits until a webhook's state is as wanted.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(&WebhookState) -> bool) -> WebhookState {
        for _ in 0..600 {
            let state = self.state(name).await;
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not as wanted: {:#?}", self.state(name).await);
    }
}

impl Daemon {
    /// As kill -9: whatever is under way is dropped.
    pub(crate) fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// As SIGTERM.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.runtime.take().unwrap().shutdown_background();
    }

    pub(crate) async fn view(&self, name: &str) -> landlord_core::ports::WebhookView {
        let views = self.service.webhooks().await.unwrap();
        views.into_iter().find(|view| view.name == name).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
