//! Which collections there are, where they lie and what is common to each.

use crate::{durations, kinds::GcpKind};
use cloudsim_core::{duration::Span, kind::Kind};

/// A collection of Compute.
#[derive(Debug)]
pub(crate) struct Collection {
    /// As paths name it.
    pub name: &'static str,
    /// What is in it.
    pub kind: GcpKind,
    /// The documents' `kind`.
    pub doc_kind: &'static str,
    /// As errors name one.
    pub word: &'static str,
    /// `global`, `regions`, `zones`.
    pub levels: &'static [&'static str],
    /// Whether its resources have labels; the others carry marks in their description.
    pub labelled: bool,
    /// How long making and deleting one takes.
    pub span: Span,
    /// The quota that counts them, and whether it is counted by region.
    pub quota: Option<(&'static str, bool)>,
}

const fn collection(
    name: &'static str,
    kind: GcpKind,
    doc_kind: &'static str,
    word: &'static str,
    levels: &'static [&'static str],
) -> Collection {
    Collection { name, kind, doc_kind, word, levels, labelled: false, span: durations::COMPUTE, quota: None }
}

const GLOBAL: &[&str] = &["global"];
const REGIONAL: &[&str] = &["regions"];
const ZONAL: &[&str] = &["zones"];
const BOTH: &[&str] = &["global", "regions"];

/// All of them.
pub(crate) const ALL: &[Collection] = &[
    Collection {
        span: durations::NETWORK,
        quota: Some(("NETWORKS", false)),
        ..collection("networks", GcpKind::Network, "compute#network", "network", GLOBAL)
    },
    Collection {
        span: durations::SUBNETWORK,
        quota: Some(("SUBNETWORKS", false)),
        ..collection("subnetworks", GcpKind::Subnetwork, "compute#subnetwork", "subnetwork", REGIONAL)
    },
    Collection {
        span: durations::ROUTER,
        quota: Some(("ROUTERS", false)),
        ..collection("routers", GcpKind::Router, "compute#router", "router", REGIONAL)
    },
    Collection {
        labelled: true,
        quota: Some(("STATIC_ADDRESSES", true)),
        ..collection("addresses", GcpKind::Address, "compute#address", "address", BOTH)
    },
    Collection {
        quota: Some(("FIREWALLS", false)),
        ..collection("firewalls", GcpKind::Firewall, "compute#firewall", "firewall", GLOBAL)
    },
    Collection {
        labelled: true,
        quota: Some(("FORWARDING_RULES", false)),
        ..collection("forwardingRules", GcpKind::ForwardingRule, "compute#forwardingRule", "forwarding_rule", BOTH)
    },
    Collection {
        quota: Some(("TARGET_POOLS", false)),
        ..collection("targetPools", GcpKind::TargetPool, "compute#targetPool", "target_pool", REGIONAL)
    },
    Collection {
        quota: Some(("BACKEND_SERVICES", false)),
        ..collection("backendServices", GcpKind::BackendService, "compute#backendService", "backend_service", BOTH)
    },
    Collection {
        quota: Some(("HEALTH_CHECKS", false)),
        ..collection("healthChecks", GcpKind::HealthCheck, "compute#healthCheck", "health_check", BOTH)
    },
    collection("httpHealthChecks", GcpKind::HttpHealthCheck, "compute#httpHealthCheck", "http_health_check", GLOBAL),
    collection(
        "networkEndpointGroups",
        GcpKind::NetworkEndpointGroup,
        "compute#networkEndpointGroup",
        "network_endpoint_group",
        &["global", "regions", "zones"],
    ),
    collection("targetHttpProxies", GcpKind::TargetHttpProxy, "compute#targetHttpProxy", "target_http_proxy", BOTH),
    collection("targetHttpsProxies", GcpKind::TargetHttpsProxy, "compute#targetHttpsProxy", "target_https_proxy", BOTH),
    collection("urlMaps", GcpKind::UrlMap, "compute#urlMap", "url_map", BOTH),
    collection(
        "instanceGroups",
        GcpKind::InstanceGroup,
        "compute#instanceGroup",
        "instance_group",
        &["regions", "zones"],
    ),
    collection(
        "instanceGroupManagers",
        GcpKind::InstanceGroupManager,
        "compute#instanceGroupManager",
        "instance_group_manager",
        ZONAL,
    ),
    Collection { labelled: true, ..collection("instances", GcpKind::Instance, "compute#instance", "instance", ZONAL) },
    Collection { labelled: true, ..collection("disks", GcpKind::Disk, "compute#disk", "disk", &["regions", "zones"]) },
    Collection { labelled: true, ..collection("snapshots", GcpKind::Snapshot, "compute#snapshot", "snapshot", GLOBAL) },
];

/// The collection called `name`.
#[must_use]
pub(crate) fn find(name: &str) -> Option<&'static Collection> {
    ALL.iter().find(|c| c.name == name)
}

/// The collection that an object of `kind` is in.
#[must_use]
pub(crate) fn of_kind(kind: Kind) -> Option<&'static Collection> {
    ALL.iter().find(|c| kind == c.kind)
}
