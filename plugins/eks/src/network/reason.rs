//! Why CloudFormation could not make or delete a resource: from the reason's free text to the
//! contract's typed error. CloudFormation passes the service's words through and adds a
//! `HandlerErrorCode` of its own:
//! <https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-test-contract-errors.html>.

use landlord_provider_api::{
    ErrorKind::{self, *},
    ProviderError,
};
use landlord_provider_sdk::table as sdk_table;

use crate::{
    error::{allow, missing_permission},
    error_table as table, error_words,
};

/// Words in a reason, kind, remedy. The first row that fits decides.
const WORDS: &[(&str, ErrorKind, &str)] = &[
    ("maximum number of VPCs", Quota, table::QUOTA_VPCS),
    ("VpcLimitExceeded", Quota, table::QUOTA_VPCS),
    ("maximum number of addresses", Quota, table::QUOTA_ADDRESSES),
    ("AddressLimitExceeded", Quota, table::QUOTA_ADDRESSES),
    ("maximum number of internet gateways", Quota, table::QUOTA_GATEWAYS),
    ("InternetGatewayLimitExceeded", Quota, table::QUOTA_GATEWAYS),
    ("NatGatewayLimitExceeded", Quota, table::QUOTA_NATS),
    ("limit of NAT gateways", Quota, table::QUOTA_NATS),
    ("has reached its limit of", Quota, ""),
    ("SecurityGroupLimitExceeded", Quota, table::QUOTA_GROUPS),
    ("RolesPerAccount", Quota, table::QUOTA_ROLES),
    ("ServiceLimitExceeded", Quota, ""),
    ("LimitExceeded", Quota, ""),
    ("not authorized to perform", Auth, ""),
    ("UnauthorizedOperation", Auth, ""),
    ("AccessDenied", Auth, ""),
    ("InvalidCredentials", Auth, ""),
    ("explicit deny", Auth, ""),
    ("already exists", NameTaken, "find out who made it and remove or rename it, then retry"),
    ("AlreadyExists", NameTaken, "find out who made it and remove or rename it, then retry"),
    ("Rate exceeded", Throttled, ""),
    ("Throttling", Throttled, ""),
    ("RequestLimitExceeded", Throttled, ""),
    ("Insufficient", Capacity, "wait, or choose other zones or another Region for the class"),
    ("DependencyViolation", Conflict, ""),
    ("has dependencies", Conflict, ""),
    ("has a dependent object", Conflict, ""),
    ("mapped public address", Conflict, ""),
    ("ResourceConflict", Conflict, ""),
    ("DeleteConflict", Conflict, ""),
    ("NotStabilized", Transient, ""),
    ("did not stabilize", Transient, ""),
    ("ServiceInternalError", Transient, ""),
    ("InternalFailure", Transient, ""),
    ("InternalError", Transient, ""),
    ("NetworkFailure", Transient, ""),
    ("ServiceTimeout", Transient, ""),
    ("timed out", Transient, ""),
    ("GeneralServiceException", Transient, ""),
    ("Status Code: 5", Transient, ""),
    ("InvalidRequest", Invalid, ""),
    ("Invalid", Invalid, ""),
    ("not valid", Invalid, ""),
];

/// Quotas by type, for reasons that only say that there is one.
const QUOTAS: &[(&str, &str)] = &[
    ("AWS::EC2::VPC", table::QUOTA_VPCS),
    ("AWS::EC2::EIP", table::QUOTA_ADDRESSES),
    ("AWS::EC2::InternetGateway", table::QUOTA_GATEWAYS),
    ("AWS::EC2::NatGateway", table::QUOTA_NATS),
    ("AWS::EC2::SecurityGroup", table::QUOTA_GROUPS),
    ("AWS::EC2::LaunchTemplate", table::QUOTA_TEMPLATES),
    ("AWS::IAM::Role", table::QUOTA_ROLES),
];

/// Reads a reason.
pub(crate) fn read(resource_type: &str, logical_id: &str, reason: &str) -> ProviderError {
    let row = WORDS.iter().find(|(words, ..)| reason.contains(words));
    let (kind, mut remedy) = row.map_or((Transient, ""), |(_, kind, remedy)| (*kind, *remedy));
    if kind == Quota && remedy.is_empty() {
        let by_type = QUOTAS.iter().find(|(of, _)| *of == resource_type);
        remedy = by_type.map_or("ask for a higher quota in Service Quotas, then retry", |(_, remedy)| remedy);
    }
    let mut remedy = remedy.to_owned();
    if kind == Auth {
        remedy = match missing_permission(reason) {
            Some(action) => allow(action),
            None => "correct the IAM policy of landlord's role (see iam-policy.json), then retry".to_owned(),
        };
    }
    let mut kind = kind;
    // Policies of the organization and states of keys are in the words, here as in responses.
    if let Some((meant, by_words)) = sdk_table::by_words(error_words::WORDS, code(reason), reason) {
        kind = meant;
        by_words.clone_into(&mut remedy);
    }
    ProviderError::new(kind, format!("{resource_type} {logical_id} failed: {reason}"))
        .with_code(code(reason))
        .with_remedy(sdk_table::addressed(kind, &remedy))
}

/// `HandlerErrorCode: X` or `Error Code: X`; empty if there is neither.
fn code(reason: &str) -> &str {
    ["Error Code: ", "HandlerErrorCode: "]
        .iter()
        .find_map(|label| reason.split(label).nth(1))
        .and_then(|rest| rest.split([')', ';', ',', ' ']).next())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::read;
    use landlord_provider_api::ErrorKind;

    #[test]
    fn reasons_become_kinds_and_remedies() {
        let cases = [
            (
                "AWS::EC2::VPC",
                "The maximum number of VPCs has been reached. (Service: Ec2, Status Code: 400, Request ID: x) (HandlerErrorCode: ServiceLimitExceeded)",
                ErrorKind::Quota,
                "VPCs per Region",
            ),
            (
                "AWS::EC2::EIP",
                "The maximum number of addresses has been reached. (Service: Ec2; Status Code: 400; Error Code: AddressLimitExceeded; Request ID: x)",
                ErrorKind::Quota,
                "Elastic IPs",
            ),
            (
                "AWS::IAM::Role",
                "Resource handler returned message: \"Limit exceeded\" (HandlerErrorCode: ServiceLimitExceeded)",
                ErrorKind::Quota,
                "Roles per account",
            ),
            (
                "AWS::IAM::Role",
                "User: arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole on resource: y (HandlerErrorCode: AccessDenied)",
                ErrorKind::Auth,
                "iam:CreateRole",
            ),
            ("AWS::IAM::Role", "landlord-x-node already exists", ErrorKind::NameTaken, "remove"),
            (
                "AWS::EC2::Subnet",
                "The subnet 'subnet-1' has dependencies and cannot be deleted. (Service: Ec2, Status Code: 400, Request ID: x) (HandlerErrorCode: InvalidRequest)",
                ErrorKind::Conflict,
                "",
            ),
            (
                "AWS::EC2::NatGateway",
                "Resource handler returned message: \"Exceeded attempts to wait\" (HandlerErrorCode: NotStabilized)",
                ErrorKind::Transient,
                "",
            ),
            ("AWS::EC2::Subnet", "something new", ErrorKind::Transient, "landlord tries again"),
            (
                "AWS::EC2::VPC",
                "User: arn:aws:iam::1:user/x is not authorized to perform: ec2:CreateVpc on resource: y with an explicit deny in a service control policy (Service: Ec2, Status Code: 403)",
                ErrorKind::Auth,
                "administrator of the AWS organization",
            ),
        ];
        for (of, text, kind, remedy) in cases {
            let error = read(of, "X", text);
            assert_eq!(error.kind, kind, "{text}");
            assert!(error.remedy.contains(remedy), "{text}: {}", error.remedy);
        }
        assert_eq!(read("AWS::EC2::VPC", "X", cases[0].1).code, "ServiceLimitExceeded");
    }
}
