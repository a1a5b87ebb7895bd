//! What the cloud's loops share, and what one observation of theirs finds.

use std::{sync::Arc, time::Duration};

use kube::Client;

use super::{CloudBackend, LocalVolumes};

/// Field manager and event source of everything that is written here.
pub(super) const FIELD_MANAGER: &str = "cloud-controller";

/// What the loops share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) backend: Arc<dyn CloudBackend>,
    pub(super) provisioners: Arc<[String]>,
    /// Where volumes of pods on real nodes lie.
    pub(super) local: Option<LocalVolumes>,
    pub(super) poll_interval: Duration,
}

/// What one observation found.
pub(super) struct Observation {
    /// Whether the backend has to be requested again soon.
    pub(super) waiting: bool,
    /// Version of each list that was read, in the order in which they are watched.
    pub(super) versions: Vec<String>,
}
