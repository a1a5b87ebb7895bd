//! What a caller must be allowed to do for a call, by Azure RBAC's names of actions:
//! <https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations>.

use crate::kind::{KINDS, RECORD_TYPES};
use cloudsim_core::{
    call::{ApiError, Call},
    rights::{Grant, Need},
};
use serde::Deserialize;
use serde_json::Value;

/// What the API servers of clusters with Azure RBAC ask for, one of
/// <https://learn.microsoft.com/azure/role-based-access-control/permissions/containers#microsoftcontainerservice>.
pub(crate) const CLUSTER_DATA: &str = "Microsoft.ContainerService/managedClusters/apis/read";

/// The needs; none for tokens.
pub(crate) fn needed(call: &Call) -> Vec<Need> {
    let scope = format!("/{}", call.path.join("/"));
    let Some((leaf, operation)) = call.action.split_once('.') else {
        return vec![Need::on(format!("Unknown/{}", call.action), scope)];
    };
    if call.service == "entra" {
        return Vec::new();
    }
    let own = Need::on(action(call, leaf, operation), scope);
    std::iter::once(own).chain(linked(call)).collect()
}

fn action(call: &Call, leaf: &str, operation: &str) -> String {
    let of = match (leaf, operation) {
        ("token" | "managedIdentity", _) => return "Unknown/token".to_owned(),
        ("operations", _) => return poll(call).to_owned(),
        ("subscriptions", _) => "Microsoft.Resources/subscriptions".to_owned(),
        ("providers", "Register") => return format!("{}/register/action", call.path.get(3).map_or("", |n| n)),
        ("providers", _) => "Microsoft.Resources/subscriptions/providers".to_owned(),
        ("usages", _) => format!("{}/locations/usages", call.path.get(3).map_or("", |n| n)),
        ("managedClusters", "ListKubernetesVersions") => {
            return "Microsoft.ContainerService/locations/kubernetesVersions/read".to_owned();
        }
        ("resources", "List") => "Microsoft.Resources/subscriptions/resources".to_owned(),
        ("resources", _) => "Microsoft.Resources/subscriptions/resourceGroups/resources".to_owned(),
        ("resourceGroups", _) => "Microsoft.Resources/subscriptions/resourceGroups".to_owned(),
        ("recordSets", _) => format!("Microsoft.Network/dnsZones/{}", record_type(call)),
        _ => match KINDS.iter().find(|kind| kind.leaf == leaf && kind.service == call.service) {
            Some(kind) => format!("{}/{}", kind.namespace, kind.types),
            None => return format!("Unknown/{leaf}.{operation}"),
        },
    };
    let verb = match operation {
        "CreateOrUpdate" | "Update" => "write".to_owned(),
        "Get" | "List" | "ListAll" | "ListByResourceGroup" | "CheckExistence" => "read".to_owned(),
        "Delete" => "delete".to_owned(),
        action => {
            let mut letters = action.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            format!("{}/action", first.into_iter().chain(letters).collect::<String>())
        }
    };
    format!("{of}/{verb}")
}

/// Following a long-running operation is a read of its own.
fn poll(call: &Call) -> &'static str {
    match call.service.as_str() {
        "containerservice" => "Microsoft.ContainerService/locations/operations/read",
        "dns" => "Microsoft.Network/dnsOperationStatuses/read",
        "network" => "Microsoft.Network/locations/operations/read",
        "compute" => "Microsoft.Compute/locations/operations/read",
        _ => "Microsoft.Resources/subscriptions/operationresults/read",
    }
}

/// Fields by which a resource uses another, and what that requests:
/// <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-linked-authorization-failed>.
const LINKS: [(&str, &str); 5] = [
    ("natGateway", "Microsoft.Network/natGateways/join/action"),
    ("publicIpAddresses", "Microsoft.Network/publicIPAddresses/join/action"),
    ("publicIPAddress", "Microsoft.Network/publicIPAddresses/join/action"),
    ("vnetSubnetID", "Microsoft.Network/virtualNetworks/subnets/join/action"),
    ("userAssignedIdentities", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"),
];

/// What a body refers to needs a right on the other side.
fn linked(call: &Call) -> Vec<Need> {
    let mut found = Vec::new();
    if call.method == "PUT" {
        collect(&call.json, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<Need>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                let link = LINKS.iter().find(|(field, _)| field.eq_ignore_ascii_case(key));
                if let Some((_, action)) = link.filter(|_| !inner.is_null()) {
                    found.extend(ids(inner).into_iter().map(|id| Need::on(*action, id)));
                }
                collect(inner, found);
            }
        }
        _ => {}
    }
}

/// The ids in a reference: a text, `{"id"}`, a list of them, or the keys of identities.
fn ids(value: &Value) -> Vec<String> {
    match value {
        Value::String(id) => vec![id.clone()],
        Value::Array(items) => items.iter().flat_map(ids).collect(),
        Value::Object(fields) => match fields.get("id").and_then(Value::as_str) {
            Some(id) => vec![id.to_owned()],
            None => fields.keys().filter(|key| key.starts_with('/')).cloned().collect(),
        },
        _ => Vec::new(),
    }
}

/// `A`, `TXT`, … if the path names one; all of them are `recordsets`.
fn record_type(call: &Call) -> &str {
    let named = call.path.iter().rev().find_map(|part| RECORD_TYPES.iter().find(|t| t.eq_ignore_ascii_case(part)));
    named.copied().unwrap_or("recordsets")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Definition {
    #[serde(rename = "Name")]
    _name: String,
    #[serde(rename = "IsCustom")]
    _is_custom: bool,
    #[serde(rename = "Description")]
    _description: String,
    actions: Vec<String>,
    not_actions: Vec<String>,
    data_actions: Vec<String>,
    not_data_actions: Vec<String>,
    #[serde(rename = "AssignableScopes")]
    _assignable_scopes: Vec<String>,
}

/// What a role definition grants, assigned at the subscription.
///
/// # Errors
/// Not what `az role definition create` takes, or with exceptions, which are not simulated.
pub(crate) fn grants(document: &str) -> Result<Vec<Grant>, String> {
    let definition: Definition = serde_json::from_str(document).map_err(|error| error.to_string())?;
    if !definition.not_actions.is_empty() || !definition.not_data_actions.is_empty() {
        return Err("NotActions and NotDataActions are not simulated".to_owned());
    }
    Ok(definition.actions.into_iter().chain(definition.data_actions).map(Grant::always).collect())
}

/// The refusal in Resource Manager's shape. What is missing on the other side of a reference is named as such.
pub(crate) fn forbidden(call: &Call, need: &Need) -> ApiError {
    let (who, action, scope) = (&call.caller.user_id, &need.action, &need.resource);
    let own = format!("/{}", call.path.join("/"));
    if *scope != own {
        let message = format!(
            "The client '{who}' with object id '{who}' has permission to perform action on scope '{own}'; however, it does \
             not have permission to perform action(s) '{action}' on the linked scope(s) '{scope}' or the linked scope(s) are \
             invalid."
        );
        return ApiError::new("LinkedAuthorizationFailed", message).status(403);
    }
    let message = format!(
        "The client '{who}' with object id '{who}' does not have authorization to perform action '{action}' over scope \
         '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    );
    ApiError::new("AuthorizationFailed", message).status(403)
}

/// The refusal for an assignment of Azure Policy with the effect Deny:
/// <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy>.
pub(crate) fn disallowed(call: &Call) -> ApiError {
    let (name, subscription) = (call.path.last().map_or("", String::as_str), &call.caller.account);
    let id = format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/policyAssignments/forbidden");
    let message = format!(
        "Resource '{name}' was disallowed by policy. Policy identifiers: \
         '[{{\"policyAssignment\":{{\"name\":\"forbidden\",\"id\":\"{id}\"}}}}]'."
    );
    ApiError::new("RequestDisallowedByPolicy", message).status(403)
}

#[cfg(test)]
mod tests {
    use super::{grants, needed};
    use crate::kind::KINDS;
    use cloudsim_core::call::Call;
    use serde_json::{Value, json};

    fn actions(service: &str, action: &str, path: &str, json: Value) -> Vec<String> {
        let path = path.split('/').map(str::to_owned).collect();
        let method = if action.ends_with("CreateOrUpdate") { "PUT" } else { "GET" };
        let call = Call {
            service: service.to_owned(),
            action: action.to_owned(),
            method: method.to_owned(),
            path,
            json,
            ..Call::default()
        };
        needed(&call).into_iter().map(|need| need.action).collect()
    }

    #[test]
    fn actions_of_calls() {
        for (service, action, path, expected) in [
            (
                "containerservice",
                "agentPools.CreateOrUpdate",
                "",
                "Microsoft.ContainerService/managedClusters/agentPools/write",
            ),
            (
                "containerservice",
                "managedClusters.ListClusterUserCredential",
                "",
                "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
            ),
            ("containerservice", "operations.Get", "", "Microsoft.ContainerService/locations/operations/read"),
            ("dns", "recordSets.Delete", "z/TXT/name", "Microsoft.Network/dnsZones/TXT/delete"),
            ("authorization", "locks.List", "", "Microsoft.Authorization/locks/read"),
            ("resources", "providers.Get", "", "Microsoft.Resources/subscriptions/providers/read"),
            (
                "resources",
                "resources.ListByResourceGroup",
                "",
                "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
            ),
        ] {
            assert_eq!(actions(service, action, path, Value::Null), [expected]);
        }
    }

    #[test]
    fn every_type_has_its_actions() {
        for kind in &KINDS {
            for operation in ["CreateOrUpdate", "Get", "List", "Delete"] {
                let needed = actions(kind.service, &format!("{}.{operation}", kind.leaf), "", Value::Null);
                assert!(needed.iter().all(|action| !action.starts_with("Unknown")), "{needed:?}");
            }
        }
        assert_eq!(actions("network", "novelties.Get", "", Value::Null), ["Unknown/novelties.Get"]);
    }

    #[test]
    fn what_a_body_refers_to_needs_a_right_there() {
        let body = json!({ "identity": { "userAssignedIdentities": { "/i": {} } },
            "properties": { "agentPoolProfiles": [{ "vnetSubnetID": "/s" }] } });
        assert_eq!(
            actions("containerservice", "managedClusters.CreateOrUpdate", "", body)[1..],
            [
                "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
                "Microsoft.Network/virtualNetworks/subnets/join/action",
            ]
        );
    }

    #[test]
    fn a_role_definition_with_exceptions_is_refused() {
        let role = |not: &str| {
            format!(
                r#"{{ "Name": "x", "IsCustom": true, "Description": "", "Actions": ["a/b/read"], "NotActions": [{not}],
                     "DataActions": [], "NotDataActions": [], "AssignableScopes": [] }}"#
            )
        };
        assert_eq!(grants(&role("")).unwrap().len(), 1);
        assert!(grants(&role(r#""a/b/write""#)).is_err());
    }
}
