//! What a caller must be allowed to do for a call, by Azure RBAC's names of actions:
//! <https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations>.

use crate::kind::{KINDS, RECORD_TYPES};
use cloudsim_core::call::{ApiError, Call};

/// The actions; none for tokens and for polls of operations.
pub(crate) fn needed(call: &Call) -> Vec<String> {
    let Some((leaf, operation)) = call.action.split_once('.') else {
        return Vec::new();
    };
    let of = match (leaf, operation) {
        ("resources", "List") => return vec!["Microsoft.Resources/subscriptions/resources/read".to_owned()],
        ("resources", _) => {
            return vec!["Microsoft.Resources/subscriptions/resourceGroups/resources/read".to_owned()];
        }
        ("resourceGroups", _) => "Microsoft.Resources/subscriptions/resourceGroups".to_owned(),
        ("recordSets", _) => format!("Microsoft.Network/dnsZones/{}", record_type(call)),
        _ => match KINDS.iter().find(|kind| kind.leaf == leaf && kind.service == call.service) {
            Some(kind) => format!("{}/{}", kind.namespace, kind.types),
            None => return Vec::new(),
        },
    };
    let verb = match operation {
        "CreateOrUpdate" | "Update" => "write".to_owned(),
        "Get" | "List" | "ListAll" | "CheckExistence" => "read".to_owned(),
        "Delete" => "delete".to_owned(),
        action => format!("{action}/action"),
    };
    vec![format!("{of}/{verb}")]
}

/// `A`, `TXT`, … if the path names one; all of them are `recordsets`.
fn record_type(call: &Call) -> &str {
    let named = call.path.iter().rev().find_map(|part| RECORD_TYPES.iter().find(|t| t.eq_ignore_ascii_case(part)));
    named.copied().unwrap_or("recordsets")
}

/// The refusal in Resource Manager's shape.
pub(crate) fn forbidden(call: &Call, action: &str) -> ApiError {
    let (who, scope) = (&call.caller.user_id, call.path.join("/"));
    let message = format!(
        "The client '{who}' with object id '{who}' does not have authorization to perform action '{action}' over scope \
         '/{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    );
    ApiError::new("AuthorizationFailed", message).status(403)
}

#[cfg(test)]
mod tests {
    use super::needed;
    use cloudsim_core::call::Call;

    #[test]
    fn actions_of_calls() {
        for (service, action, path, expected) in [
            (
                "containerservice",
                "agentPools.CreateOrUpdate",
                "",
                "Microsoft.ContainerService/managedClusters/agentPools/write",
            ),
            ("dns", "recordSets.Delete", "z/TXT/name", "Microsoft.Network/dnsZones/TXT/delete"),
            (
                "resources",
                "resources.ListByResourceGroup",
                "",
                "Microsoft.Resources/subscriptions/resourceGroups/resources/read",
            ),
        ] {
            let path = path.split('/').map(str::to_owned).collect();
            let call = Call { service: service.to_owned(), action: action.to_owned(), path, ..Call::default() };
            assert_eq!(needed(&call), [expected]);
        }
    }
}
