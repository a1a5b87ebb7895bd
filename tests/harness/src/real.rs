//! A world whose pods are real: the stack `ai-fileserver-pg` with the images that are put together on this machine.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use landlord_test_kube::{images, node_socket};

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
/// How often the ACME server is requested it.
const TRUST_POLL: Duration = Duration::from_secs(1);

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
         [{at}.certificates.webhook]\n{tag}[{at}.certificates.cainjector]\n{tag}\
         [{at}.certificates.acmesolver]\n{tag}\
         [{at}.gateway.global.images.envoyGateway]\nimage = 'landlord.test/gateway:1'\n\
         [{at}.gateway.deployment.envoyGateway]\n{requests}\
         [{at}.gateway.config.envoyGateway.provider]\ntype = 'Kubernetes'\n\
         kubernetes.shutdownManager.image = 'landlord.test/gateway:1'\n\
         [{at}.edge.proxy]\nimage = 'landlord.test/envoy:1'\nreplicas = 1\n{requests}\
         [{at}.edge.issuer]\nkind = 'acme'\nacme = {{ server = '{ACME_DIRECTORY}', caBundle = '{}' }}\n",
        STANDARD.encode(certificate),
    );
    Ok(text)
}

/// What the daemon's own checks use in such a world, TOML: nothing outside of the machine is dialled, and the ACME server's
/// authority is trusted once [`trust`] has written it.
pub(crate) fn checks(folder: &Path) -> String {
    format!("[deploy.checks]\nfrom_outside = false\ntrusted_ca = '{}'\n", folder.join(AUTHORITY).display())
}

/// Writes the authority of a node's ACME server into the world's folder as soon as that server responds: it makes a new one at
/// each start. Ends with that, or when the folder is gone.
pub(crate) fn trust(folder: &Path, clusters_in: fn(&Path) -> Vec<PathBuf>) {
    let (folder, script) = (folder.to_owned(), checkout().join("tests/kube/tests/use/root.py"));
    std::thread::spawn(move || {
        while folder.is_dir() {
            for cluster in clusters_in(&folder) {
                let mut python = Command::new("python3");
                python.arg(&script).arg(node_socket(&cluster)).arg(folder.join(AUTHORITY));
                if python.output().is_ok_and(|output| output.status.success()) {
                    return;
                }
            }
            std::thread::sleep(TRUST_POLL);
        }
    });
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
    }
}
