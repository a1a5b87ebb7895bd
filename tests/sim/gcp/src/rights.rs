//! What a caller must be allowed to do for a call, by IAM's names of permissions:
//! <https://cloud.google.com/iam/docs/permissions-reference>, and each method's page in
//! <https://cloud.google.com/compute/docs/reference/rest/v1>, <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1>,
//! <https://cloud.google.com/dns/docs/access-control>.

use crate::error::condition;
use cloudsim_core::{
    call::{ApiError, Call},
    rights::{Grant, Need},
};

/// The permissions. Tokens need none in the project: whose they are is a matter of the account.
pub(crate) fn needed(call: &Call) -> Vec<String> {
    match call.service.as_str() {
        "compute" => compute(call),
        "container" => container(call),
        "dns" => dns(call),
        "iam" => iam(call),
        _ => Vec::new(),
    }
}

/// The needs, each in its project.
pub(crate) fn needs(call: &Call) -> Vec<Need> {
    let project = format!("projects/{}", call.var(0));
    needed(call).into_iter().map(|permission| Need::on(permission, project.clone())).collect()
}

/// Collections whose regional or global ones have permissions of their own, and what those are called.
const TWINS: [(&str, &str); 7] = [
    ("addresses", "globalAddresses"),
    ("forwardingRules", "globalForwardingRules"),
    ("backendServices", "regionBackendServices"),
    ("healthChecks", "regionHealthChecks"),
    ("urlMaps", "regionUrlMaps"),
    ("targetHttpProxies", "regionTargetHttpProxies"),
    ("targetHttpsProxies", "regionTargetHttpsProxies"),
];

/// Methods are named `collection.verb`, where the collection has its level in front.
fn compute(call: &Call) -> Vec<String> {
    let (collection, verb) = call.action.split_once('.').unwrap_or((&call.action, ""));
    let permission = |collection: &str, verb: &str| format!("compute.{collection}.{verb}");
    // What lies in a network is a matter of the network, too.
    let in_network = matches!(collection, "subnetworks" | "routers" | "firewalls");
    let mut needed = match verb {
        "insert" => vec![permission(collection, "create")],
        "aggregatedList" => {
            let twin = TWINS.iter().find(|(plain, _)| *plain == collection).map(|(_, twin)| permission(twin, "list"));
            std::iter::once(permission(collection, "list")).chain(twin).collect()
        }
        "patch" => vec![permission(collection, "update")],
        // Those of regions and zones have the permissions of the plain collection.
        _ if matches!(collection, "regionDisks" | "regionInstanceGroups" | "regionNetworkEndpointGroups") => {
            let plain = collection.trim_start_matches("region");
            let mut letters = plain.chars();
            let plain: String = letters.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(letters).collect();
            vec![permission(&plain, verb)]
        }
        _ => vec![permission(collection, verb)],
    };
    if in_network && matches!(verb, "insert" | "patch" | "update") || collection == "firewalls" && verb == "delete" {
        needed.push(permission("networks", "updatePolicy"));
    }
    needed
}

/// GKE: node pools are parts of their cluster. Nodes run as a service account only for those who may act as it.
fn container(call: &Call) -> Vec<String> {
    let cluster = |verb: &str| format!("container.clusters.{verb}");
    let act_as = "iam.serviceAccounts.actAs".to_owned();
    match call.action.as_str() {
        "CreateCluster" => {
            let networks = ["compute.networks.use", "compute.subnetworks.use"].map(str::to_owned);
            [cluster("create"), act_as].into_iter().chain(networks).collect()
        }
        "CreateNodePool" => vec![cluster("update"), act_as],
        "DeleteCluster" => vec![cluster("delete")],
        "GetCluster" | "GetNodePool" | "ListNodePools" | "GetServerConfig" => vec![cluster("get")],
        "ListClusters" => vec![cluster("list")],
        "GetOperation" => vec!["container.operations.get".to_owned()],
        "ListOperations" => vec!["container.operations.list".to_owned()],
        "UpdateCluster"
        | "UpdateMaster"
        | "SetLabels"
        | "UpdateNodePool"
        | "DeleteNodePool"
        | "SetNodePoolSize"
        | "SetNodePoolAutoscaling"
        | "SetNodePoolManagement" => vec![cluster("update")],
        other => vec![unknown("container", other)],
    }
}

/// Cloud DNS: a change needs what it does to the records, each for itself.
fn dns(call: &Call) -> Vec<String> {
    let mut needed = vec![match call.action.as_str() {
        "managedZones.patch" => "dns.managedZones.update".to_owned(),
        "resourceRecordSets.patch" => "dns.resourceRecordSets.update".to_owned(),
        action => format!("dns.{action}"),
    }];
    if call.action == "changes.create" {
        let names = |key: &str| -> Vec<(String, String)> {
            let text = |record: &serde_json::Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
            call.json[key].as_array().into_iter().flatten().map(|r| (text(r, "name"), text(r, "type"))).collect()
        };
        let (added, deleted) = (names("additions"), names("deletions"));
        let both = added.iter().any(|record| deleted.contains(record));
        let verbs = [
            ("create", added.iter().any(|record| !deleted.contains(record))),
            ("delete", deleted.iter().any(|record| !added.contains(record))),
            ("update", both),
        ];
        needed.extend(verbs.iter().filter(|(_, is)| *is).map(|(verb, _)| format!("dns.resourceRecordSets.{verb}")));
    }
    needed
}

fn iam(call: &Call) -> Vec<String> {
    vec![match call.action.as_str() {
        // Granted on the account, which `iam` inspects.
        "GenerateAccessToken" => return Vec::new(),
        "CreateServiceAccount" => "iam.serviceAccounts.create".to_owned(),
        "ListServiceAccounts" => "iam.serviceAccounts.list".to_owned(),
        "GetServiceAccount" => "iam.serviceAccounts.get".to_owned(),
        "DeleteServiceAccount" => "iam.serviceAccounts.delete".to_owned(),
        "GetIamPolicy" => "iam.serviceAccounts.getIamPolicy".to_owned(),
        "SetIamPolicy" => "iam.serviceAccounts.setIamPolicy".to_owned(),
        action if action.starts_with("projects.") => format!("resourcemanager.{action}"),
        other => unknown("iam", other),
    }]
}

/// What no role grants: a method without a mapping is refused wherever a role is in force.
fn unknown(service: &str, method: &str) -> String {
    format!("{service}.unknown.{method}")
}

/// The refusal for a constraint of the organization:
/// <https://cloud.google.com/resource-manager/docs/organization-policy/troubleshooting-policies>.
pub(crate) fn disallowed(need: &Need) -> ApiError {
    let project = &need.resource;
    condition(format!(
        "Constraint constraints/custom.forbidden violated for {project}. See https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints for more information."
    ))
}

/// What a custom role grants: the list `includedPermissions` of the file that `gcloud iam roles create --file` takes.
///
/// # Errors
/// No such list, or a line in it that is none of its items.
pub(crate) fn grants(document: &str) -> Result<Vec<Grant>, String> {
    let (_, list) = document.split_once("includedPermissions:\n").ok_or("there is no list includedPermissions")?;
    let mut grants = Vec::new();
    for line in list.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let item = line.strip_prefix("- ").filter(|item| item.split('.').count() == 3 && !item.contains('*'));
        grants.push(Grant::always(item.ok_or_else(|| format!("{line:?} is no permission"))?));
    }
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::{grants, needed};
    use crate::route;
    use cloudsim_core::call::Call;
    use serde_json::{Value, json};

    /// Every method of the routes, as a request; none of them may lack a mapping.
    const REQUESTS: &[(&str, &str, &str)] = &[
        ("POST", "compute/v1/projects/p/global/networks", "compute.networks.create"),
        (
            "POST",
            "compute/v1/projects/p/regions/r/subnetworks",
            "compute.subnetworks.create compute.networks.updatePolicy",
        ),
        ("GET", "compute/v1/projects/p/regions/r", "compute.regions.get"),
        ("GET", "compute/v1/projects/p/regions/r/operations/o", "compute.regionOperations.get"),
        ("GET", "compute/v1/projects/p/aggregated/addresses", "compute.addresses.list compute.globalAddresses.list"),
        ("GET", "compute/v1/projects/p/global/firewalls", "compute.firewalls.list"),
        ("DELETE", "compute/v1/projects/p/global/addresses/a", "compute.globalAddresses.delete"),
        ("DELETE", "compute/v1/projects/p/regions/r/backendServices/b", "compute.regionBackendServices.delete"),
        ("DELETE", "compute/v1/projects/p/regions/r/disks/d", "compute.disks.delete"),
        (
            "DELETE",
            "compute/v1/projects/p/global/firewalls/f",
            "compute.firewalls.delete compute.networks.updatePolicy",
        ),
        ("GET", "v1/projects/p/locations/l/serverConfig", "container.clusters.get"),
        ("GET", "v1/projects/p/locations/l/clusters", "container.clusters.list"),
        (
            "POST",
            "v1/projects/p/locations/l/clusters",
            "container.clusters.create iam.serviceAccounts.actAs compute.networks.use compute.subnetworks.use",
        ),
        ("GET", "v1/projects/p/locations/l/operations", "container.operations.list"),
        ("GET", "v1/projects/p/locations/l/operations/o", "container.operations.get"),
        ("GET", "v1/projects/p/locations/l/clusters/c", "container.clusters.get"),
        ("PUT", "v1/projects/p/locations/l/clusters/c", "container.clusters.update"),
        ("DELETE", "v1/projects/p/locations/l/clusters/c", "container.clusters.delete"),
        ("POST", "v1/projects/p/locations/l/clusters/c:setResourceLabels", "container.clusters.update"),
        ("POST", "v1/projects/p/locations/l/clusters/c:updateMaster", "container.clusters.update"),
        ("GET", "v1/projects/p/locations/l/clusters/c/nodePools", "container.clusters.get"),
        (
            "POST",
            "v1/projects/p/locations/l/clusters/c/nodePools",
            "container.clusters.update iam.serviceAccounts.actAs",
        ),
        ("GET", "v1/projects/p/locations/l/clusters/c/nodePools/n", "container.clusters.get"),
        ("PUT", "v1/projects/p/locations/l/clusters/c/nodePools/n", "container.clusters.update"),
        ("DELETE", "v1/projects/p/locations/l/clusters/c/nodePools/n", "container.clusters.update"),
        ("POST", "v1/projects/p/locations/l/clusters/c/nodePools/n:setSize", "container.clusters.update"),
        ("POST", "v1/projects/p/locations/l/clusters/c/nodePools/n:setAutoscaling", "container.clusters.update"),
        ("POST", "v1/projects/p/locations/l/clusters/c/nodePools/n:setManagement", "container.clusters.update"),
        ("GET", "dns/v1/projects/p", "dns.projects.get"),
        ("PATCH", "dns/v1/projects/p/managedZones/z", "dns.managedZones.update"),
        ("POST", "dns/v1/projects/p/managedZones/z:setIamPolicy", "dns.managedZones.setIamPolicy"),
        ("GET", "dns/v1/projects/p/managedZones/z/changes/c", "dns.changes.get"),
        ("PATCH", "dns/v1/projects/p/managedZones/z/rrsets/n/A", "dns.resourceRecordSets.update"),
        ("POST", "v1/projects/p/serviceAccounts", "iam.serviceAccounts.create"),
        ("GET", "v1/projects/p/serviceAccounts", "iam.serviceAccounts.list"),
        ("GET", "v1/projects/p/serviceAccounts/a", "iam.serviceAccounts.get"),
        ("DELETE", "v1/projects/p/serviceAccounts/a", "iam.serviceAccounts.delete"),
        ("POST", "v1/projects/p/serviceAccounts/a:getIamPolicy", "iam.serviceAccounts.getIamPolicy"),
        ("POST", "v1/projects/p/serviceAccounts/a:setIamPolicy", "iam.serviceAccounts.setIamPolicy"),
        ("POST", "v1/projects/p/serviceAccounts/a:generateAccessToken", ""),
        ("POST", "v1/projects/p:getIamPolicy", "resourcemanager.projects.getIamPolicy"),
        ("POST", "token", ""),
    ];

    fn call(method: &str, path: &str, json: Value) -> Call {
        let path = path.split('/').map(str::to_owned).collect();
        let mut call = Call { method: method.to_owned(), path, json, ..Call::default() };
        assert!(route::route(&mut call), "{method} {:?}", call.path);
        call
    }

    #[test]
    fn every_method_has_its_permissions() {
        for (method, path, permissions) in REQUESTS {
            let expected: Vec<&str> = permissions.split_whitespace().collect();
            assert_eq!(needed(&call(method, path, Value::Null)), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_change_of_records_needs_what_it_does() {
        let record = |name: &str| json!({ "name": name, "type": "A" });
        let change = json!({ "additions": [record("new."), record("kept.")], "deletions": [record("kept.")] });
        let needed = needed(&call("POST", "dns/v1/projects/p/managedZones/z/changes", change));
        assert_eq!(needed, ["dns.changes.create", "dns.resourceRecordSets.create", "dns.resourceRecordSets.update"]);
    }

    #[test]
    fn a_custom_role_is_read() {
        let role = "title: x\nincludedPermissions:\n  - compute.networks.get\n  - iam.serviceAccounts.actAs # why\n";
        assert_eq!(grants(role).unwrap().len(), 2);
        assert!(grants("title: x").is_err());
        assert!(grants("includedPermissions:\n  - compute.*\n").is_err());
    }
}
