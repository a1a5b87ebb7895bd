//! The types of objects that Kubernetes' controllers make on Google Cloud, in the order in which
//! they can be deleted.

use crate::compute::Object;

/// One type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Collection in URLs.
    pub(super) collection: &'static str,
    /// Type in the inventory, as Cloud Asset Inventory names it.
    pub(super) type_name: &'static str,
    /// Whether there are only global ones, which have no aggregated list.
    is_global: bool,
    /// Whether every one that a controller makes carries the cluster's label.
    pub(super) is_labelled: bool,
}

const fn kind(collection: &'static str, type_name: &'static str) -> Kind {
    Kind { collection, type_name, is_global: false, is_labelled: false }
}

/// What uses others before what is used.
pub(super) const KINDS: [Kind; 14] = [
    kind("forwardingRules", "compute.googleapis.com/ForwardingRule"),
    kind("targetHttpProxies", "compute.googleapis.com/TargetHttpProxy"),
    kind("targetHttpsProxies", "compute.googleapis.com/TargetHttpsProxy"),
    kind("urlMaps", "compute.googleapis.com/UrlMap"),
    kind("targetPools", "compute.googleapis.com/TargetPool"),
    kind("backendServices", "compute.googleapis.com/BackendService"),
    kind("instanceGroups", "compute.googleapis.com/InstanceGroup"),
    kind("networkEndpointGroups", "compute.googleapis.com/NetworkEndpointGroup"),
    kind("healthChecks", "compute.googleapis.com/HealthCheck"),
    Kind { is_global: true, ..kind("httpHealthChecks", "compute.googleapis.com/HttpHealthCheck") },
    kind("addresses", "compute.googleapis.com/Address"),
    Kind { is_global: true, is_labelled: true, ..kind("snapshots", "compute.googleapis.com/Snapshot") },
    Kind { is_labelled: true, ..kind("disks", "compute.googleapis.com/Disk") },
    Kind { is_global: true, ..kind("firewalls", "compute.googleapis.com/Firewall") },
];

impl Kind {
    /// Where all of them are listed.
    pub(super) fn list_path(&self) -> String {
        let place = if self.is_global { "global" } else { "aggregated" };
        format!("{place}/{}", self.collection)
    }

    /// Where one of them is.
    pub(super) fn path(&self, object: &Object) -> String {
        format!("{}/{}/{}", object.place(), self.collection, object.name)
    }

    /// Whether an object is of a node pool, and comes and goes with it: its managed groups.
    pub(super) fn is_of_pool(&self, object: &Object) -> bool {
        self.collection == "instanceGroups" && object.name.starts_with("gke")
    }

    pub(super) fn is_firewall(&self) -> bool {
        self.collection == "firewalls"
    }
}
