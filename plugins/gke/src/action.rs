//! Every Google Cloud method that the plugin calls: the one list that the custom role, the rate
//! buckets and the error table are checked against. A call cannot be made without naming its
//! action.

/// One method of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action {
    /// The service's short name: `compute`, `container`, `dns`, `iamcredentials`, `oauth2`.
    pub(crate) service: &'static str,
    /// The method as the API names it.
    pub(crate) name: &'static str,
    /// Permissions that IAM requests, separated by spaces; empty: none in the project.
    #[cfg_attr(not(test), allow(dead_code, reason = "the custom role is checked against it"))]
    pub(crate) permissions: &'static str,
}

impl Action {
    /// The rate bucket that a call is taken from.
    pub(crate) fn bucket(self) -> &'static str {
        let verb = self.name.rsplit('.').next().unwrap_or_default();
        match (self.service, verb) {
            ("compute", "list" | "aggregatedList") => "compute/list",
            ("compute", "get") => "compute/read",
            ("compute", _) => "compute/mutate",
            ("container", "get" | "list") => "container/read",
            ("container", _) => "container/mutate",
            ("dns", _) => "dns/all",
            (_, _) => "auth/all",
        }
    }
}

macro_rules! actions {
    ($($ident:ident = $service:literal $name:literal $permissions:literal;)*) => {
        $(pub(crate) const $ident: Action =
            Action { service: $service, name: $name, permissions: $permissions };)*
        /// All of them.
        #[cfg(test)]
        pub(crate) const ALL: &[Action] = &[$($ident),*];
    };
}

actions! {
    GET_REGION = "compute" "regions.get" "compute.regions.get";
    GET_NETWORK = "compute" "networks.get" "compute.networks.get";
    INSERT_NETWORK = "compute" "networks.insert" "compute.networks.create";
    DELETE_NETWORK = "compute" "networks.delete" "compute.networks.delete";
    LIST_NETWORKS = "compute" "networks.list" "compute.networks.list";
    GET_SUBNETWORK = "compute" "subnetworks.get" "compute.subnetworks.get";
    INSERT_SUBNETWORK = "compute" "subnetworks.insert" "compute.subnetworks.create compute.networks.updatePolicy";
    DELETE_SUBNETWORK = "compute" "subnetworks.delete" "compute.subnetworks.delete";
    LIST_SUBNETWORKS = "compute" "subnetworks.aggregatedList" "compute.subnetworks.list";
    GET_ROUTER = "compute" "routers.get" "compute.routers.get";
    INSERT_ROUTER = "compute" "routers.insert" "compute.routers.create compute.networks.updatePolicy";
    DELETE_ROUTER = "compute" "routers.delete" "compute.routers.delete";
    LIST_ROUTERS = "compute" "routers.aggregatedList" "compute.routers.list";
    GET_OPERATION = "compute" "operations.get" "compute.globalOperations.get compute.regionOperations.get";
    GET_NODE_GROUP = "compute" "instanceGroupManagers.get" "compute.instanceGroupManagers.get";
    LIST_INSTANCES = "compute" "instances.aggregatedList" "compute.instances.list";
    LIST_LEFTOVERS = "compute" "any.aggregatedList" "compute.addresses.list compute.backendServices.list compute.disks.list compute.firewalls.list compute.forwardingRules.list compute.globalAddresses.list compute.globalForwardingRules.list compute.healthChecks.list compute.httpHealthChecks.list compute.instanceGroups.list compute.networkEndpointGroups.list compute.regionBackendServices.list compute.regionHealthChecks.list compute.regionTargetHttpProxies.list compute.regionTargetHttpsProxies.list compute.regionUrlMaps.list compute.snapshots.list compute.targetHttpProxies.list compute.targetHttpsProxies.list compute.targetPools.list compute.urlMaps.list";
    DELETE_LEFTOVER = "compute" "any.delete" "compute.addresses.delete compute.backendServices.delete compute.disks.delete compute.firewalls.delete compute.forwardingRules.delete compute.globalAddresses.delete compute.globalForwardingRules.delete compute.healthChecks.delete compute.httpHealthChecks.delete compute.instanceGroups.delete compute.networkEndpointGroups.delete compute.regionBackendServices.delete compute.regionHealthChecks.delete compute.regionTargetHttpProxies.delete compute.regionTargetHttpsProxies.delete compute.regionUrlMaps.delete compute.snapshots.delete compute.targetHttpProxies.delete compute.targetHttpsProxies.delete compute.targetPools.delete compute.urlMaps.delete";
    GET_CLUSTER = "container" "clusters.get" "container.clusters.get";
    CREATE_CLUSTER = "container" "clusters.create" "container.clusters.create compute.networks.use compute.subnetworks.use";
    UPDATE_CLUSTER = "container" "clusters.update" "container.clusters.update";
    DELETE_CLUSTER = "container" "clusters.delete" "container.clusters.delete";
    LIST_CLUSTERS = "container" "clusters.list" "container.clusters.list";
    GET_CONTAINER_OPERATION = "container" "operations.get" "container.operations.get";
    LIST_CONTAINER_OPERATIONS = "container" "operations.list" "container.operations.list";
    GET_NODE_POOL = "container" "nodePools.get" "container.clusters.get";
    CREATE_NODE_POOL = "container" "nodePools.create" "container.clusters.update";
    UPDATE_NODE_POOL = "container" "nodePools.update" "container.clusters.update";
    SET_NODE_POOL_SIZE = "container" "nodePools.setSize" "container.clusters.update";
    SET_NODE_POOL_AUTOSCALING = "container" "nodePools.setAutoscaling" "container.clusters.update";
    DELETE_NODE_POOL = "container" "nodePools.delete" "container.clusters.update";
    GET_PROJECT = "dns" "projects.get" "dns.projects.get";
    GET_ZONE = "dns" "managedZones.get" "dns.managedZones.get";
    LIST_ZONES = "dns" "managedZones.list" "dns.managedZones.list";
    CREATE_ZONE = "dns" "managedZones.create" "dns.managedZones.create";
    DELETE_ZONE = "dns" "managedZones.delete" "dns.managedZones.delete";
    GET_ZONE_POLICY = "dns" "managedZones.getIamPolicy" "dns.managedZones.getIamPolicy";
    SET_ZONE_POLICY = "dns" "managedZones.setIamPolicy" "dns.managedZones.setIamPolicy";
    LIST_RECORDS = "dns" "resourceRecordSets.list" "dns.resourceRecordSets.list";
    CREATE_CHANGE = "dns" "changes.create" "dns.changes.create dns.resourceRecordSets.create dns.resourceRecordSets.update dns.resourceRecordSets.delete";
    TOKEN = "oauth2" "token" "";
    GENERATE_ACCESS_TOKEN = "iamcredentials" "serviceAccounts.generateAccessToken" "";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn the_custom_role_holds_every_permission_and_no_other() {
        let text = include_str!("../iam-role.yaml");
        let granted: std::collections::BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("  - ")).map(|p| p.split(' ').next().unwrap()).collect();
        let needed: std::collections::BTreeSet<&str> =
            ALL.iter().flat_map(|a| a.permissions.split_whitespace()).collect();
        // What GKE itself checks in the caller's name, and kubectl-like access as an administrator:
        // each such line of the file says so.
        let others: std::collections::BTreeSet<&str> = text
            .lines()
            .filter(|line| line.contains("# not a call: "))
            .filter_map(|line| line.strip_prefix("  - "))
            .map(|p| p.split(' ').next().unwrap())
            .collect();
        let missing: Vec<_> = needed.difference(&granted).collect();
        assert!(missing.is_empty(), "iam-role.yaml lacks {missing:?}");
        let surplus: Vec<_> = granted.iter().filter(|p| !needed.contains(*p) && !others.contains(*p)).collect();
        assert!(surplus.is_empty(), "iam-role.yaml grants what nobody calls: {surplus:?}");
    }
}
