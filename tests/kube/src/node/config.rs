//! Files that a node's programs read, and what is started in which order.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::NodeOptions;
use crate::{
    connect::{self, NODES_MAX},
    debian::TRIPLET,
    error::{Error, Result},
    node_artifacts::NodeArtifacts,
};

/// The first node's only address, on its loopback interface: nothing leads to it but what is in the node and in those beside it.
pub(crate) const ADDRESS: &str = "10.255.0.1";
/// Where pods ask for names: network policies do not govern it, as with a cache on each node.
const DNS_ADDRESS: &str = "10.255.0.53";
/// Port at which its DNS server asks for names outside of the cluster; pods reach it, too.
const RESOLVER_PORT: u16 = 5300;

/// Address of the node with a number, the first one's being 0.
pub(super) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 255, 0, number.saturating_add(1))
}

/// Addresses of the pods of the node with a number whose control plane keeps its data in `data_dir`: no part of those that kwok
/// hands out on its first node. Most control planes of a machine have different ones, so that one's pod is not taken for
/// another's.
pub(super) fn pods(data_dir: &Path, number: u8) -> String {
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    format!("10.245.{}.0/24", digest[0] % (u8::MAX / NODES_MAX) * NODES_MAX + number)
}

/// The container that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "landlord.test/pause:1";
/// Soft limit of each program's memory, as for the control plane.
const MEMORY_SOFT_MAX: &str = "160MiB";

/// Where everything of one node is.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Of the node among those of its control plane.
    pub(super) number: u8,
    pub(super) folder: PathBuf,
    pub(super) logs: PathBuf,
    pub(super) sockets: PathBuf,
    /// The API server of the machine, for the node.
    pub(super) apiserver: PathBuf,
    /// Whatever the node reaches, for the machine: HTTP CONNECT.
    pub(super) connect: PathBuf,
    pub(super) containerd: PathBuf,
    pub(super) spec: PathBuf,
    /// Made when the node knows its images: pods must not find it without, or they wait as long as a pull takes to fail.
    pub(super) images_known: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path, number: u8) -> Self {
        let sockets = connect::sockets(folder);
        Self {
            number,
            folder: folder.to_owned(),
            logs: folder.join("logs"),
            apiserver: sockets.join("apiserver.sock"),
            connect: sockets.join("connect.sock"),
            containerd: sockets.join("containerd.sock"),
            sockets,
            spec: folder.join("spec.json"),
            images_known: folder.join("images-known"),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        std::fs::write(&path, text).map_err(Error::file("write", path))
    }

    /// Writes all files.
    pub(super) fn write_all(
        &self,
        artifacts: &NodeArtifacts,
        options: &NodeOptions,
        kubeconfig: &Path,
        ca: &Path,
        api_port: u16,
        cgroup: &str,
    ) -> Result<()> {
        self.write("containerd.toml", &self.containerd_toml(artifacts))?;
        self.write("cni/10-bridge.conflist", &self.bridge())?;
        self.write("kubelet.yaml", &self.kubelet(ca, cgroup, &options.provider_id).to_string())?;
        self.write("kube-proxy.yaml", &proxy(kubeconfig, &options.name).to_string())?;
        self.write("Corefile", &corefile(kubeconfig, address(self.number), options.resolver.is_some()))?;
        if let Some(acme) = &options.acme {
            self.write("acme.json", &acme.config())?;
        }
        let spec = Spec {
            address: address(self.number),
            dns_address: DNS_ADDRESS,
            connect: self.connect.clone(),
            api_server_port: api_port,
            api_server_socket: self.apiserver.clone(),
            relays: self.relays(options, api_port),
            parts: self.parts(artifacts, options, kubeconfig),
        };
        self.write("spec.json", &serde_json::to_string_pretty(&spec).unwrap_or_default())
    }

    /// Ways out of the node: for pods to the API server, for its DNS server to the names outside.
    fn relays(&self, options: &NodeOptions, api_port: u16) -> Vec<Way> {
        let own = address(self.number);
        let way = |listen: String, to: &Path| Way { listen, to: format!("unix:{}", to.display()) };
        let resolver = options.resolver.iter().map(|socket| way(format!("tcp:{own}:{RESOLVER_PORT}"), socket));
        [way(format!("tcp:{own}:{api_port}"), &self.apiserver)].into_iter().chain(resolver).collect()
    }

    fn containerd_toml(&self, artifacts: &NodeArtifacts) -> String {
        format!(
            r#"version = 3
root = "{root}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE a negative score is refused.
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{programs}"]
  conf_dir = "{cni}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    BinaryName = "{runc}"
    SystemdCgroup = false
"#,
            root = self.path("containerd"),
            socket = self.containerd.display(),
            programs = artifacts.programs().display(),
            cni = self.path("cni"),
            runc = artifacts.program("runc").display(),
        )
    }

    fn bridge(&self) -> String {
        json!({
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
                    "ipam": {
                        "type": "host-local", "dataDir": self.path("addresses"),
                        "ranges": [[{ "subnet": pods(self.folder.parent().unwrap_or(&self.folder), self.number) }]], "routes": [{ "dst": "0.0.0.0/0" }],
                    },
                },
            ],
        })
        .to_string()
    }

    fn kubelet(&self, ca: &Path, cgroup: &str, provider_id: &str) -> serde_json::Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            // Both generations of cgroups will do.
            "failCgroupV1": false,
            "providerID": provider_id,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{cgroup}"),
            "failSwapOn": false,
            "oomScoreAdj": 0,
            "containerRuntimeEndpoint": format!("unix://{}", self.containerd.display()),
            // Its pods can reach it: only who has a certificate of the cluster's authority is admitted.
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": false },
                "x509": { "clientCAFile": ca },
            },
            "authorization": { "mode": "AlwaysAllow" },
            "address": address(self.number),
            "healthzPort": 0,
            "readOnlyPort": 0,
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "makeIPTablesUtilChains": false,
            "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": self.path("pod-logs"),
            "volumePluginDir": self.path("volume-plugins"),
            "syncFrequency": "10s",
        })
    }

    fn parts(&self, artifacts: &NodeArtifacts, options: &NodeOptions, kubeconfig: &Path) -> Vec<Part> {
        let nodebox = artifacts.program("nodebox").display().to_string();
        let libraries = artifacts.nft_root().join("usr/lib").join(TRIPLET);
        let nft = artifacts.nft_root().join("usr/sbin");
        let labels: Vec<String> = options.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let kubelet = [
            nodebox.clone(),
            "kubelet".into(),
            format!("--config={}", self.path("kubelet.yaml")),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={}", options.name),
            format!("--node-ip={}", address(self.number)),
            format!("--node-labels={}", labels.join(",")),
            format!("--register-with-taints={}", options.taints.join(",")),
            // Sockets are in there too.
            format!("--root-dir={}", self.sockets.join("kubelet").display()),
            format!("--cert-dir={}", self.path("kubelet-pki")),
        ];
        let containerd = artifacts.program("containerd").display().to_string();
        let dns = artifacts.program("dns").display().to_string();
        let mut parts = vec![
            self.part("containerd", "", &[containerd, "--config".into(), self.path("containerd.toml")], artifacts),
            self.part("dns", "", &[dns, "-conf".into(), self.path("Corefile")], artifacts),
            self.part("kubelet", &self.images_known.display().to_string(), &kubelet, artifacts),
            Part {
                env: environment(&[
                    ("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", nft.display())),
                    ("LD_LIBRARY_PATH", libraries.display().to_string()),
                ]),
                ..self.part(
                    "kube-proxy",
                    "",
                    &[nodebox, "kube-proxy".into(), format!("--config={}", self.path("kube-proxy.yaml"))],
                    artifacts,
                )
            },
        ];
        parts.push(self.policies(artifacts, options, kubeconfig));
        if options.acme.is_some() {
            let pebble = artifacts.program("pebble").display().to_string();
            let command =
                [pebble, "-config".into(), self.path("acme.json"), "-dnsserver".into(), format!("{ADDRESS}:53")];
            let mut acme = self.part("acme", "", &command, artifacts);
            // It would refuse a twentieth of what is right, and wait before it checks.
            acme.env.extend([("PEBBLE_WFE_NONCEREJECT", "0"), ("PEBBLE_VA_NOSLEEP", "1")].map(owned));
            parts.push(acme);
        }
        parts
    }

    /// Enforces network policies, once the node is known to the API server.
    fn policies(&self, artifacts: &NodeArtifacts, options: &NodeOptions, kubeconfig: &Path) -> Part {
        let root = artifacts.iptables_root();
        let libraries = root.join("usr/lib").join(TRIPLET);
        let program = artifacts.program("policybox").display().to_string();
        let command = [program, kubeconfig.display().to_string(), options.name.clone(), DNS_ADDRESS.to_owned()];
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", root.join("usr/sbin").display());
        let env = [
            ("PATH", path),
            ("XTABLES_LIBDIR", libraries.join("xtables").display().to_string()),
            ("LD_LIBRARY_PATH", libraries.display().to_string()),
        ];
        Part { env: environment(&env), ..self.part("policies", "", &command, artifacts) }
    }

    fn part(&self, name: &str, after: &str, command: &[String], artifacts: &NodeArtifacts) -> Part {
        Part {
            name: name.to_owned(),
            after: after.to_owned(),
            command: command.to_vec(),
            env: environment(&[("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", artifacts.programs().display()))]),
            log: self.logs.join(format!("{name}.log")),
        }
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn environment(pairs: &[(&str, String)]) -> BTreeMap<String, String> {
    let fixed = [("HOME", "/nonexistent".to_owned()), ("GOMEMLIMIT", MEMORY_SOFT_MAX.to_owned())];
    pairs.iter().chain(&fixed).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn proxy(kubeconfig: &Path, name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": name,
        "clientConnection": { "kubeconfig": kubeconfig },
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // Limits of the whole machine, which a network namespace may not change.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    })
}

/// Names of the cluster, and others if somebody outside resolves them: else whoever requests one is refused.
fn corefile(kubeconfig: &Path, own: Ipv4Addr, resolver: bool) -> String {
    let outside = if resolver {
        format!("  forward . {own}:{RESOLVER_PORT} {{\n    force_tcp\n    max_fails 0\n  }}\n")
    } else {
        String::new()
    };
    format!(
        ".:53 {{\n  bind {own} {DNS_ADDRESS}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}\n    \
         ttl 5\n  }}\n{outside}}}\n",
        kubeconfig.display()
    )
}

/// As `nodebox init` reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    address: Ipv4Addr,
    dns_address: &'static str,
    connect: PathBuf,
    api_server_port: u16,
    api_server_socket: PathBuf,
    relays: Vec<Way>,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Way {
    listen: String,
    to: String,
}

#[derive(Serialize)]
struct Part {
    name: String,
    after: String,
    command: Vec<String>,
    env: BTreeMap<String, String>,
    log: PathBuf,
}
