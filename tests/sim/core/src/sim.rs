//! Starting and stopping a simulator.

use crate::{
    clock::Clock, cloud::Clouds, driver, error::Error, journal::Journal, persist, runtime::ClusterRuntime, server,
    shared::Shared, world::World,
};
use parking_lot::Mutex;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The ticker inspects the world at least this often, so that a clock step or a missed wake-up heals.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// Changes within this time are written to the data folder together.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(250);

/// How a simulator is to run.
#[derive(Default)]
pub struct Options {
    /// Where to listen; port 0 picks one.
    pub listen: Option<SocketAddr>,
    /// Real seconds per simulated second; 0 means 1/60.
    pub time_scale: f64,
    /// Decides durations, ids and rates of faults.
    pub seed: u64,
    /// A file that gets every journal line.
    pub journal: Option<PathBuf>,
    /// A folder from which the state is continued and to which it is written.
    pub data_dir: Option<PathBuf>,
    /// Runs the Kubernetes of clusters; without it endpoints do not respond.
    pub runtime: Option<Arc<dyn ClusterRuntime>>,
    /// Never throttle but by fault rules.
    pub no_throttle: bool,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("time_scale", &self.time_scale)
            .finish_non_exhaustive()
    }
}

/// The simulated cloud.
#[derive(Debug)]
pub struct Simulator;

/// A running simulator; dropping it stops serving, [`Handle::stop`] also ends its clusters in order.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
    data_dir: Option<PathBuf>,
}

impl Simulator {
    /// Starts a simulator of `clouds`.
    ///
    /// # Errors
    /// The address, the journal file, or the stored state.
    pub async fn start(options: Options, clouds: Clouds) -> Result<Handle, Error> {
        let scale = if options.time_scale > 0.0 { options.time_scale } else { 1.0 / 60.0 };
        let journal_file = options.journal.as_ref().map(open_journal).transpose()?;
        if let Some(folder) = &options.data_dir {
            std::fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        }
        let mut world = World::new(Clock::new(scale), options.seed, Journal::new(0, None));
        world.cluster_kinds = clouds.all().map(|cloud| cloud.cluster_kind()).collect();
        let last_seq = persist::load(options.data_dir.as_deref(), &mut world, &clouds)?;
        world.journal = Journal::new(last_seq, journal_file);
        world.throttle.off = options.no_throttle;
        world.kubernetes_capacity = options.runtime.as_ref().map(|r| r.capacity());
        let wanted = options.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let failed = |source| Error::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (commands, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            clouds,
            rescheduled: Notify::new(),
            holds_changed: Notify::new(),
            address,
            commands,
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        tasks.spawn(server::serve(listener, shared.clone(), stop.clone()));
        tasks.spawn(tick(shared.clone(), stop.clone()));
        if let Some(runtime) = options.runtime {
            driver::resume(&shared);
            tasks.spawn(driver::run(runtime, shared.clone(), receiver, stop.clone()));
        }
        if let Some(folder) = options.data_dir.clone() {
            tasks.spawn(keep_snapshots(folder, shared.clone(), stop.clone()));
        }
        Ok(Handle { shared, stop, tasks, data_dir: options.data_dir })
    }
}

impl Handle {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The endpoint to give to SDKs.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// The shared state, for in-process tests.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Stops serving, stops the clusters keeping their data, writes the state.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(folder) = &self.data_dir {
            let snapshot = persist::snapshot(&self.shared.world.lock());
            if let Err(error) = snapshot.and_then(|s| persist::save(folder, &s)) {
                tracing::error!(%error, "the state could not be written");
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn open_journal(path: &PathBuf) -> Result<std::fs::File, Error> {
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| Error::File { path: path.clone(), source })
}

/// Applies due steps when they are due, so that waiters on the journal see them without asking.
async fn tick(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let pause = {
            let mut world = shared.world.lock();
            let now = shared.clouds.advance(&mut world);
            let due = world.schedule.next_due().map_or(i64::MAX, |due| due - now);
            Duration::from_micros(u64::try_from(due).unwrap_or(0)).min(LONGEST_SLEEP)
        };
        let commands = std::mem::take(&mut shared.world.lock().outbox);
        for command in commands {
            let _ = shared.commands.send(command);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.rescheduled.notified() => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
        }
    }
}

/// Writes the state a little after each change.
async fn keep_snapshots(folder: PathBuf, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SNAPSHOT_PAUSE) => {}
        }
        let snapshot = {
            let mut world = shared.world.lock();
            if !std::mem::take(&mut world.dirty) {
                continue;
            }
            persist::snapshot(&world)
        };
        let folder = folder.clone();
        // The disk is waited for off the runtime and without the lock.
        let saved = tokio::task::spawn_blocking(move || snapshot.and_then(|s| persist::save(&folder, &s))).await;
        if let Ok(Err(error)) = saved {
            tracing::error!(%error, "the state could not be written");
        }
    }
}
