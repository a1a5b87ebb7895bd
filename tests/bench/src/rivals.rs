//! What landlord is compared with: kubectl and Helm making the same objects. The objects are read back from a tenant that
//! landlord made, so they are the same whatever landlord applies.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join3;
use landlord_test_harness::binaries::checkout;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{
    cluster::Cluster,
    order::{self, Ready},
};

/// Releases that come up side by side, and the one that waits for them, as the stack has it.
const FIRST: [&str; 3] = ["sftpgo", "qdrant", "ollama"];
const LAST: &str = "open-webui";
/// Kinds that isolate a namespace.
const ISOLATION: &str = "resourcequotas,limitranges,networkpolicies,serviceaccounts,roles,rolebindings,secrets";
/// Kinds by which two namespaces are compared.
const COMPARED: &str = "resourcequotas,limitranges,networkpolicies,serviceaccounts,roles,rolebindings,secrets,configmaps,\
                        deployments,statefulsets,services,persistentvolumeclaims,httproutes";
/// As landlord's own `deploy.helm_processes_max`: programs that write at the same moment.
const WRITERS_MAX: usize = 4;
/// As `kubectl wait` takes it; far above what a busy machine needs.
const TIMEOUT: &str = "--timeout=15m";
const DISKS_TIMEOUT: Duration = Duration::from_secs(300);

/// What a tenant consists of, for another namespace.
pub(crate) struct Template {
    cluster: Cluster,
    folder: PathBuf,
    uid: String,
    namespace: String,
    isolation: String,
    first: String,
    last: String,
    values: BTreeMap<&'static str, String>,
    objects: BTreeSet<String>,
    writers: Semaphore,
}

impl Template {
    /// Reads a READY tenant; files are made in `folder`.
    pub(crate) async fn of(cluster: &Cluster, tenant: &Ready, folder: &Path) -> Result<Self> {
        let namespace = tenant.namespace.as_str();
        let marker = format!("landlord-tenant-uid={}", tenant.uid);
        let own = cluster.kubectl_json(&["get", "namespace", namespace]).await?;
        let isolation = cluster.kubectl_json(&["get", ISOLATION, "-n", namespace, "-l", &marker]).await?;
        let isolation = isolation["items"].as_array().context("kubectl listed nothing")?;
        let documents: Vec<String> =
            std::iter::once(&own).chain(isolation).map(|object| bare(object).to_string()).collect();
        let (mut charts, mut values) = ([String::new(), String::new()], BTreeMap::new());
        for release in FIRST.into_iter().chain([LAST]) {
            let charts = &mut charts[usize::from(release == LAST)];
            *charts += &cluster.helm(&["get", "manifest", release, "-n", namespace]).await?;
            *charts += "\n---\n";
            values.insert(release, cluster.helm(&["get", "values", release, "-n", namespace, "-o", "json"]).await?);
        }
        let [first, last] = charts;
        Ok(Self {
            cluster: cluster.clone(),
            folder: folder.to_owned(),
            uid: tenant.uid.clone(),
            namespace: namespace.to_owned(),
            isolation: documents.join("\n---\n"),
            first,
            last,
            values,
            objects: contents(cluster, namespace).await?,
            writers: Semaphore::new(WRITERS_MAX),
        })
    }

    /// A namespace that nobody has.
    pub(crate) fn fresh(&self) -> Fresh<'_> {
        let uid = uuid::Uuid::new_v4();
        let simple = |text: &str| text.replace('-', "");
        let rename = |text: &str| {
            text.replace(&self.uid, &uid.to_string()).replace(&simple(&self.uid), &uid.simple().to_string())
        };
        Fresh {
            template: self,
            namespace: rename(&self.namespace),
            isolation: rename(&self.isolation),
            first: rename(&self.first),
            last: rename(&self.last),
        }
    }
}

/// The same in a namespace of its own.
pub(crate) struct Fresh<'a> {
    template: &'a Template,
    pub(crate) namespace: String,
    isolation: String,
    first: String,
    last: String,
}

impl Fresh<'_> {
    /// `kubectl apply` of the isolation and charts in one file, then until all workloads are ready; in milliseconds.
    pub(crate) async fn kubectl(&self) -> Result<f64> {
        let file = self.file("all.yaml", &format!("{}\n---\n{}{}", self.isolation, self.first, self.last))?;
        let started = Instant::now();
        self.apply(&file).await?;
        self.rolled_out().await?;
        Ok(millis(started))
    }

    /// The same, but what waits for others in the stack is applied when those are ready; in milliseconds.
    pub(crate) async fn kubectl_in_order(&self) -> Result<f64> {
        let first = self.file("first.yaml", &format!("{}\n---\n{}", self.isolation, self.first))?;
        let last = self.file("last.yaml", &self.last)?;
        let started = Instant::now();
        for file in [first, last] {
            self.apply(&file).await?;
            self.rolled_out().await?;
        }
        Ok(millis(started))
    }

    async fn rolled_out(&self) -> Result<()> {
        let arguments = ["rollout", "status", "deployments,statefulsets", "-n", &self.namespace, TIMEOUT];
        self.template.cluster.kubectl(&arguments).await.map(drop)
    }

    /// The namespace with its isolation, for Helm, which does not make them.
    pub(crate) async fn isolate(&self) -> Result<()> {
        let file = self.file("isolation.yaml", &self.isolation)?;
        self.apply(&file).await
    }

    /// `helm upgrade --install --wait` of every chart, in the stack's order; in milliseconds.
    pub(crate) async fn helm(&self) -> Result<f64> {
        let started = Instant::now();
        try_join3(self.install(FIRST[0]), self.install(FIRST[1]), self.install(FIRST[2])).await?;
        self.install(LAST).await?;
        Ok(millis(started))
    }

    async fn install(&self, release: &str) -> Result<()> {
        let values = self.template.values.get(release).map_or("{}", String::as_str);
        let values = self.file(&format!("{release}.json"), values)?;
        let chart = checkout().join("config/stacks/ai-fileserver/charts").join(release).display().to_string();
        let arguments =
            ["upgrade", release, &chart, "--install", "--wait", TIMEOUT, "-n", &self.namespace, "-f", &values];
        let _writer = self.template.writers.acquire().await?;
        self.template.cluster.helm(&arguments).await.map(drop)
    }

    async fn apply(&self, file: &str) -> Result<()> {
        let _writer = self.template.writers.acquire().await?;
        let arguments = ["apply", "--server-side", "--force-conflicts", "-n", &self.namespace, "-f", file];
        self.template.cluster.kubectl(&arguments).await.map(drop)
    }

    fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.template.folder.join(format!("{}-{name}", self.namespace));
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Holds what was made against the tenant that it was read from.
    pub(crate) async fn check(&self) -> Result<()> {
        let found = contents(&self.template.cluster, &self.namespace).await?;
        let differing: Vec<_> = found.symmetric_difference(&self.template.objects).collect();
        ensure!(differing.is_empty(), "{} differs from what landlord made: {differing:?}", self.namespace);
        Ok(())
    }
}

/// Removes namespaces and waits until they are gone.
pub(crate) async fn remove(cluster: &Cluster, namespaces: &[String]) -> Result<()> {
    let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    cluster.kubectl(&[&["delete", "namespace", TIMEOUT], names.as_slice()].concat()).await?;
    settled(cluster, namespaces).await
}

/// Waits until the disks of namespaces are gone: they go after their claims, and would burden whoever is measured next.
pub(crate) async fn settled(cluster: &Cluster, namespaces: &[String]) -> Result<()> {
    let disks = || async move {
        let volumes = cluster.kubectl_json(&["get", "persistentvolumes"]).await?;
        let of = |volume: &Value| volume.pointer("/spec/claimRef/namespace").and_then(Value::as_str).map(str::to_owned);
        let mut left = volumes["items"].as_array().into_iter().flatten().filter_map(of);
        Ok((!left.any(|namespace| namespaces.contains(&namespace))).then_some(()))
    };
    order::eventually("the disks of removed namespaces are gone", DISKS_TIMEOUT, disks).await
}

fn millis(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1_000.0
}

/// An object without what the API server wrote.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    let namespace = object["kind"] == "Namespace";
    if let Some(parts) = object.as_object_mut() {
        parts.remove("status");
        if namespace {
            parts.remove("spec");
        }
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
    }
    object
}

/// Kinds and names of what is in a namespace, without Helm's records.
async fn contents(cluster: &Cluster, namespace: &str) -> Result<BTreeSet<String>> {
    let all = cluster.kubectl_json(&["get", COMPARED, "-n", namespace]).await?;
    let items = all["items"].as_array().context("kubectl listed nothing")?;
    let line = |object: &Value| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", text("/kind"), text("/metadata/name"))
    };
    Ok(items.iter().map(line).filter(|line| !line.starts_with("Secret sh.helm.release")).collect())
}
