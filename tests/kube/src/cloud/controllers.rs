//! The loops: inspect everything, do a little, sleep until something changed.
//!
//! Level-triggered: a watch only wakes a loop, which then lists again and decides by what it sees. A lost or doubled
//! event therefore changes nothing.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

use futures::TryStreamExt as _;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Service},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, WatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CloudBackend, LocalVolumes,
    context::{Context, FIELD_MANAGER, Observation},
    services, volumes,
};
use crate::error::{Error, Result};

/// Inspected even if nothing seemed to change: what a lost watch hides is hidden no longer than this.
const RESYNC_INTERVAL: Duration = Duration::from_secs(30);
/// After a failed call to the API server: it may be about to stop.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Changes come in bursts; one observation serves a whole burst.
const SETTLE_INTERVAL: Duration = Duration::from_millis(20);

/// A StorageClass that the cloud offers in its clusters.
#[derive(Debug, Clone)]
pub struct StorageClassSpec {
    /// Its name.
    pub name: String,
    /// The CSI driver's name.
    pub provisioner: String,
    /// Parameters, given to [`CloudBackend::ensure_volume`].
    pub parameters: BTreeMap<String, String>,
    /// Whether claims without a class get this one.
    pub is_default: bool,
    /// Whether claims may grow.
    pub expandable: bool,
    /// Whether a volume is made only when a pod that uses it has been given a node, and then in that node's zone.
    pub wait_for_first_consumer: bool,
}

impl StorageClassSpec {
    /// The default class, expandable, waiting for its first consumer.
    pub fn new(name: impl Into<String>, provisioner: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            provisioner: provisioner.into(),
            parameters: BTreeMap::new(),
            is_default: true,
            expandable: true,
            wait_for_first_consumer: true,
        }
    }
}

/// How the cloud behaves in a cluster.
#[derive(Debug, Clone)]
pub struct CloudOptions {
    /// Made when the controllers start. Claims of classes with other provisioners are left alone.
    pub storage_classes: Vec<StorageClassSpec>,
    /// How soon the backend is requested again about what was not ready.
    pub poll_interval: Duration,
    /// Where volumes of pods on real nodes lie; `None`: such a node has none.
    pub local_volumes: Option<LocalVolumes>,
}

impl CloudOptions {
    /// Repeats the call every 200 ms.
    #[must_use]
    pub fn new(storage_classes: Vec<StorageClassSpec>) -> Self {
        Self { storage_classes, poll_interval: Duration::from_millis(200), local_volumes: None }
    }
}

/// The cloud's controllers of one cluster. Dropping them stops them without waiting.
#[derive(Debug)]
pub struct CloudControllers {
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl CloudControllers {
    /// Makes the storage classes and starts to watch. `client` needs the administrator's rights.
    ///
    /// Stop them before the control plane: they would log a warning a second until dropped.
    ///
    /// # Errors
    /// The API server's refusal of a storage class.
    pub async fn start(client: Client, backend: Arc<dyn CloudBackend>, options: CloudOptions) -> Result<Self> {
        for class in &options.storage_classes {
            apply_storage_class(&client, class).await?;
        }
        let provisioners = options.storage_classes.into_iter().map(|class| class.provisioner).collect();
        let (local, poll_interval) = (options.local_volumes, options.poll_interval);
        let context = Context { client, backend, provisioners, local, poll_interval };
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        // Both end when cancelled, and their failures are retried within.
        tasks.spawn(cancel.clone().run_until_cancelled_owned(watch_services(context.clone())));
        tasks.spawn(cancel.clone().run_until_cancelled_owned(watch_volumes(context)));
        tasks.close();
        Ok(Self { cancel, tasks })
    }

    /// Ends them. A call to the backend that is under way is abandoned; it will be made again by the next start.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for CloudControllers {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn watch_services(context: Context) {
    let services: Api<Service> = Api::all(context.client.clone());
    loop {
        match services::observe(&context).await {
            Ok(observation) => pause(&context, &observation, change(&services, observation.versions.first())).await,
            Err(error) => failed("LoadBalancer Services", &error).await,
        }
    }
}

async fn watch_volumes(context: Context) {
    let claims: Api<PersistentVolumeClaim> = Api::all(context.client.clone());
    let volumes: Api<PersistentVolume> = Api::all(context.client.clone());
    loop {
        match volumes::observe(&context).await {
            Ok(observation) => {
                let either = async {
                    tokio::select! {
                        () = change(&claims, observation.versions.first()) => {}
                        () = change(&volumes, observation.versions.get(1)) => {}
                    }
                };
                pause(&context, &observation, either).await;
            }
            Err(error) => failed("volumes", &error).await,
        }
    }
}

/// Sleeps until `changed`, or until it is time to observe anyway.
async fn pause(context: &Context, observation: &Observation, changed: impl Future<Output = ()>) {
    let at_most = if observation.waiting { context.poll_interval } else { RESYNC_INTERVAL };
    let _ = tokio::time::timeout(at_most, changed).await;
    tokio::time::sleep(SETTLE_INTERVAL).await;
}

async fn failed(what: &str, error: &kube::Error) {
    tracing::warn!(%error, "the cloud could not check the {what} of a cluster; trying again");
    tokio::time::sleep(RETRY_INTERVAL).await;
}

/// Ends at the first change after `version`, or soon if changes cannot be received.
async fn change<K>(api: &Api<K>, version: Option<&String>)
where
    K: Clone + Debug + DeserializeOwned,
{
    let version = version.map_or("0", String::as_str);
    let received = async {
        let stream = api.watch(&WatchParams::default().disable_bookmarks(), version).await?;
        std::pin::pin!(stream).try_next().await
    };
    if !matches!(received.await, Ok(Some(_))) {
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn apply_storage_class(client: &Client, class: &StorageClassSpec) -> Result<()> {
    let body = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": class.name,
            "annotations": { "storageclass.kubernetes.io/is-default-class": class.is_default.to_string() },
        },
        "provisioner": class.provisioner,
        "parameters": class.parameters,
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": class.expandable,
        "volumeBindingMode": if class.wait_for_first_consumer { "WaitForFirstConsumer" } else { "Immediate" },
    });
    let classes: Api<StorageClass> = Api::all(client.clone());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    classes
        .patch(&class.name, &parameters, &Patch::Apply(body))
        .await
        .map_err(Error::kubernetes(format!("making the storage class {}", class.name)))?;
    Ok(())
}
