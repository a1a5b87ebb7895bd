//! The simulated clouds as a world uses them: the account, the provider's section of the daemon's
//! configuration, the classes on offer. What is the same for all clouds is not here.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::files::private;

/// A simulated cloud and the provider that works on it.
#[derive(Debug)]
pub struct Cloud {
    /// Provider, as the daemon's configuration names it.
    pub provider: &'static str,
    /// What users call it.
    pub title: &'static str,
    /// Account, project or subscription that the daemon works in.
    pub account: &'static str,
    /// Regions on offer; the first is the default.
    pub regions: [&'static str; 2],
    /// Machine sizes: for a bare cluster, and for the apps.
    pub machine_types: [&'static str; 2],
    /// How the simulator's types of what Kubernetes makes end: load balancers, disks.
    pub balancer_type: &'static str,
    /// As `balancer_type`, for disks.
    pub disk_type: &'static str,
    /// The quota of networks: its name in the simulator, and how it is named to users.
    pub network_quota: (&'static str, &'static str),
    /// How the simulator's type of a node's machine ends, or of what counts machines.
    pub machine_object: &'static str,
    /// The simulator's type of a node pool.
    pub pool_type: &'static str,
    /// Machines are no objects of their own: pools say how many there are.
    pub counts_machines: bool,
    /// Class parameters, TOML.
    pub parameters: &'static str,
    /// Credential scope, TOML; `{account}` and `{secret}` (a file) are filled in.
    credentials: &'static str,
    /// What the credential's secret file holds.
    secret: &'static str,
}

/// What names the file of trusted certificate authorities to plugins. Simulated clouds speak HTTP, and a debug build takes a good
/// part of a plugin's start to read the machine's hundred and more: a file of one is read instead.
pub(crate) const AUTHORITIES: &str = "SSL_CERT_FILE";

/// The file of the one authority, in a world's folder. Nobody has its key.
pub(crate) fn authorities(folder: &Path) -> PathBuf {
    folder.join("authorities.pem")
}

/// The stack of classes with all apps, TOML. No container runs in them: what asks apps and names is left out.
const STACK: &str = "stack = 'ai-fileserver'\nskip_checks = ['names', 'certificates', 'files', 'chat']\n";

/// Amazon EKS on the simulated AWS.
pub const EKS: Cloud = Cloud {
    provider: "eks",
    title: "AWS",
    account: "111122223333",
    regions: ["eu-central-1", "us-east-1"],
    machine_types: ["m7i.large", "m7i.xlarge"],
    balancer_type: "LoadBalancer",
    disk_type: "Volume",
    network_quota: ("vpcs", "VPC"),
    machine_object: "AWS::EC2::Instance",
    pool_type: "AWS::EKS::Nodegroup",
    counts_machines: false,
    parameters: "public_access_cidrs = ['203.0.113.0/24']",
    credentials: "kind = 'static'\naccess_key_id = 'AKIA{account}SIM0'\nsecret_access_key_file = '{secret}'",
    // The simulator knows this secret, and so verifies every signature.
    secret: "cloudsim",
};

/// Azure Kubernetes Service on the simulated Azure.
pub const AKS: Cloud = Cloud {
    provider: "aks",
    title: "Azure",
    account: "11111111-2222-4333-8444-555555555555",
    regions: ["germanywestcentral", "japaneast"],
    machine_types: ["Standard_D2s_v5", "Standard_D4s_v5"],
    balancer_type: "loadBalancers",
    disk_type: "disks",
    network_quota: ("virtual-networks", "virtual network"),
    machine_object: "managedClusters/agentPools",
    pool_type: "Microsoft.ContainerService/managedClusters/agentPools",
    counts_machines: true,
    parameters: "public_access_cidrs = ['203.0.113.0/24']",
    credentials: "kind = 'client_secret'\ntenant_id = '99999999-8888-4777-8666-555555555555'\n\
                  client_id = '12121212-3434-4565-8787-909090909090'\nclient_secret_file = '{secret}'",
    secret: "cloudsim",
};

/// Google Kubernetes Engine on the simulated GCP.
pub const GKE: Cloud = Cloud {
    provider: "gke",
    title: "Google Cloud",
    account: "landlord-sim",
    regions: ["europe-west3", "asia-northeast1"],
    machine_types: ["e2-standard-2", "e2-standard-4"],
    balancer_type: "ForwardingRule",
    disk_type: "Disk",
    network_quota: ("NETWORKS", "NETWORKS"),
    machine_object: "compute.googleapis.com/Instance",
    pool_type: "container.googleapis.com/NodePool",
    counts_machines: false,
    parameters: "public_access_cidrs = ['203.0.113.0/24']",
    credentials: "kind = 'access_token'\ntoken_file = '{secret}'",
    // The simulator takes the project from the token.
    secret: "ya29.sim-landlord-sim.landlordd",
};

/// All of them.
pub const ALL: [&Cloud; 3] = [&EKS, &GKE, &AKS];

impl Cloud {
    /// The cloud of a provider.
    #[must_use]
    pub fn of(provider: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|cloud| cloud.provider == provider)
    }

    /// The class of infrastructure only.
    #[must_use]
    pub fn bare_class(&self) -> String {
        format!("{}-cluster-bare", self.provider)
    }

    /// The class with all apps.
    #[must_use]
    pub fn small_class(&self) -> String {
        format!("{}-cluster-small", self.provider)
    }

    /// The class of [`Self::bare_shared_classes`] for a level: `namespace` or `node`.
    #[must_use]
    pub fn bare_shared_class(&self, level: &str) -> String {
        format!("{}-{level}-bare", self.provider)
    }

    /// Classes of the shared levels without apps, TOML: what a tenant's life requires of the cloud and of the isolation. Nothing
    /// is reserved, so that they fit the smallest host cluster: less than their quotas promise. Each cloud's own host clusters
    /// are chosen, since a class lives in its provider's.
    #[must_use]
    pub fn bare_shared_classes(&self) -> String {
        let class = |level: &str, keys: &str| {
            format!(
                "\n[classes.{}]\nlevel = '{}'\nprovider = '{}'\ncredentials = 'default'\nregions = ['{}']\n{keys}\n",
                self.bare_shared_class(level),
                level.to_uppercase(),
                self.provider,
                self.regions[0],
            )
        };
        let pool = format!("machine_type = '{}'\nnode_count = 1\nnode_count_max = 2", self.machine_types[0]);
        class("namespace", "hosts.reserve_percent = { cpu = 0, memory = 0, pods = 0 }") + &class("node", &pool)
    }

    /// Its part of the daemon's configuration; the secret and the authorities are written into `folder`.
    pub(crate) fn config(&self, folder: &Path, plugin: &Path, endpoint: &str, time_scale: f64) -> Result<String> {
        let secret = self.write_secret(folder)?;
        fs::write(authorities(folder), include_str!("authority.pem"))?;
        let library = fs::read(plugin).with_context(|| format!("can't read {}", plugin.display()))?;
        let credentials =
            self.credentials.replace("{account}", self.account).replace("{secret}", &secret.display().to_string());
        Ok(format!(
            "[providers.{provider}]\nplugin = '{}'\nsha256 = '{}'\nendpoint_override = '{endpoint}'\n\
             time_scale = {time_scale:.6}\nenvironment = ['{AUTHORITIES}']\n\
             [providers.{provider}.sandbox]\nread_paths = ['{}']\n\
             [providers.{provider}.credentials.default]\naccount = '{}'\n{credentials}\n",
            plugin.display(),
            hex::encode(Sha256::digest(library)),
            authorities(folder).display(),
            self.account,
            provider = self.provider,
        ))
    }

    fn write_secret(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(format!("{}-secret", self.provider));
        private(&path, &format!("{}\n", self.secret))?;
        Ok(path)
    }

    /// Its classes: one without apps, and where clusters have a Kubernetes one for each level with all apps.
    pub(crate) fn classes(&self, with_apps: bool) -> String {
        let own = "level = 'CLUSTER'\n";
        let parameters = self.parameters;
        let [bare, small] = self.machine_types.map(|machine| format!("{own}machine_type = '{machine}'\n"));
        let bare = format!("{bare}node_count = 1\nnode_count_max = 10\n");
        let mut text = self.class(&self.bare_class(), "own cluster without apps", &bare)
            + &format!("[classes.{}.parameters]\n{parameters}\n", self.bare_class());
        if with_apps {
            let nodes = format!("node_count = 2\nnode_count_max = 10\n{STACK}");
            text += &self.class(&self.small_class(), "own cluster, 2 nodes, all apps", &(small + &nodes));
            text += &format!("[classes.{}.parameters]\n{parameters}\n", self.small_class());
            text += &self.shared(
                "namespace",
                "an isolated namespace in a shared cluster, all apps",
                "level = 'NAMESPACE'\n",
            );
            let machine = self.machine_types[1];
            let node = format!("level = 'NODE'\nmachine_type = '{machine}'\nnode_count = 2\nnode_count_max = 10\n");
            text += &self.shared("node", "nodes of its own in a shared cluster, all apps", &node);
        }
        text
    }

    /// A class in host clusters with the label `tier=shared`.
    fn shared(&self, level: &str, what: &str, keys: &str) -> String {
        let name = format!("{}-{level}", self.provider);
        self.class(&name, what, &format!("{keys}{STACK}"))
            + &format!("[classes.{name}.hosts]\nlabels = {{ tier = 'shared' }}\n")
    }

    pub(crate) fn class(&self, name: &str, what: &str, keys: &str) -> String {
        let [first, second] = self.regions;
        format!(
            "[classes.{name}]\ndescription = '{}: {what}'\nprovider = '{}'\ncredentials = 'default'\n\
             regions = ['{first}', '{second}']\n{keys}",
            self.title, self.provider
        )
    }
}
