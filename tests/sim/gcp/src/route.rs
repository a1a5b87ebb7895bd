//! Which method of which service a request means.
//!
//! Action names are Google's method ids without the service: `CreateCluster` for GKE and IAM (their rpc names),
//! `networks.insert` for Compute, `managedZones.create` for Cloud DNS
//! (<https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1>,
//! <https://cloud.google.com/compute/docs/reference/rest/v1>, <https://cloud.google.com/dns/docs/reference/rest/v1>).
//! `vars` are the project and then the variable parts of the path.

use cloudsim_core::{call::Call, scope_key::GLOBAL};

/// Sets service, action, region and variables; false if there is no such method.
pub(super) fn route(call: &mut Call) -> bool {
    let path: Vec<String> = call.path.clone();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path[..] {
        ["token"] => set(call, "oauth2", "token", GLOBAL, &[]),
        ["compute", "v1", "projects", project, ref rest @ ..] => compute(call, project, rest),
        ["dns", "v1", "projects", project, ref rest @ ..] => dns(call, project, rest),
        ["v1", "projects", project, "locations", location, ref rest @ ..] => container(call, project, location, rest),
        ["v1", "projects", project, "serviceAccounts", ref rest @ ..] => service_accounts(call, project, rest),
        ["v1" | "v3", "projects", project] => projects(call, project),
        _ => false,
    }
}

fn set(call: &mut Call, service: &str, action: &str, region: &str, vars: &[&str]) -> bool {
    service.clone_into(&mut call.service);
    action.clone_into(&mut call.action);
    region.clone_into(&mut call.region);
    call.vars = vars.iter().map(|v| (*v).to_owned()).collect();
    true
}

/// Compute: vars are project, scope (`global`, `regions/R`, `zones/Z`, `aggregated`), collection, name.
fn compute(call: &mut Call, project: &str, rest: &[&str]) -> bool {
    let (scope, region, rest) = match *rest {
        [] => return set(call, "compute", "projects.get", GLOBAL, &[project]),
        ["regions"] => return set(call, "compute", "regions.list", GLOBAL, &[project]),
        ["zones"] => return set(call, "compute", "zones.list", GLOBAL, &[project]),
        ["regions", region] => return set(call, "compute", "regions.get", region, &[project, region]),
        ["zones", zone] => return set(call, "compute", "zones.get", zone, &[project, zone]),
        [scope @ ("global" | "aggregated"), ref rest @ ..] => (scope.to_owned(), GLOBAL, rest),
        [level @ ("regions" | "zones"), place, ref rest @ ..] => (format!("{level}/{place}"), place, rest),
        _ => return false,
    };
    let method = call.method.clone();
    let (collection, name, verb) = match (method.as_str(), rest) {
        ("GET", [collection]) if scope == "aggregated" => (*collection, "", "aggregatedList"),
        ("GET", [collection]) => (*collection, "", "list"),
        ("POST", [collection]) => (*collection, "", "insert"),
        ("GET", [collection, name]) => (*collection, *name, "get"),
        ("DELETE", [collection, name]) => (*collection, *name, "delete"),
        ("PATCH", [collection, name]) => (*collection, *name, "patch"),
        ("PUT", [collection, name]) => (*collection, *name, "update"),
        ("POST" | "GET", [collection, name, verb]) => (*collection, *name, *verb),
        _ => return false,
    };
    let action = format!("{}.{verb}", method_collection(&scope, collection));
    set(call, "compute", &action, region, &[project, &scope, collection, name])
}

/// The collection as method ids name it: `globalAddresses`, `regionDisks`.
fn method_collection(scope: &str, collection: &str) -> String {
    let with = |prefix: &str| {
        let mut letters = collection.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase()).unwrap_or_default();
        format!("{prefix}{first}{}", letters.as_str())
    };
    match (scope.split('/').next().unwrap_or_default(), collection) {
        ("global", "addresses" | "forwardingRules" | "operations" | "networkEndpointGroups") => with("global"),
        ("regions", "operations") => with("region"),
        (
            "regions",
            "disks"
            | "backendServices"
            | "healthChecks"
            | "networkEndpointGroups"
            | "instanceGroups"
            | "urlMaps"
            | "targetHttpProxies"
            | "targetHttpsProxies",
        ) => with("region"),
        ("zones", "operations") => with("zone"),
        _ => collection.to_owned(),
    }
}

/// Cloud DNS: vars are project, zone, then name and type of a record or the id of a change.
fn dns(call: &mut Call, project: &str, rest: &[&str]) -> bool {
    let method = call.method.clone();
    let (action, vars): (&str, Vec<&str>) = match (method.as_str(), rest) {
        ("GET", []) => ("projects.get", vec![]),
        ("POST", ["managedZones"]) => ("managedZones.create", vec![]),
        ("GET", ["managedZones"]) => ("managedZones.list", vec![]),
        ("GET", ["managedZones", zone]) => ("managedZones.get", vec![zone]),
        ("POST", ["managedZones", zone]) => match zone.split_once(':') {
            Some((zone, "getIamPolicy")) => ("managedZones.getIamPolicy", vec![zone]),
            Some((zone, "setIamPolicy")) => ("managedZones.setIamPolicy", vec![zone]),
            _ => return false,
        },
        ("DELETE", ["managedZones", zone]) => ("managedZones.delete", vec![zone]),
        ("PATCH", ["managedZones", zone]) => ("managedZones.patch", vec![zone]),
        ("PUT", ["managedZones", zone]) => ("managedZones.update", vec![zone]),
        ("POST", ["managedZones", zone, "changes"]) => ("changes.create", vec![zone]),
        ("GET", ["managedZones", zone, "changes"]) => ("changes.list", vec![zone]),
        ("GET", ["managedZones", zone, "changes", id]) => ("changes.get", vec![zone, id]),
        ("GET", ["managedZones", zone, "rrsets"]) => ("resourceRecordSets.list", vec![zone]),
        ("POST", ["managedZones", zone, "rrsets"]) => ("resourceRecordSets.create", vec![zone]),
        ("GET", ["managedZones", zone, "rrsets", name, kind]) => ("resourceRecordSets.get", vec![zone, name, kind]),
        ("PATCH", ["managedZones", zone, "rrsets", name, kind]) => ("resourceRecordSets.patch", vec![zone, name, kind]),
        ("DELETE", ["managedZones", zone, "rrsets", name, kind]) => {
            ("resourceRecordSets.delete", vec![zone, name, kind])
        }
        _ => return false,
    };
    let vars: Vec<&str> = std::iter::once(project).chain(vars).collect();
    set(call, "dns", action, GLOBAL, &vars)
}

/// GKE: vars are project, location, then cluster and node pool or operation.
fn container(call: &mut Call, project: &str, location: &str, rest: &[&str]) -> bool {
    let method = call.method.clone();
    let colon = |last: &str| last.split_once(':').map(|(name, verb)| (name.to_owned(), verb.to_owned()));
    let verb = rest.last().and_then(|last| colon(last));
    let (action, vars): (&str, Vec<&str>) = match (method.as_str(), rest, &verb) {
        ("GET", ["serverConfig"], _) => ("GetServerConfig", vec![]),
        ("GET", ["clusters"], _) => ("ListClusters", vec![]),
        ("POST", ["clusters"], _) => ("CreateCluster", vec![]),
        ("GET", ["operations"], _) => ("ListOperations", vec![]),
        ("GET", ["operations", id], _) => ("GetOperation", vec![id]),
        ("GET", ["clusters", cluster], _) => ("GetCluster", vec![cluster]),
        ("PUT", ["clusters", cluster], _) => ("UpdateCluster", vec![cluster]),
        ("DELETE", ["clusters", cluster], _) => ("DeleteCluster", vec![cluster]),
        ("POST", ["clusters", _], Some((cluster, verb))) => match verb.as_str() {
            "setResourceLabels" => ("SetLabels", vec![cluster.as_str()]),
            "updateMaster" => ("UpdateMaster", vec![cluster.as_str()]),
            _ => return false,
        },
        ("GET", ["clusters", cluster, "nodePools"], _) => ("ListNodePools", vec![cluster]),
        ("POST", ["clusters", cluster, "nodePools"], _) => ("CreateNodePool", vec![cluster]),
        ("GET", ["clusters", cluster, "nodePools", pool], _) => ("GetNodePool", vec![cluster, pool]),
        ("PUT", ["clusters", cluster, "nodePools", pool], _) => ("UpdateNodePool", vec![cluster, pool]),
        ("DELETE", ["clusters", cluster, "nodePools", pool], _) => ("DeleteNodePool", vec![cluster, pool]),
        ("POST", ["clusters", cluster, "nodePools", _], Some((pool, verb))) => match verb.as_str() {
            "setSize" => ("SetNodePoolSize", vec![cluster, pool.as_str()]),
            "setAutoscaling" => ("SetNodePoolAutoscaling", vec![cluster, pool.as_str()]),
            "setManagement" => ("SetNodePoolManagement", vec![cluster, pool.as_str()]),
            _ => return false,
        },
        _ => return false,
    };
    let vars: Vec<&str> = [project, location].into_iter().chain(vars).collect();
    set(call, "container", action, location, &vars)
}

/// IAM and IAM credentials: vars are the project as written (maybe `-`) and the account's email.
fn service_accounts(call: &mut Call, project: &str, rest: &[&str]) -> bool {
    let method = call.method.clone();
    let (email, action) = match (method.as_str(), rest) {
        ("POST", []) => ("", "CreateServiceAccount"),
        ("GET", []) => ("", "ListServiceAccounts"),
        ("GET", [email]) if !email.contains(':') => (*email, "GetServiceAccount"),
        ("DELETE", [email]) => (*email, "DeleteServiceAccount"),
        ("POST" | "GET", [last]) => match last.split_once(':') {
            Some((email, "getIamPolicy")) => (email, "GetIamPolicy"),
            Some((email, "setIamPolicy")) => (email, "SetIamPolicy"),
            Some((email, "generateAccessToken")) => (email, "GenerateAccessToken"),
            _ => return false,
        },
        _ => return false,
    };
    let owner = email.split_once('@').and_then(|(_, domain)| domain.strip_suffix(".iam.gserviceaccount.com"));
    let project = if project == "-" { owner.unwrap_or(project) } else { project };
    set(call, "iam", action, GLOBAL, &[project, email])
}

/// Cloud Resource Manager.
fn projects(call: &mut Call, last: &str) -> bool {
    let (project, action) = match last.split_once(':') {
        Some((project, "getIamPolicy")) => (project, "projects.getIamPolicy"),
        Some((project, "setIamPolicy")) => (project, "projects.setIamPolicy"),
        None if call.method == "GET" => (last, "projects.get"),
        _ => return false,
    };
    set(call, "iam", action, GLOBAL, &[project])
}
