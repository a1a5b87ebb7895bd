//! What the simulated cloud and whatever runs its Kubernetes clusters exchange.
//!
//! The world only sends [`RuntimeCommand`]s and learns what became of them from [`RuntimeEvent`]s; it never waits.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A control plane to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// The cluster's identity: an ARN, a resource name or a resource id.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `1.34` and the like, as ordered.
    pub version: String,
    /// A name that is unique over all clusters ever made, fit for a folder.
    pub folder: String,
}

/// A node that the cloud started for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Host name.
    pub name: String,
    /// `aws:///zone/i-…` and the like.
    pub provider_id: String,
    /// Labels, those of the cloud included.
    pub labels: BTreeMap<String, String>,
    /// Taints: key, value, Kubernetes effect.
    pub taints: Vec<(String, String, String)>,
    /// Processors.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Address in the VPC.
    pub address: String,
    /// Instance type.
    pub instance_type: String,
    /// Availability zone.
    pub zone: String,
}

/// What the world wants of the runtime.
#[derive(Debug, Clone)]
pub enum RuntimeCommand {
    /// Start a control plane.
    Start(ClusterSpec),
    /// Stop one and forget its data.
    Stop {
        /// Cluster ARN.
        arn: String,
    },
    /// Nodes joined.
    AddNodes {
        /// Cluster ARN.
        arn: String,
        /// The nodes.
        nodes: Vec<NodeSpec>,
    },
    /// Nodes left.
    RemoveNodes {
        /// Cluster ARN.
        arn: String,
        /// Their names.
        names: Vec<String>,
    },
}

/// A Service of type LoadBalancer in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSeen {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its ports on the nodes.
    pub ports: Vec<i32>,
    /// Its own ports, on which the load balancer listens.
    pub front_ports: Vec<i32>,
    /// Internal or internet-facing.
    pub internal: bool,
}

/// A StorageClass that a cluster comes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageClassSeen {
    /// Its name.
    pub name: &'static str,
    /// Its provisioner.
    pub provisioner: &'static str,
    /// Its parameters.
    pub parameters: &'static [(&'static str, &'static str)],
    /// Whether claims without a class use it.
    pub is_default: bool,
    /// Whether its volumes can grow.
    pub expandable: bool,
}

/// A claim that wants a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSeen {
    /// Name of the PersistentVolume.
    pub volume: String,
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// Size in GiB.
    pub size_gib: u64,
    /// Zone of the node that needs it.
    pub zone: Option<String>,
    /// Parameters of its StorageClass.
    pub parameters: BTreeMap<String, String>,
}

/// A record set of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSeen {
    /// Its name in lower case, without the final dot.
    pub name: String,
    /// `A`, `CNAME`, …
    pub kind: String,
    /// Time to live in seconds.
    pub ttl_seconds: u32,
    /// Its values, as the cloud keeps them.
    pub values: Vec<String>,
}

/// What the runtime reports.
#[derive(Debug, Clone)]
pub enum RuntimeEvent {
    /// A control plane responds.
    Started {
        /// Cluster ARN.
        arn: String,
        /// `https://127.0.0.1:…`.
        endpoint: String,
        /// Certificate authority, PEM.
        ca_pem: String,
    },
    /// A control plane could not be started.
    Failed {
        /// Cluster ARN.
        arn: String,
        /// Why.
        reason: String,
    },
}
