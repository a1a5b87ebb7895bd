//! What a plugin offers, and the tenants that it can be requested: stages by capability, tenants with a cluster of their own,
//! and tenants in a shared one.

use landlord_provider_api::v1;

use crate::{
    tenant::{Stage, Tenant},
    world::{Step, World, fail},
};

impl World {
    /// A new tenant, which is taken down after the case at the latest.
    pub fn tenant(&self) -> Tenant {
        let mut tenant = Tenant::new(&self.config);
        tenant.made.network = self.no_network();
        self.keep(&tenant);
        tenant
    }

    /// A tenant as a daemon sees it that has lost everything but the order.
    pub fn forgotten(&self, tenant: &Tenant) -> Tenant {
        let mut forgotten = tenant.forgotten();
        forgotten.made.network = self.no_network();
        forgotten
    }

    /// As the daemon describes the network where there is none of the tenant's own.
    fn no_network(&self) -> Option<v1::NetworkStatus> {
        (!self.offers(Stage::Network)).then(v1::NetworkStatus::default)
    }

    /// A new tenant whose node pools are in the cluster of `host`.
    pub fn guest(&self, host: &Tenant) -> Step<Tenant> {
        let Some(cluster) = host.made.cluster.clone() else { fail!("the host has no cluster") };
        let mut tenant = Tenant::new(&self.config);
        tenant.scope.host_cluster.clone_from(&cluster.name);
        tenant.pool.role = format!("t-{}", tenant.scope.tenant_uid.replace('-', ""));
        tenant.made.network.clone_from(&host.made.network);
        tenant.made.cluster = Some(cluster);
        self.keep(&tenant);
        Ok(tenant)
    }

    /// The same order once more, after everything of it is gone.
    pub fn again(&self, tenant: &Tenant) -> Tenant {
        let mut again = self.forgotten(tenant);
        again.scope.generation += 1;
        self.keep(&again);
        again
    }

    /// What the plugin's description said when the run began.
    pub fn capabilities(&self) -> &[String] {
        self.offered.get().map_or(&[], Vec::as_slice)
    }

    /// Whether the plugin offers a stage: what it does not offer it is not requested.
    pub fn offers(&self, stage: Stage) -> bool {
        stage.capability().is_none_or(|word| self.capabilities().iter().any(|stated| stated == word))
    }

    /// Stages that the plugin offers, in an order in which each has what it needs.
    pub fn stages(&self) -> Vec<Stage> {
        Stage::ALL.into_iter().filter(|stage| self.offers(*stage)).collect()
    }

    /// The same as the daemon runs them side by side.
    pub fn waves(&self) -> Vec<Vec<Stage>> {
        let offered = |wave: &&[Stage]| wave.iter().copied().filter(|stage| self.offers(*stage)).collect();
        Stage::WAVES.iter().map(offered).filter(|wave: &Vec<Stage>| !wave.is_empty()).collect()
    }
}

/// The stage of a word in the configuration, under `key`.
pub(crate) fn stage_named(word: &str, key: &str) -> Step<Stage> {
    match Stage::ALL.into_iter().find(|stage| stage.word() == word) {
        Some(stage) => Ok(stage),
        None => fail!("{key} is {word:?}, not one of {}", Stage::ALL.map(Stage::word).join(", ")),
    }
}
