//! What a caller must be allowed to do for a call, by IAM's names of actions and resources:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
//! What CloudFormation does in a caller's name is in `stack`, how a policy is read in `policy`.

pub(crate) mod policy;
pub(crate) mod stack;

use cloudsim_core::{
    call::{ApiError, Call},
    rights::Need,
};

/// The needs. An operation has the action of its name; asking who one is needs none.
pub(crate) fn needed(call: &Call) -> Vec<Need> {
    let action = call.action.as_str();
    match call.service.as_str() {
        "eks" => eks(call),
        "cloudformation" => stacks(call),
        "route53" => {
            let zone = call.vars.last().filter(|_| !matches!(action, "GetChange"));
            let resource = zone.map(|id| format!("arn:aws:route53:::hostedzone/{id}")).unwrap_or_default();
            vec![Need::on(format!("route53:{action}"), resource)]
        }
        "logs" => logs(call),
        "tagging" => vec![Need::of(format!("tag:{action}"))],
        "sts" if action == "GetCallerIdentity" => Vec::new(),
        "sts" => vec![Need::on(format!("sts:{action}"), call.params.text("RoleArn"))],
        "iam" => {
            let (account, role) = (&call.caller.account, call.params.text("RoleName"));
            vec![Need::on(format!("iam:{action}"), format!("arn:aws:iam::{account}:role/{role}"))]
        }
        service => vec![Need::of(format!("{service}:{action}"))],
    }
}

/// EKS: the action on its cluster, node group and so on; what EKS requests in the caller's name beside it.
fn eks(call: &Call) -> Vec<Need> {
    let action = call.action.as_str();
    let arn = |kind: &str, rest: String| format!("arn:aws:eks:{}:{}:{kind}/{rest}", call.region, call.caller.account);
    let named = |key: &str| call.json[key].as_str().unwrap_or_default().to_owned();
    let cluster = if call.vars.is_empty() { named("name") } else { call.var(0).to_owned() };
    // A resource within a cluster ends with an id of its own.
    let within = |kind: &str| arn(kind, format!("{cluster}/{}/id", call.var(1)));
    let is_list = action.starts_with("List");
    let resource = match action {
        "TagResource" | "UntagResource" | "ListTagsForResource" => call.var(0).to_owned(),
        "ListClusters" | "DescribeClusterVersions" | "DescribeAddonVersions" => String::new(),
        "CreateNodegroup" | "CreateAddon" | "CreateAccessEntry" | "CreatePodIdentityAssociation" => {
            arn("cluster", cluster.clone())
        }
        "ListAssociatedAccessPolicies" => within("access-entry"),
        _ if is_list => arn("cluster", cluster.clone()),
        _ if action.contains("Nodegroup") => within("nodegroup"),
        _ if action.contains("Addon") => within("addon"),
        _ if action.contains("PodIdentity") => within("podidentityassociation"),
        _ if action.contains("Access") => within("access-entry"),
        _ => arn("cluster", cluster.clone()),
    };
    let mut needs = vec![Need::on(format!("eks:{action}"), resource)];
    let made = match action {
        "CreateCluster" => arn("cluster", cluster.clone()),
        "CreateNodegroup" => arn("nodegroup", format!("{cluster}/{}/id", named("nodegroupName"))),
        "CreateAddon" => arn("addon", format!("{cluster}/{}/id", named("addonName"))),
        "CreateAccessEntry" => arn("access-entry", format!("{cluster}/id")),
        "CreatePodIdentityAssociation" => arn("podidentityassociation", format!("{cluster}/id")),
        _ => return needs.into_iter().chain(for_nodes(call)).collect(),
    };
    if call.json["tags"].as_object().is_some_and(|tags| !tags.is_empty()) {
        needs.push(Need::on("eks:TagResource", made));
    }
    needs.extend(passed(call));
    // An add-on's pod identities are made in the caller's name.
    let identities = call.json["podIdentityAssociations"].as_array().into_iter().flatten();
    for role in identities.filter_map(|identity| identity["roleArn"].as_str()) {
        needs.push(Need::on("iam:PassRole", role));
        needs.push(Need::on("eks:CreatePodIdentityAssociation", arn("cluster", cluster.clone())));
    }
    needs.extend(for_nodes(call));
    needs.extend(service_linked(call));
    if call.json["encryptionConfig"].as_array().is_some_and(|configs| !configs.is_empty()) {
        let via = format!("eks.{}.amazonaws.com", call.region);
        needs.extend(["kms:CreateGrant", "kms:DescribeKey"].map(|a| Need::of(a).with("kms:ViaService", via.clone())));
    }
    needs
}

/// Roles that a caller hands to EKS: <https://docs.aws.amazon.com/eks/latest/userguide/security-iam-service-with-iam.html>. Those
/// of nodes are inspected in the caller's name, too.
fn passed(call: &Call) -> Vec<Need> {
    let roles = ["roleArn", "nodeRole", "serviceAccountRoleArn"].map(|key| call.json[key].as_str().unwrap_or_default());
    let roles = roles.into_iter().filter(|role| !role.is_empty());
    let actions: &[&str] = match call.action.as_str() {
        "CreateNodegroup" => &["iam:PassRole", "iam:GetRole", "iam:ListAttachedRolePolicies"],
        "CreatePodIdentityAssociation" => &["iam:PassRole", "iam:GetRole"],
        _ => &["iam:PassRole"],
    };
    roles.flat_map(|role| actions.iter().map(move |action| Need::on(*action, role))).collect()
}

/// A node group by a launch template runs instances in the caller's name:
/// <https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html>.
fn for_nodes(call: &Call) -> Vec<Need> {
    let by_template = matches!(call.action.as_str(), "CreateNodegroup" | "UpdateNodegroupVersion")
        && call.json["launchTemplate"].is_object();
    let actions = ["ec2:RunInstances", "ec2:CreateTags", "ec2:DescribeLaunchTemplateVersions"];
    if by_template { actions.map(Need::of).to_vec() } else { Vec::new() }
}

/// Service-linked roles, made with the first cluster, node group or spot request of an account:
/// <https://docs.aws.amazon.com/eks/latest/userguide/using-service-linked-roles.html>.
fn service_linked(call: &Call) -> Vec<Need> {
    let spot = call.json["capacityType"] == "SPOT";
    let services: &[&str] = match call.action.as_str() {
        "CreateCluster" => &["eks.amazonaws.com"],
        "CreateNodegroup" if spot => &["eks-nodegroup.amazonaws.com", "spot.amazonaws.com"],
        "CreateNodegroup" => &["eks-nodegroup.amazonaws.com"],
        _ => &[],
    };
    let account = &call.caller.account;
    let role = |service: &&'static str| {
        Need::on("iam:CreateServiceLinkedRole", format!("arn:aws:iam::{account}:role/aws-service-role/{service}/x"))
            .with("iam:AWSServiceName", *service)
    };
    services.iter().map(role).collect()
}

/// CloudFormation: the action on its stack; tags need their own.
fn stacks(call: &Call) -> Vec<Need> {
    let name = call.params.text("StackName");
    let arn = match name {
        "" => String::new(),
        arn if arn.starts_with("arn:") => arn.to_owned(),
        name => format!("arn:aws:cloudformation:{}:{}:stack/{name}/id", call.region, call.caller.account),
    };
    let mut actions = vec![call.action.as_str()];
    if !call.params.items("Tags.member").is_empty() {
        match call.action.as_str() {
            "CreateStack" => actions.push("TagResource"),
            "UpdateStack" => actions.extend(["TagResource", "UntagResource"]),
            _ => {}
        }
    }
    actions.into_iter().map(|action| Need::on(format!("cloudformation:{action}"), arn.clone())).collect()
}

/// CloudWatch Logs: the action on its group; listing is on whatever has the prefix. Tags need their own.
fn logs(call: &Call) -> Vec<Need> {
    let name = [call.field("logGroupName"), call.field("logGroupNamePrefix")].concat();
    let arn = match call.field("resourceArn") {
        "" => format!("arn:aws:logs:{}:{}:log-group:{name}", call.region, call.caller.account),
        arn => arn.to_owned(),
    };
    let mut actions = vec![call.action.as_str()];
    if call.action == "CreateLogGroup" && call.json["tags"].as_object().is_some_and(|tags| !tags.is_empty()) {
        actions.push("TagResource");
    }
    actions.into_iter().map(|action| Need::on(format!("logs:{action}"), arn.clone())).collect()
}

/// The refusal in the service's shape.
pub(crate) fn forbidden(call: &Call, need: &Need) -> ApiError {
    let code = match call.service.as_str() {
        "ec2" => "UnauthorizedOperation",
        "eks" | "tagging" | "logs" => "AccessDeniedException",
        _ => "AccessDenied",
    };
    ApiError::new(code, words(&call.caller.arn, need)).status(403)
}

/// The refusal for a service control policy of the organization:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>.
pub(crate) fn disallowed(call: &Call, need: &Need) -> ApiError {
    let mut error = forbidden(call, need);
    let (who, action) = (&call.caller.arn, &need.action);
    error.message =
        format!("User: {who} is not authorized to perform: {action} with an explicit deny in a service control policy");
    error
}

/// As IAM words it.
pub(crate) fn words(who: &str, need: &Need) -> String {
    let action = &need.action;
    let on = if need.resource.is_empty() { String::new() } else { format!(" on resource: {}", need.resource) };
    format!(
        "User: {who} is not authorized to perform: {action}{on} because no identity-based policy allows the {action} action"
    )
}

#[cfg(test)]
mod tests {
    use super::needed;
    use cloudsim_core::call::Call;
    use serde_json::json;

    #[test]
    fn a_call_needs_its_action_on_its_resource_and_what_is_done_in_its_name() {
        let mut call = Call { service: "eks".to_owned(), action: "CreateNodegroup".to_owned(), ..Call::default() };
        call.vars = vec!["landlord-a".to_owned()];
        call.json = json!({ "nodegroupName": "n", "nodeRole": "arn:aws:iam::1:role/n", "tags": { "a": "b" },
                            "launchTemplate": { "id": "lt-1" }, "capacityType": "SPOT" });
        let needs = needed(&call);
        let of = |action: &str| needs.iter().find(|need| need.action == action).unwrap_or_else(|| panic!("{needs:?}"));
        assert!(of("eks:CreateNodegroup").resource.ends_with("cluster/landlord-a"));
        assert!(of("eks:TagResource").resource.ends_with("nodegroup/landlord-a/n/id"));
        assert_eq!(of("iam:PassRole").resource, "arn:aws:iam::1:role/n");
        assert_eq!(of("ec2:RunInstances").resource, "");
        assert!(needs.iter().any(|need| need.context.values().any(|value| value == "spot.amazonaws.com")));
    }
}
