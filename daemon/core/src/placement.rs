//! Where an environment is built and of what: a class resolved for one environment, and kept with it for life.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ChecksFrom, ClassName, NodeScaling, PlatformName, PlatformOptions, ProviderName, ServiceRules, StackName,
    isolation::IsolationSettings, revision::Revisions,
};

/// Isolation level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// A cluster per tenant.
    Cluster,
    /// A node pool in a shared cluster.
    Node,
    /// A namespace in a shared cluster.
    Namespace,
}

impl Level {
    /// Whether tenants of this level live in a host cluster.
    #[must_use]
    pub fn is_shared(self) -> bool {
        match self {
            Self::Cluster => false,
            Self::Node | Self::Namespace => true,
        }
    }

    /// Its name in configuration and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "CLUSTER",
            Self::Node => "NODE",
            Self::Namespace => "NAMESPACE",
        }
    }
}

/// One plugin with one credential scope: the unit that runs in a child process of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderKey {
    /// Provider.
    pub provider: ProviderName,
    /// Credential scope.
    pub credentials: String,
}

impl fmt::Display for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.credentials)
    }
}

/// A class resolved for one tenant; stored with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Class.
    pub class: ClassName,
    /// Rule that chose it; empty: the spec named the class.
    pub rule: String,
    /// Isolation level.
    pub level: Level,
    /// Provider.
    pub provider: ProviderName,
    /// Credential scope.
    pub credentials: String,
    /// Account that the credential scope belongs to; empty: unknown.
    pub account: String,
    /// Region.
    pub region: String,
    /// Stack.
    pub stack: Option<StackName>,
    /// Platform of the cluster that is made; `None`: none is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// What the class chooses of it.
    #[serde(default, skip_serializing_if = "PlatformOptions::is_default")]
    pub platform_options: PlatformOptions,
    /// Machine size.
    pub machine_type: String,
    /// Nodes.
    pub node_count: u32,
    /// Nodes beyond these, when pods wait for them; `None`: the class never ordered any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_scaling: Option<NodeScaling>,
    /// Root disk in GiB; 0: the provider's default.
    pub disk_size_gib: u32,
    /// The provider's own parameters.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// What isolates the namespace of a tenant in a shared cluster; `None`: it has a cluster of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<IsolationSettings>,
    /// Checks of the stack that the class leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip_checks: Vec<String>,
    /// From where its addresses must be reached before it is READY; what was placed before there was a choice: from anywhere.
    #[serde(default, skip_serializing_if = "ChecksFrom::is_default")]
    pub checks_from: ChecksFrom,
    /// What the class promises of an environment once it is READY.
    #[serde(default, skip_serializing_if = "ServiceRules::is_default")]
    pub service: ServiceRules,
    /// The revisions of stack and platform that it runs.
    #[serde(default, skip_serializing_if = "Revisions::is_default")]
    pub revisions: Revisions,
}

impl Placement {
    /// Most nodes that it may come to, whoever scales its pool, which its customer's contract counts.
    #[must_use]
    pub fn nodes_max(&self) -> u32 {
        self.node_scaling.as_ref().map_or(0, |scaling| scaling.nodes_max).max(self.node_count)
    }

    /// This placement for an environment that is placed as `left` says: machines that were ordered there are not forgotten, but go.
    #[must_use]
    pub fn instead_of(self, left: &Self) -> Self {
        let withdrawn = left.node_scaling.as_ref().map(|_| NodeScaling::withdrawn());
        Self { node_scaling: self.node_scaling.or(withdrawn), ..self }
    }

    /// Of what no class was resolved for: nothing is chosen but where it is.
    #[must_use]
    pub fn without_choices(class: ClassName, level: Level, key: ProviderKey, account: String, region: String) -> Self {
        Self {
            class,
            rule: String::new(),
            level,
            provider: key.provider,
            credentials: key.credentials,
            account,
            region,
            stack: None,
            platform: None,
            platform_options: PlatformOptions::default(),
            machine_type: String::new(),
            node_count: 0,
            node_scaling: None,
            disk_size_gib: 0,
            parameters: serde_json::Map::new(),
            guardrails: None,
            skip_checks: Vec::new(),
            checks_from: ChecksFrom::default(),
            service: ServiceRules::default(),
            revisions: Revisions::default(),
        }
    }

    /// The account on whose rate limits its calls count: provider, and account, or credential scope where no account is named.
    #[must_use]
    pub fn account_key(&self) -> String {
        let account = if self.account.is_empty() { &self.credentials } else { &self.account };
        format!("{}/{account}", self.provider)
    }

    /// The plugin, with its credential scope, that builds it.
    #[must_use]
    pub fn provider_key(&self) -> ProviderKey {
        ProviderKey { provider: self.provider.clone(), credentials: self.credentials.clone() }
    }
}
