//! What a caller must be allowed to do for a call, by IAM's names of actions:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
//! What CloudFormation does for a stack is not looked at.

use cloudsim_core::call::{ApiError, Call};

/// The actions. An operation has the action of its name; asking who one is needs none.
pub(crate) fn needed(call: &Call) -> Vec<String> {
    let prefix = match call.service.as_str() {
        "tagging" => "tag",
        "sts" if call.action == "GetCallerIdentity" => return Vec::new(),
        service => service,
    };
    vec![format!("{prefix}:{}", call.action)]
}

/// The refusal in the service's shape.
pub(crate) fn forbidden(call: &Call, action: &str) -> ApiError {
    let code = match call.service.as_str() {
        "ec2" => "UnauthorizedOperation",
        "eks" | "tagging" => "AccessDeniedException",
        _ => "AccessDenied",
    };
    let who = &call.caller.arn;
    let message = format!(
        "User: {who} is not authorized to perform: {action} because no identity-based policy allows the {action} action"
    );
    ApiError::new(code, message).status(403)
}
