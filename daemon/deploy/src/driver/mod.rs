//! How releases are delivered. What is delivered is rendered before, and whether it works is judged afterwards, from
//! Kubernetes objects alone: another driver (Flux, Argo CD) is one more implementation of [`Driver`], and nothing else.

pub(crate) mod helm;
pub(crate) mod manifests;

use async_trait::async_trait;
use kube::Client;
use landlord_core::ports::KubeCredentials;
use landlord_kube::object::ObjectRef;
use serde_json::Value;

use crate::{chart::ChartRef, error::Result};

/// A release by its name, and the access that it is delivered with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReleaseRef<'a> {
    /// For a program of its own: on a shared cluster with the tenant's rights only.
    pub(crate) access: &'a KubeCredentials,
    pub(crate) namespace: &'a str,
    pub(crate) release: &'a str,
}

/// What a release shall consist of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) chart: &'a ChartRef,
    pub(crate) values: &'a Value,
    /// Changes when chart, version or values do; kept with what is delivered.
    pub(crate) digest: &'a str,
}

/// How the last delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    /// It ended well.
    Delivered,
    /// It did not end, or ended badly: delivering again repairs it.
    Unfinished,
    /// A removal did not end: removing again finishes it.
    Removing,
}

/// What a driver has delivered of a release.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) state: DeliveryState,
    /// Digest of the content; empty if landlord did not deliver it.
    pub(crate) digest: String,
    /// The objects; `None`: the driver's record can't be read.
    pub(crate) objects: Option<Vec<ObjectRef>>,
    /// Name of that record, for messages.
    pub(crate) record: String,
}

/// What a removal left, for messages.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// What is kept, since others use it.
    pub(crate) kept: Vec<String>,
    /// What is still on its way out: the removal has to be called again.
    pub(crate) ending: Vec<String>,
}

/// Delivers releases.
///
/// # Expected flow
/// [`delivered`](Self::delivered) says what is there; where that is not what shall be, [`deliver`](Self::deliver) brings
/// it, and `delivered` lists the objects to be judged. [`remove`](Self::remove) takes it away.
///
/// # Guarantees
/// Each call is idempotent and returns without waiting for what it made. A call may be killed anywhere: the next one with
/// the same arguments finds out what was left behind and goes on from there.
///
/// # Assumptions
/// The caller's fencing token proves that nobody else works on the release.
#[async_trait]
pub(crate) trait Driver: Send + Sync {
    /// What a delivery would apply, as YAML. Talks to no cluster.
    async fn manifest(&self, release: ReleaseRef<'_>, content: Content<'_>) -> Result<String>;

    /// Brings a release to its content. `client` has the rights of `release.access`.
    async fn deliver(&self, client: &Client, release: ReleaseRef<'_>, content: Content<'_>) -> Result<()>;

    /// What is there of a release; `None`: nothing. Changes nothing.
    async fn delivered(
        &self,
        client: &Client,
        namespace: &str,
        release: &str,
    ) -> landlord_kube::Result<Option<Delivered>>;

    /// Takes a release away; one that is not there is success. It is away when nothing of it is ending any more.
    async fn remove(&self, client: &Client, release: ReleaseRef<'_>) -> Result<Removal>;
}
