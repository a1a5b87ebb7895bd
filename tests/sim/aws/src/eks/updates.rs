//! Updates as EKS keeps them with the object that they change.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_Update.html>; what their parameters are called:
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateParam.html>.

use cloudsim_core::{clock::epoch_seconds, ctx::Ctx, object::Object};
use serde_json::{Value, json};

/// Fields of requests by JSON pointer, and the type of parameter that each becomes.
const PARAMETERS: &[(&str, &str)] = &[
    ("/version", "Version"),
    ("/releaseVersion", "ReleaseVersion"),
    ("/launchTemplate/name", "LaunchTemplateName"),
    ("/launchTemplate/version", "LaunchTemplateVersion"),
    ("/resourcesVpcConfig/endpointPrivateAccess", "EndpointPrivateAccess"),
    ("/resourcesVpcConfig/endpointPublicAccess", "EndpointPublicAccess"),
    ("/resourcesVpcConfig/publicAccessCidrs", "PublicAccessCidrs"),
    ("/resourcesVpcConfig/securityGroupIds", "SecurityGroups"),
    ("/resourcesVpcConfig/subnetIds", "SubnetIds"),
    ("/logging", "ClusterLogging"),
    ("/accessConfig/authenticationMode", "AuthenticationMode"),
    ("/upgradePolicy", "UpgradePolicy"),
    ("/deletionProtection", "DeletionProtection"),
    ("/scalingConfig/minSize", "MinSize"),
    ("/scalingConfig/maxSize", "MaxSize"),
    ("/scalingConfig/desiredSize", "DesiredSize"),
    ("/updateConfig/maxUnavailable", "MaxUnavailable"),
    ("/updateConfig/maxUnavailablePercentage", "MaxUnavailablePercentage"),
    ("/labels/addOrUpdateLabels", "LabelsToAdd"),
    ("/labels/removeLabels", "LabelsToRemove"),
    ("/taints/addOrUpdateTaints", "TaintsToAdd"),
    ("/taints/removeTaints", "TaintsToRemove"),
    ("/addonVersion", "AddonVersion"),
    ("/serviceAccountRoleArn", "ServiceAccountRoleArn"),
    ("/resolveConflicts", "ResolveConflicts"),
    ("/configurationValues", "ConfigurationValues"),
    ("/podIdentityAssociations", "PodIdentityAssociations"),
];

/// What a request changes, as parameters of its update. Texts stand for themselves, everything else is JSON.
fn parameters(request: &Value) -> Vec<Value> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let found = PARAMETERS.iter().filter_map(|(pointer, kind)| Some((kind, request.pointer(pointer)?)));
    found
        .filter(|(_, value)| !value.is_null())
        .map(|(kind, value)| json!({ "type": kind, "value": text(value) }))
        .collect()
}

/// Records an update of an object of EKS under its cluster or itself.
pub(crate) fn new_update(ctx: &mut Ctx<'_>, object: &str, kind: &str, request: &Value) -> Value {
    let params = parameters(request);
    let update = json!({ "id": ctx.world.uuid(), "status": "InProgress", "type": kind, "params": params,
                         "createdAt": epoch_seconds(ctx.now), "errors": [] });
    let stored = update.clone();
    ctx.adjust(object, |o| {
        let list = o.props.entry("updates").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(stored);
        }
    });
    update
}

/// Marks an update as done.
pub(crate) fn finish_update(object: &mut Object, update: &str) {
    for entry in object.props.get_mut("updates").and_then(Value::as_array_mut).into_iter().flatten() {
        if entry["id"] == update {
            entry["status"] = json!("Successful");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parameters;
    use serde_json::json;

    #[test]
    fn parameters_have_the_types_of_the_api() {
        let request = json!({ "clientRequestToken": "t", "scalingConfig": { "minSize": 1, "desiredSize": 3 },
            "labels": { "addOrUpdateLabels": { "a": "b" } }, "version": "1.36" });
        assert_eq!(
            parameters(&request),
            [
                json!({ "type": "Version", "value": "1.36" }),
                json!({ "type": "MinSize", "value": "1" }),
                json!({ "type": "DesiredSize", "value": "3" }),
                json!({ "type": "LabelsToAdd", "value": "{\"a\":\"b\"}" }),
            ]
        );
    }
}
