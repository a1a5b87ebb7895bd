//! Command lines of the parts of a control plane.
//!
//! Knows nothing about running them. Settings differ from a production cluster's where that saves memory or
//! time and no test can notice: no peers, no leader election, no fsync, only the controllers that workloads need.

use std::{path::Path, process::Command};

use serde_json::json;

use crate::{
    Artifacts,
    cloud::FAKE_NODE,
    connect,
    credentials::Credentials,
    error::{Error, Result},
    node::config::ADDRESS,
    ports::Ports,
};

/// Cluster IPs of Services. EKS's default, which no VPC of the tests overlaps.
const SERVICE_RANGE: &str = "10.100.0.0/16";
/// Pods' addresses; kwok hands them out.
const POD_RANGE: &str = "10.244.0.0/16";
/// How long the API server believes a response of the authentication webhook. Short, so that a revoked access entry
/// is seen by tests soon; long enough that a burst of calls with one token causes one review.
const TOKEN_CACHE_TTL: &str = "5s";
/// Go starts to collect harder here. Well above the working set of a tenant's cluster with the Gateway API's and a platform's
/// definitions, so it costs nothing until something grows: near it, a fifth of the processor's time went into collecting. It is
/// a soft limit, and nothing fails beyond it.
const APISERVER_MEMORY_SOFT_MAX: &str = "640MiB";
const SMALL_PART_MEMORY_SOFT_MAX: &str = "224MiB";
/// Percent by which memory may grow before Go collects: a cluster of a test is made, filled and gone within a minute, and
/// collecting is most of what its parts do while they start.
const GROWTH_PERCENT: &str = "200";
/// Calls per second that controllers, scheduler and kwok may make. The defaults (20 to 50) are for clusters with
/// many clients and would be what tests wait for.
const CLIENT_QPS: &str = "500";
const CLIENT_BURST: &str = "1000";
/// What makes workloads, namespaces, volumes and nodes behave as users see it. Left out: what signs certificates,
/// attaches volumes, autoscales, migrates storage or cleans up after months.
const CONTROLLERS: [&str; 27] = [
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "ephemeral-volume-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "service-cidr-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
];

fn part(program: &Path, memory_soft_max: &str) -> Command {
    let mut command = Command::new(program);
    command
        // Settings of the caller's own cluster or Go programs must not leak in.
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env("GOGC", GROWTH_PERCENT)
        .env("GOMEMLIMIT", memory_soft_max);
    command
}

pub(crate) fn etcd(artifacts: &Artifacts, folder: &Path, ports: Ports) -> Command {
    let url = format!("http://127.0.0.1:{}", ports.etcd);
    // Nobody joins, so the kernel may choose the peers' port.
    let peers = "http://127.0.0.1:0";
    let mut command = part(&artifacts.kubebox, SMALL_PART_MEMORY_SOFT_MAX);
    command
        .arg("etcd")
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        // What is lost without fsync is lost with the machine, and then the test is over anyway.
        .arg("--unsafe-no-fsync")
        .args([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")])
        .args([format!("--listen-peer-urls={peers}"), format!("--initial-advertise-peer-urls={peers}")])
        .arg(format!("--initial-cluster=default={peers}"))
        .arg("--log-level=warn");
    command
}

pub(crate) fn apiserver(
    artifacts: &Artifacts,
    credentials: &Credentials,
    webhook: Option<&Path>,
    extra: &[String],
    ports: Ports,
) -> Command {
    let path = |name: &str| credentials.path(name).display().to_string();
    let mut command = part(&artifacts.kubebox, APISERVER_MEMORY_SOFT_MAX);
    command
        .arg("kube-apiserver")
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd))
        .args(["--bind-address=127.0.0.1".into(), format!("--secure-port={}", ports.api)])
        // Unless a node relays from this address, nobody goes there. Without the flag it searches for an interface with a default
        // route, and ends on a machine without network (`DefaultAdvertiseAddress` of k8s.io/apiserver/pkg/server/options).
        .arg(format!("--advertise-address={ADDRESS}"))
        // The Service `kubernetes` would lead nowhere.
        .arg("--endpoint-reconciler-type=none")
        .arg(format!("--tls-cert-file={}", path("server.crt")))
        .arg(format!("--tls-private-key-file={}", path("server.key")))
        .arg(format!("--token-auth-file={}", path("tokens.csv")))
        .args(["--authorization-mode=Node,RBAC", "--allow-privileged=true", "--profiling=false"])
        .arg(format!("--service-cluster-ip-range={SERVICE_RANGE}"))
        // The first signs and is shown by discovery, where whoever asks must reach it; tokens of the other are taken, too.
        .arg(format!("--service-account-issuer=https://127.0.0.1:{}", ports.api))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-jwks-uri=https://127.0.0.1:{}/openid/v1/jwks", ports.api))
        .arg(format!("--service-account-key-file={}", path("service-accounts.pub")))
        .arg(format!("--service-account-signing-key-file={}", path("service-accounts.key")));
    if let Some(webhook) = webhook {
        command
            .arg(format!("--authentication-token-webhook-config-file={}", webhook.display()))
            .arg("--authentication-token-webhook-version=v1")
            .arg(format!("--authentication-token-webhook-cache-ttl={TOKEN_CACHE_TTL}"));
    }
    command.args(extra);
    command
}

/// Lets an API server reach kubelets and whatever is in the cluster through the node that will be in `folder`.
pub(crate) fn through_node(credentials: &Credentials, folder: &Path) -> Result<[String; 5]> {
    let path = folder.join("egress.json");
    let socket = connect::node_socket(folder);
    let text = json!({
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{
            "name": "cluster",
            "connection": { "proxyProtocol": "HTTPConnect", "transport": { "uds": { "udsName": socket } } },
        }],
    });
    std::fs::write(&path, text.to_string()).map_err(Error::file("write", &path))?;
    Ok([
        format!("--egress-selector-config-file={}", path.display()),
        format!("--kubelet-client-certificate={}", credentials.path("kubelet-client.crt").display()),
        format!("--kubelet-client-key={}", credentials.path("kubelet-client.key").display()),
        // A node's name is known to nobody.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        // Pods reach it by the Service `kubernetes`: the node relays from the address that it advertises.
        "--endpoint-reconciler-type=lease".to_owned(),
    ])
}

pub(crate) fn controllers(artifacts: &Artifacts, credentials: &Credentials, kubeconfig: &Path) -> Command {
    let mut command = part(&artifacts.kubebox, SMALL_PART_MEMORY_SOFT_MAX);
    command
        .arg("kube-controller-manager")
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--controllers={}", CONTROLLERS.join(",")))
        .arg(format!("--service-account-private-key-file={}", credentials.path("service-accounts.key").display()))
        .arg(format!("--root-ca-file={}", credentials.path("ca.crt").display()))
        // Nobody inspects its port, and one port less can clash.
        .args(["--secure-port=0", "--leader-elect=false", "--profiling=false"])
        .args([format!("--kube-api-qps={CLIENT_QPS}"), format!("--kube-api-burst={CLIENT_BURST}")]);
    command
}

pub(crate) fn scheduler(artifacts: &Artifacts, kubeconfig: &Path) -> Command {
    let mut command = part(&artifacts.kubebox, SMALL_PART_MEMORY_SOFT_MAX);
    command
        .arg("kube-scheduler")
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .args(["--secure-port=0", "--leader-elect=false", "--profiling=false"])
        .args([format!("--kube-api-qps={CLIENT_QPS}"), format!("--kube-api-burst={CLIENT_BURST}")]);
    command
}

pub(crate) fn kwok(artifacts: &Artifacts, kubeconfig: &Path, stages: &Path, ports: Ports) -> Command {
    let mut command = part(&artifacts.kwok, SMALL_PART_MEMORY_SOFT_MAX);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--config={}", stages.display()))
        .arg(format!("--manage-nodes-with-annotation-selector={}={}", FAKE_NODE.0, FAKE_NODE.1))
        .arg("--node-lease-duration-seconds=40")
        .arg(format!("--cidr={POD_RANGE}"))
        .args(["--node-ip=127.0.0.1".into(), format!("--node-port={}", ports.kwok)])
        .arg(format!("--server-address=127.0.0.1:{}", ports.kwok));
    command
}
