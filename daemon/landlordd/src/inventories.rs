//! Compares what clouds and host clusters hold with a store that goes on from a copy. Knows no cloud.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use landlord_core::{ProviderName, ports::ProviderKey};
use landlord_engine::{EngineHandle, HostInventories, Inventories};
use landlord_plugin_host::PluginHost;
use landlord_store::Store;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config::Checked, in_cluster};

/// Compares until done or cancelled.
pub(crate) fn start(
    (checked, clusters, daemon): (&Checked, &in_cluster::InCluster, &str),
    store: &Arc<Store>,
    providers: &Arc<PluginHost>,
    wake: &EngineHandle,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) {
    let clouds = inventories((checked, daemon), store.clone(), providers.clone(), wake.clone());
    tasks.spawn(clouds.compare(stop.clone()));
    let hosts = host_inventories((checked, daemon), store.clone(), providers.clone(), clusters);
    tasks.spawn(hosts.compare(stop.clone()));
}

/// What compares the clouds' inventories with a store that goes on from a copy.
fn inventories(
    (checked, daemon): (&Checked, &str),
    store: Arc<Store>,
    providers: Arc<PluginHost>,
    wake: EngineHandle,
) -> Inventories {
    let (installation, regions) = (checked.installation.clone(), regions(checked));
    let key = |(provider, credentials): &(ProviderName, String)| ProviderKey {
        provider: provider.clone(),
        credentials: credentials.clone(),
    };
    let accounts = checked.catalog.accounts.iter().map(|(scope, account)| (key(scope), account.clone())).collect();
    let daemon = daemon.to_owned();
    Inventories { installation, regions, accounts, daemon, store, providers, wake: Arc::new(wake) }
}

/// What compares the namespaces of host clusters with the store.
fn host_inventories(
    (checked, daemon): (&Checked, &str),
    store: Arc<Store>,
    providers: Arc<PluginHost>,
    clusters: &in_cluster::InCluster,
) -> HostInventories {
    let (installation, host_clusters) = (checked.installation.clone(), clusters.isolation.clone());
    HostInventories { installation, daemon: daemon.to_owned(), store, providers, host_clusters }
}

/// Where environments can be by the configuration.
fn regions(checked: &Checked) -> BTreeMap<ProviderName, BTreeSet<String>> {
    let mut regions: BTreeMap<ProviderName, BTreeSet<String>> = BTreeMap::new();
    for class in checked.catalog.classes.values() {
        regions.entry(class.provider.clone()).or_default().extend(class.regions.iter().cloned());
    }
    regions
}
