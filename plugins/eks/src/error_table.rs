//! What each documented AWS error code means for landlord: kind, and with it the retry rule,
//! and the remedy. One row a code; a snapshot test shows every change of the table.
//!
//! Sources: the "Errors" section of each called action in the API references of EKS,
//! CloudFormation, Route 53, STS, Elastic Load Balancing and Resource Groups Tagging, the
//! error code list of EC2, and the common errors that every service documents.

use landlord_provider_api::ErrorKind::{self, *};
use landlord_provider_sdk::{
    error::RENEW_CREDENTIALS as RENEW,
    table::{self, Row},
};

/// The table. A row of the service comes before one of `*`.
pub(crate) const TABLE: &[Row] = &[
    // EKS
    ("eks", "AccessDeniedException", Auth, ALLOW),
    ("eks", "BadRequestException", Invalid, ""),
    ("eks", "ClientException", Invalid, ""),
    ("eks", "InvalidParameterException", Invalid, "correct the class parameter that the message names"),
    ("eks", "InvalidRequestException", Invalid, "the message says what the cluster's state forbids"),
    ("eks", "InvalidStateException", Conflict, ""),
    ("eks", "NotFoundException", Conflict, ""),
    ("eks", "ResourceInUseException", Conflict, ""),
    (
        "eks",
        "ResourceLimitExceededException",
        Quota,
        "ask for a higher quota in Service Quotas, service Amazon EKS (for example \"Clusters\" L-1194D53C, \"Managed node groups per cluster\" L-6D54EA21), then retry",
    ),
    ("eks", "ResourceNotFoundException", Conflict, ""),
    ("eks", "ResourcePropagationDelayException", Transient, ""),
    ("eks", "ServerException", Transient, ""),
    ("eks", "ServiceUnavailableException", Transient, ""),
    ("eks", "TooManyRequestsException", Throttled, ""),
    (
        "eks",
        "UnsupportedAvailabilityZoneException",
        Capacity,
        "set the class parameter availability_zones to zones that the message names as supported",
    ),
    // CloudFormation
    ("cloudformation", "AlreadyExistsException", Conflict, ""),
    ("cloudformation", "InsufficientCapabilitiesException", Internal, ""),
    (
        "cloudformation",
        "LimitExceededException",
        Quota,
        "delete stacks that are no longer needed or ask for a higher quota \"Stack count\" (L-0485CB21) in Service Quotas, then retry",
    ),
    ("cloudformation", "OperationInProgressException", Conflict, ""),
    ("cloudformation", "StaleRequestException", Conflict, ""),
    ("cloudformation", "TokenAlreadyExistsException", Conflict, ""),
    ("cloudformation", "StackNotFoundException", Conflict, ""),
    ("cloudformation", "ValidationError", Invalid, ""),
    // CloudWatch Logs
    ("logs", "InvalidParameterException", Invalid, "correct the class parameter control_plane_log_retention_days"),
    (
        "logs",
        "LimitExceededException",
        Quota,
        "delete log groups that are no longer needed or ask for a higher quota of them in Service Quotas, service Amazon CloudWatch Logs, then retry",
    ),
    ("logs", "OperationAbortedException", Conflict, ""),
    ("logs", "ResourceAlreadyExistsException", Conflict, ""),
    ("logs", "ResourceNotFoundException", Conflict, ""),
    // Route 53
    (
        "route53",
        "ConflictingDomainExists",
        Invalid,
        "remove the conflicting zone of this domain or choose another domain",
    ),
    (
        "route53",
        "DelegationSetNotAvailable",
        Quota,
        "AWS cannot assign name servers for another zone of this domain name: choose another domain or open a case with AWS Support",
    ),
    ("route53", "DelegationSetNotReusable", Invalid, ""),
    ("route53", "HostedZoneAlreadyExists", Conflict, ""),
    ("route53", "HostedZoneNotEmpty", Conflict, ""),
    ("route53", "InvalidChangeBatch", Invalid, "correct the record that the message names"),
    ("route53", "InvalidDomainName", Invalid, "choose a valid domain name"),
    ("route53", "InvalidInput", Invalid, ""),
    ("route53", "InvalidArgument", Invalid, ""),
    ("route53", "InvalidVPCId", Invalid, ""),
    ("route53", "NoSuchDelegationSet", Invalid, ""),
    ("route53", "NoSuchHealthCheck", Invalid, ""),
    ("route53", "NoSuchHealthCheckSource", Invalid, ""),
    ("route53", "NoSuchHostedZone", Conflict, ""),
    ("route53", "NoSuchChange", Conflict, ""),
    ("route53", "PriorRequestNotComplete", Throttled, ""),
    (
        "route53",
        "TooManyHostedZones",
        Quota,
        "delete zones that are no longer needed or ask for a higher quota \"Hosted zones\" (L-4EA4796A) in Service Quotas, then retry",
    ),
    (
        "route53",
        "LimitsExceeded",
        Quota,
        "ask for a higher quota in Service Quotas, service Amazon Route 53, then retry",
    ),
    // STS
    ("sts", "ExpiredTokenException", Auth, RENEW),
    ("sts", "IDPCommunicationError", Transient, ""),
    ("sts", "IDPRejectedClaim", Auth, RENEW),
    ("sts", "InvalidContextAssertion", Auth, RENEW),
    ("sts", "InvalidIdentityToken", Auth, RENEW),
    ("sts", "MalformedPolicyDocument", Internal, ""),
    ("sts", "PackedPolicyTooLarge", Internal, ""),
    (
        "sts",
        "RegionDisabledException",
        Auth,
        "activate STS for this Region in the IAM console of the account, then retry",
    ),
    // Elastic Load Balancing
    ("elasticloadbalancing", "LoadBalancerNotFound", Conflict, ""),
    ("elasticloadbalancing", "AccessPointNotFound", Conflict, ""),
    ("elasticloadbalancing", "TargetGroupNotFound", Conflict, ""),
    ("elasticloadbalancing", "ListenerNotFound", Conflict, ""),
    ("elasticloadbalancing", "RuleNotFound", Conflict, ""),
    ("elasticloadbalancing", "TrustStoreNotFound", Conflict, ""),
    (
        "elasticloadbalancing",
        "OperationNotPermitted",
        Invalid,
        "turn off the load balancer's deletion protection, then retry",
    ),
    ("elasticloadbalancing", "ResourceInUse", Conflict, ""),
    // Resource Groups Tagging
    ("tagging", "ConstraintViolationException", Invalid, ""),
    ("tagging", "InternalServiceException", Transient, ""),
    ("tagging", "InvalidParameterException", Internal, ""),
    ("tagging", "PaginationTokenExpiredException", Transient, ""),
    ("tagging", "ThrottledException", Throttled, ""),
    // EC2
    ("ec2", "AuthFailure", Auth, RENEW),
    ("ec2", "UnauthorizedOperation", Auth, ALLOW),
    ("ec2", "Blocked", Auth, "the account is blocked: open a case with AWS Support"),
    ("ec2", "PendingVerification", Auth, "AWS is still verifying the account: wait, then retry"),
    ("ec2", "DependencyViolation", Conflict, ""),
    ("ec2", "ResourceInUse", Conflict, ""),
    ("ec2", "IncorrectState", Conflict, ""),
    ("ec2", "IncorrectInstanceState", Conflict, ""),
    ("ec2", "OperationInProgress", Conflict, ""),
    ("ec2", "VolumeInUse", Conflict, ""),
    ("ec2", "InvalidGroup.InUse", Conflict, ""),
    ("ec2", "InvalidNetworkInterface.InUse", Conflict, ""),
    ("ec2", "InvalidParameterValue", Internal, ""),
    ("ec2", "InvalidParameterCombination", Internal, ""),
    ("ec2", "InvalidParameter", Internal, ""),
    ("ec2", "MissingParameter", Internal, ""),
    ("ec2", "InvalidNextToken", Transient, ""),
    ("ec2", "CannotDelete", Conflict, ""),
    ("ec2", "ConcurrentTagAccess", Conflict, ""),
    ("ec2", "Gateway.NotAttached", Conflict, ""),
    ("ec2", "IdempotentParameterMismatch", Internal, ""),
    ("ec2", "InvalidSubnet.Conflict", Invalid, "correct the class parameter vpc_cidr"),
    ("ec2", "InvalidSubnet.Range", Invalid, "correct the class parameter vpc_cidr"),
    ("ec2", "InvalidVpcRange", Invalid, "correct the class parameter vpc_cidr"),
    ("ec2", "InvalidKMSKey.InvalidState", Auth, KEY),
    (
        "ec2",
        "OperationNotPermitted",
        Conflict,
        "the owner of the object turns off its termination protection, then retry",
    ),
    ("ec2", "Resource.AlreadyAssociated", Conflict, ""),
    ("ec2", "RouteAlreadyExists", Conflict, ""),
    (
        "ec2",
        "TagPolicyViolation",
        Auth,
        "the administrator of the AWS organization lets landlord's tags pass the tag policy that the message names, then retry",
    ),
    ("ec2", "UnsupportedOperation", Conflict, ""),
    ("ec2", "ZonesMismatched", Internal, ""),
    ("ec2", "InsufficientAddressCapacity", Capacity, CAPACITY),
    ("ec2", "InsufficientHostCapacity", Capacity, CAPACITY),
    ("ec2", "InsufficientReservedInstanceCapacity", Capacity, CAPACITY),
    ("ec2", "InsufficientVolumeCapacity", Capacity, CAPACITY),
    ("ec2", "InsufficientInstanceCapacity", Capacity, CAPACITY),
    ("ec2", "InsufficientCapacity", Capacity, CAPACITY),
    (
        "ec2",
        "InsufficientFreeAddressesInSubnet",
        Capacity,
        "the private subnets are full: use a larger vpc_cidr for new tenants or fewer nodes",
    ),
    ("ec2", "Unsupported", Capacity, "the zone does not offer this machine type: choose another machine type or zone"),
    ("ec2", "VpcLimitExceeded", Quota, QUOTA_VPCS),
    ("ec2", "AddressLimitExceeded", Quota, QUOTA_ADDRESSES),
    ("ec2", "NatGatewayLimitExceeded", Quota, QUOTA_NATS),
    ("ec2", "InternetGatewayLimitExceeded", Quota, QUOTA_GATEWAYS),
    (
        "ec2",
        "SubnetLimitExceeded",
        Quota,
        "ask for a higher quota \"Subnets per VPC\" (L-407747CB) in Service Quotas, service Amazon VPC, then retry",
    ),
    (
        "ec2",
        "RouteTableLimitExceeded",
        Quota,
        "ask for a higher quota \"Route tables per VPC\" (L-589F43AA) in Service Quotas, service Amazon VPC, then retry",
    ),
    ("ec2", "SecurityGroupLimitExceeded", Quota, QUOTA_GROUPS),
    ("ec2", "InstanceLimitExceeded", Quota, QUOTA_VCPUS),
    ("ec2", "VcpuLimitExceeded", Quota, QUOTA_VCPUS),
    (
        "ec2",
        "MaxSpotInstanceCountExceeded",
        Quota,
        "ask for a higher quota of Spot Instance requests in Service Quotas, service Amazon EC2, then retry",
    ),
    (
        "ec2",
        "NetworkInterfaceLimitExceeded",
        Quota,
        "ask for a higher quota \"Network interfaces per Region\" (L-DF5E4CA3) in Service Quotas, service Amazon VPC, then retry",
    ),
    ("ec2", "VolumeLimitExceeded", Quota, "ask for more EBS storage in Service Quotas, service Amazon EBS, then retry"),
    ("ec2", "ResourceLimitExceeded", Quota, "ask for a higher quota in Service Quotas, service Amazon EC2, then retry"),
    ("ec2", "RequestLimitExceeded", Throttled, ""),
    ("ec2", "Client.RequestLimitExceeded", Throttled, ""),
    ("ec2", "InternalError", Transient, ""),
    ("ec2", "Unavailable", Transient, ""),
    ("ec2", "ServerInternal", Transient, ""),
    // Common to all services
    ("*", "AccessDenied", Auth, ALLOW),
    ("*", "AccessDeniedException", Auth, ALLOW),
    ("*", "UnauthorizedOperation", Auth, ALLOW),
    ("*", "NotAuthorized", Auth, ALLOW),
    ("*", "NotAuthorizedException", Auth, ALLOW),
    (
        "*",
        "OptInRequired",
        Auth,
        "enable the Region or subscribe to the service in the account's billing console, then retry",
    ),
    ("*", "AuthFailure", Auth, RENEW),
    ("*", "ExpiredToken", Auth, RENEW),
    ("*", "ExpiredTokenException", Auth, RENEW),
    (
        "*",
        "RequestExpired",
        Auth,
        "set the clock of this machine (the request's time was too far from AWS's), then retry",
    ),
    (
        "*",
        "RequestInTheFuture",
        Auth,
        "set the clock of this machine (the request's time was too far from AWS's), then retry",
    ),
    ("*", "IncompleteSignature", Auth, RENEW),
    ("*", "InvalidClientTokenId", Auth, RENEW),
    ("*", "InvalidSignatureException", Auth, RENEW),
    ("*", "SignatureDoesNotMatch", Auth, RENEW),
    ("*", "UnrecognizedClientException", Auth, RENEW),
    ("*", "MissingAuthenticationToken", Auth, RENEW),
    ("*", "MissingAuthenticationTokenException", Auth, RENEW),
    ("*", "CredentialsUnavailable", Auth, RENEW),
    ("*", "Throttling", Throttled, ""),
    ("*", "ThrottlingException", Throttled, ""),
    ("*", "ThrottledException", Throttled, ""),
    ("*", "RequestThrottled", Throttled, ""),
    ("*", "RequestThrottledException", Throttled, ""),
    ("*", "TooManyRequestsException", Throttled, ""),
    ("*", "RequestLimitExceeded", Throttled, ""),
    ("*", "BandwidthLimitExceeded", Throttled, ""),
    ("*", "SlowDown", Throttled, ""),
    ("*", "InternalFailure", Transient, ""),
    ("*", "InternalError", Transient, ""),
    ("*", "InternalServerError", Transient, ""),
    ("*", "ServiceUnavailable", Transient, ""),
    ("*", "ServiceUnavailableException", Transient, ""),
    ("*", "RequestTimeout", Transient, ""),
    ("*", "RequestTimeoutException", Transient, ""),
    ("*", "InvalidAction", Internal, ""),
    ("*", "InvalidParameterCombination", Internal, ""),
    ("*", "InvalidParameterValue", Invalid, ""),
    ("*", "InvalidQueryParameter", Internal, ""),
    ("*", "MalformedQueryString", Internal, ""),
    ("*", "MissingAction", Internal, ""),
    ("*", "DryRunOperation", Internal, ""),
    ("*", "InvalidCharacter", Internal, ""),
    ("*", "InvalidPaginationToken", Transient, ""),
    ("*", "InvalidParameter", Internal, ""),
    ("*", "InvalidParameterDependency", Internal, ""),
    ("*", "UnknownParameter", Internal, ""),
    ("*", "UnsupportedOperation", Internal, ""),
    ("*", "UnsupportedProtocol", Internal, ""),
    ("*", "InvalidHttpRequest", Internal, ""),
    ("*", "MalformedHttpRequestException", Internal, ""),
    ("*", "RequestAbortedException", Transient, ""),
    ("*", "RequestEntityTooLargeException", Internal, ""),
    ("*", "UnknownError", Transient, ""),
    ("*", "Unavailable", Transient, ""),
    ("*", "Blocked", Auth, "the account is blocked: its administrator opens a case with AWS Support"),
    ("*", "PendingVerification", Auth, "AWS is still verifying the account: its administrator waits, then retry"),
    ("*", "MissingParameter", Internal, ""),
    ("*", "UnknownOperationException", Internal, ""),
    ("*", "SerializationException", Internal, ""),
    ("*", "ValidationError", Invalid, ""),
    ("*", "ValidationException", Invalid, ""),
];

pub(crate) const KEY: &str = "the owner of the KMS key enables it or cancels its deletion, then retry";
const ALLOW: &str = "allow the action in the IAM policy of landlord's role (see iam-policy.json), then retry";
const CAPACITY: &str = "wait, or choose another machine type, zone or Region for the class";
/// Remedies that the stack's failure reasons share with the codes.
pub(crate) const QUOTA_VPCS: &str = "ask for a higher quota \"VPCs per Region\" (L-F678F1CE) in Service Quotas, service Amazon VPC, or delete VPCs that are no longer needed, then retry";
pub(crate) const QUOTA_ADDRESSES: &str = "ask for a higher quota \"EC2-VPC Elastic IPs\" (L-0263D0A3) in Service Quotas, service Amazon EC2, or release addresses that are no longer needed, then retry";
pub(crate) const QUOTA_NATS: &str = "ask for a higher quota \"NAT gateways per Availability Zone\" (L-FE5A380F) in Service Quotas, service Amazon VPC, then retry";
pub(crate) const QUOTA_GATEWAYS: &str = "ask for a higher quota \"Internet gateways per Region\" (L-A4707A72) in Service Quotas, service Amazon VPC, then retry";
pub(crate) const QUOTA_GROUPS: &str = "ask for a higher quota \"VPC security groups per Region\" (L-E79EC296) in Service Quotas, service Amazon VPC, then retry";
const QUOTA_OTHER: &str = "ask for a higher quota (the message says of what) in Service Quotas, service Amazon EC2 or Amazon VPC, or delete what is no longer needed, then retry";
pub(crate) const QUOTA_ROLES: &str =
    "ask for a higher quota \"Roles per account\" (L-FE177D64) in Service Quotas, service IAM, then retry";
pub(crate) const QUOTA_TEMPLATES: &str =
    "ask for a higher quota \"Launch templates per Region\" in Service Quotas, service Amazon EC2, then retry";
pub(crate) const QUOTA_VCPUS: &str = "ask for a higher quota \"Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances\" (L-1216C47A) in Service Quotas, service Amazon EC2, then retry";

/// Kind and remedy of a code; `None`: not documented, the HTTP status decides.
pub(crate) fn look_up(service: &str, code: &str) -> Option<(ErrorKind, &'static str)> {
    table::look_up(TABLE, service, code).or_else(|| by_form(service, code))
}

/// Codes that come in families.
fn by_form(service: &str, code: &str) -> Option<(ErrorKind, &'static str)> {
    if service != "ec2" {
        return None;
    }
    let ends = |list: &[&str]| list.iter().any(|end| code.ends_with(end));
    // EC2 names what is gone by type: InvalidVolume.NotFound, InvalidGroup.NotFound, …
    if ends(&["NotFound", "InUse"]) {
        return Some((Conflict, ""));
    }
    // A rate, and no quota: <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
    if ends(&["LimitExceeded", "CountExceeded"]) && !code.contains("Request") {
        return Some((Quota, QUOTA_OTHER));
    }
    (ends(&["Malformed"]) || code.starts_with("Invalid")).then_some((Internal, ""))
}

#[cfg(test)]
mod tests {
    use super::{TABLE, look_up};
    use landlord_provider_api::ErrorKind;
    use landlord_provider_sdk::table;

    #[test]
    fn the_whole_table() {
        insta::assert_json_snapshot!(table::lines(TABLE));
        assert_eq!(table::problems(TABLE), [""; 0]);
    }

    /// What AWS documents, and this plugin can meet.
    #[test]
    fn every_published_code_has_a_kind_and_says_who_must_do_what() {
        let published = include_str!("../tests/published-errors.txt");
        assert!(published.lines().count() > 150);
        assert_eq!(table::uncovered(published, look_up), [""; 0]);
    }

    #[test]
    fn a_services_own_row_comes_first_and_families_follow() {
        assert_eq!(look_up("ec2", "VolumeInUse").map(|f| f.0), Some(ErrorKind::Conflict));
        assert_eq!(look_up("tagging", "InvalidParameterException").map(|f| f.0), Some(ErrorKind::Internal));
        assert_eq!(look_up("eks", "InvalidParameterException").map(|f| f.0), Some(ErrorKind::Invalid));
        assert_eq!(look_up("ec2", "InvalidVolume.NotFound").map(|f| f.0), Some(ErrorKind::Conflict));
        assert_eq!(look_up("route53", "ThrottlingException").map(|f| f.0), Some(ErrorKind::Throttled));
        assert_eq!(look_up("eks", "Novelty"), None);
    }
}
