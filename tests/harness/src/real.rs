//! A world whose pods are real: the stack `ai-fileserver-pg` with the images that are put together on this machine.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use landlord_test_kube::{images, node_socket, node_sockets, proxy, python_env};

use crate::{Cloud, binaries::checkout};

/// The platform that it stands on.
const PLATFORM: &str = "standard";
/// Its charts that are referenced, and the folder of each among those of this machine.
const CHARTS: [(&str, &str); 3] = [
    ("oci://quay.io/jetstack/charts/cert-manager", "cert-manager"),
    ("oci://docker.io/envoyproxy/gateway-helm", "gateway-helm"),
    ("oci://docker.io/envoyproxy/gateway-crds-helm", "gateway-crds-helm"),
];
/// Directory of the ACME server in a node's network, which stands for one on the Internet.
const ACME_DIRECTORY: &str = "https://10.255.0.1:14000/dir";
/// A node's DNS server, and where updates for challenges by DNS-01 are taken.
const NAME_SERVER: &str = "10.255.0.1:53";
const UPDATES: &str = "10.255.0.1:5300";
/// The stack that real pods run.
pub const STACK: &str = "ai-fileserver-pg";
/// Its releases, which are also the names of the images.
const RELEASES: [&str; 4] = ["files", "vectors", "llm", "chat"];
/// What only one release takes, TOML: small models, bounded responses, a document known soon.
const OWN_VALUES: [(&str, &str); 2] = [
    ("llm", "models = ['smollm2', 'all-minilm']\n"),
    (
        "chat",
        "extraEnv = { FROM_INIT_PY = 'true' }\nfiles = { intervalSeconds = 10 }\nimage.readOnlyRoot = true\n\
         llm = { chatModel = 'smollm2:latest', embeddingModel = 'all-minilm', tokensMax = 48, \
         ragTemplate = \"{{CONTEXT}}\\nAnswer from the text above.\" }\n",
    ),
];

/// The authority that the daemon's checks trust, in the world's folder.
const AUTHORITY: &str = "acme-root.pem";
/// How often a node's ACME server is asked for it, and one that has answered: it may have been started again.
const TRUST_POLL: Duration = Duration::from_secs(1);
const KNOWN_POLL: Duration = Duration::from_secs(20);

/// Where the programs are by which tests and the quickstart use the apps as their customers do.
#[must_use]
pub fn customer_scripts() -> PathBuf {
    checkout().join("tests/kube/tests/use")
}

/// Python for them, made first if it is missing, which needs the package index.
///
/// # Errors
/// As [`python_env`].
pub fn customer_python() -> Result<PathBuf> {
    Ok(python_env(&customer_scripts().join("requirements.txt"))?)
}

/// Values of an installation whose nodes have this machine's images and processors, TOML.
#[must_use]
pub fn values() -> String {
    let mut text = String::new();
    for release in RELEASES {
        let own = OWN_VALUES.iter().find(|(name, _)| *name == release).map_or("", |(_, values)| *values);
        let _ = write!(
            text,
            "[deploy.values.{STACK}.{release}]\nimage.repository = 'landlord.test/{release}'\nimage.tag = '1'\n\
             resources = {{ requests = {{ cpu = '50m', memory = '64Mi' }}, limits = {{ memory = '1Gi' }} }}\n{own}"
        );
    }
    text
}

/// The platform with this machine's charts and images and the ACME server beside the nodes, TOML. `cloud_folder` is the
/// simulator's, which has made that server's certificate.
///
/// # Errors
/// Charts that can't be put together, no certificate.
pub(crate) fn platform(cloud_folder: &Path) -> Result<String> {
    let charts = images(&["charts"])?.pop().context("no charts")?;
    let certificate = cloud_folder.join("clusters/acme/acme.crt");
    let certificate = fs::read(&certificate).with_context(|| format!("can't read {}", certificate.display()))?;
    let mut text = "[deploy.chart_mirrors]\n".to_owned();
    for (reference, folder) in CHARTS {
        let _ = writeln!(text, "'{reference}' = '{}'", charts.join(folder).display());
    }
    let tag = "image.tag = '1'\n";
    let requests = "resources = { requests = { cpu = '20m', memory = '64Mi' } }\n";
    let at = format!("deploy.values.{PLATFORM}");
    let _ = write!(
        text,
        "[{at}.certificates]\nimageRegistry = 'landlord.test'\nimageNamespace = ''\n{tag}\
         # The program that is built here serves no health port.\n\
         livenessProbe.enabled = false\n\
         extraArgs = ['--dns01-recursive-nameservers={NAME_SERVER}']\n\
         [{at}.certificates.webhook]\n{tag}[{at}.certificates.cainjector]\n{tag}\
         [{at}.certificates.acmesolver]\n{tag}\
         [{at}.gateway.global.images.envoyGateway]\nimage = 'landlord.test/gateway:1'\n\
         [{at}.gateway.deployment.envoyGateway]\n{requests}\
         [{at}.gateway.config.envoyGateway.provider]\ntype = 'Kubernetes'\n\
         kubernetes.shutdownManager.image = 'landlord.test/gateway:1'\n\
         [{at}.edge.proxy]\nimage = 'landlord.test/envoy:1'\nreplicas = 1\n{requests}\
         [{at}.edge.issuer]\nkind = 'acme'\nacme = {{ server = '{ACME_DIRECTORY}', caBundle = '{}', \
         solvers = [{{ dns01 = {{ rfc2136 = {{ nameserver = '{UPDATES}', protocol = 'TCP' }} }} }}] }}\n",
        STANDARD.encode(certificate),
    );
    Ok(text)
}

/// What stands for the Internet around such a world: nothing outside of the machine is dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outside {
    /// Answers names of the clouds' zones.
    pub(crate) resolver: SocketAddr,
    /// Leads to public addresses, which are nodes'.
    proxy: SocketAddr,
}

impl Outside {
    /// Leads to the nodes of the world in `folder`; the simulator answers at the resolver's address.
    ///
    /// # Errors
    /// No free port.
    pub(crate) fn open(folder: &Path, clusters_in: fn(&Path) -> Vec<PathBuf>) -> Result<Self> {
        let folder = folder.to_owned();
        let nodes = move || clusters_in(&folder).iter().flat_map(|cluster| node_sockets(cluster)).collect();
        let [.., high, low] = std::process::id().to_be_bytes();
        // Where name servers listen; an address for each process, since that port can't be chosen.
        let resolver = SocketAddr::from(([127, 53, high, low.max(1)], 53));
        Ok(Self { resolver, proxy: proxy(nodes).context("no proxy to the nodes")? })
    }
}

/// What the daemon's own checks use in such a world, TOML: names of the cloud's zones, public addresses through the proxy, and the
/// ACME servers' authorities once [`trust`] has written them.
pub(crate) fn checks(folder: &Path, outside: &Outside) -> String {
    format!(
        "[deploy.checks]\nfrom_outside = true\nresolver = '{}'\nproxy = '{}'\ntrusted_ca = '{}'\n",
        outside.resolver,
        outside.proxy,
        folder.join(AUTHORITY).display()
    )
}

/// Keeps the authorities of the nodes' ACME servers in the world's folder, until the folder is gone: each makes a new one at each
/// start. Those of before stay trusted, as certificates of before are in use.
pub(crate) fn trust(folder: &Path, clusters_in: fn(&Path) -> Vec<PathBuf>) {
    let (folder, script) = (folder.to_owned(), customer_scripts().join("root.py"));
    std::thread::spawn(move || {
        let mut asked: BTreeMap<PathBuf, Instant> = BTreeMap::new();
        while folder.is_dir() {
            for cluster in clusters_in(&folder) {
                if asked.get(&cluster).is_some_and(|at| at.elapsed() < KNOWN_POLL) {
                    continue;
                }
                let found = folder.join(format!("{AUTHORITY}.found"));
                let mut python = Command::new("python3");
                python.arg(&script).arg(node_socket(&cluster)).arg(&found);
                if python.output().is_ok_and(|output| output.status.success()) {
                    asked.insert(cluster, Instant::now());
                    // Tried again with the next look.
                    let _ = add(&folder.join(AUTHORITY), &found);
                }
            }
            std::thread::sleep(TRUST_POLL);
        }
    });
}

/// Adds what one file has to another one, unless it is there already.
fn add(to: &Path, from: &Path) -> std::io::Result<()> {
    let (new, mut all) = (fs::read_to_string(from)?, fs::read_to_string(to).unwrap_or_default());
    if all.contains(new.trim()) {
        return Ok(());
    }
    all += &new;
    let whole = to.with_extension("new");
    fs::write(&whole, all)?;
    fs::rename(whole, to)
}

impl Cloud {
    /// The class with the real stack in a cluster of its own.
    #[must_use]
    pub fn real_class(&self) -> String {
        format!("{}-cluster-real", self.provider)
    }

    /// That class, TOML: one machine, which runs containers.
    #[must_use]
    pub fn real_classes(&self) -> String {
        let machine = self.machine_types[1];
        let keys = format!(
            "level = 'CLUSTER'\nmachine_type = '{machine}'\nnode_count = 1\nnode_count_max = 2\nstack = '{STACK}'\nplatform = '{PLATFORM}'\n"
        );
        self.class(&self.real_class(), "own cluster, 1 node, real pods", &keys)
            + &format!("[classes.{}.parameters]\n{}\n", self.real_class(), self.parameters)
            + &self.real_shared(&self.real_namespace_class(), "NAMESPACE", "", "wildcard")
            + &self.real_shared(
                &self.real_node_class(),
                "NODE",
                &format!("machine_type = '{machine}'\nnode_count = 1\nnode_count_max = 2\n"),
                "listed",
            )
    }

    /// The class with the real stack in a namespace of a host cluster of [`Self::real_class`].
    #[must_use]
    pub fn real_namespace_class(&self) -> String {
        format!("{}-namespace-real", self.provider)
    }

    /// The class with the real stack on a node of its own in such a host cluster, whose names are listed: proven by HTTP-01.
    #[must_use]
    pub fn real_node_class(&self) -> String {
        format!("{}-node-real", self.provider)
    }

    /// A class of a shared level, TOML: listeners for these names in the platform's Gateway, a load balancer for SFTP, and nothing
    /// reserved, since the nodes have only this machine's processors.
    fn real_shared(&self, name: &str, level: &str, more: &str, names: &str) -> String {
        let keys = format!("level = '{level}'\nstack = '{STACK}'\n{more}");
        self.class(name, "in a shared cluster, real pods", &keys)
            + &format!(
                "[classes.{name}.hosts]\nlabels = {{ tier = 'shared' }}\n\
                 reserve_percent = {{ cpu = 0, memory = 0, pods = 0 }}\n\
                 [classes.{name}.guardrails]\nload_balancers = 1\n\
                 [classes.{name}.guardrails.gateway]\nclass = 'landlord'\n\
                 certificate = {{ cluster_issuer = 'landlord' }}\nnames = '{names}'\n"
            )
    }
}
