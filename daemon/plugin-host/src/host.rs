//! All plugins of the daemon.

use std::{collections::BTreeMap, sync::Arc};

use landlord_core::{
    ErrorKind, Failure,
    ports::{ProviderHealth, ProviderKey, Providers},
};
use landlord_provider_api::{Provider, v1::DescribeResponse};

use crate::Plugin;

/// The plugins by provider and credential scope.
#[derive(Debug, Default)]
pub struct PluginHost {
    plugins: BTreeMap<ProviderKey, Arc<Plugin>>,
}

impl PluginHost {
    /// A host of these plugins.
    #[must_use]
    pub fn new(plugins: BTreeMap<ProviderKey, Arc<Plugin>>) -> Self {
        Self { plugins }
    }
}

impl Providers for PluginHost {
    fn provider(&self, key: &ProviderKey) -> Result<Arc<dyn Provider>, Failure> {
        match self.plugins.get(key) {
            Some(plugin) => Ok(Arc::clone(plugin) as Arc<dyn Provider>),
            None => Err(Failure::new(ErrorKind::Invalid, format!("provider {key} is not configured"))
                .with_remedy("configure it, or move the tenant to a class of another provider")),
        }
    }

    fn description(&self, key: &ProviderKey) -> Option<DescribeResponse> {
        self.plugins.get(key)?.description().cloned()
    }

    fn start_failure(&self, key: &ProviderKey) -> Option<String> {
        self.plugins.get(key).map_or_else(|| Some("it is not configured".into()), |plugin| plugin.start_failure())
    }

    fn renew_credentials(&self, key: &ProviderKey) {
        if let Some(plugin) = self.plugins.get(key) {
            plugin.renew_credentials();
        }
    }

    fn health(&self) -> Vec<ProviderHealth> {
        self.plugins.values().map(|plugin| plugin.health()).collect()
    }
}
