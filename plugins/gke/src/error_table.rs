//! What each documented error of Google Cloud means for landlord: kind, and with it the retry
//! rule, and the remedy. One row a code; a snapshot test shows every change of the table.
//!
//! Sources: the canonical codes (<https://cloud.google.com/apis/design/errors>), Compute Engine's
//! reasons and operation errors
//! (<https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-using-apis>,
//! <https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability>),
//! GKE's conditions (`StatusCondition.Code` of the API) and Cloud DNS's reasons
//! (<https://cloud.google.com/dns/docs/troubleshooting>), read 2026-11.

use landlord_provider_api::ErrorKind::{self, *};
use landlord_provider_sdk::{
    error::RENEW_CREDENTIALS as RENEW,
    table::{self, Row, WordsRow},
};

/// The table. A row of the service comes before one of `*`.
pub(crate) const TABLE: &[Row] = &[
    // Compute Engine: reasons of responses.
    ("compute", "notFound", Conflict, ""),
    ("compute", "alreadyExists", Conflict, ""),
    ("compute", "conflict", Conflict, ""),
    ("compute", "resourceInUseByAnotherResource", Conflict, ""),
    ("compute", "resourceNotReady", Conflict, ""),
    ("compute", "resourceIsBeingUsed", Conflict, ""),
    ("compute", "conditionNotMet", Conflict, ""),
    ("compute", "operationInProgress", Conflict, ""),
    ("compute", "rateLimitExceeded", Throttled, ""),
    ("compute", "userRateLimitExceeded", Throttled, ""),
    ("compute", "concurrentOperationLimitExceeded", Throttled, ""),
    ("compute", "quotaExceeded", Quota, QUOTA),
    ("compute", "limitExceeded", Quota, QUOTA),
    ("compute", "accessNotConfigured", Auth, ENABLE),
    ("compute", "forbidden", Auth, ALLOW),
    ("compute", "required", Internal, ""),
    ("compute", "invalid", Invalid, "correct the class parameter that the message names"),
    ("compute", "invalidUsage", Invalid, ""),
    ("compute", "badRequest", Invalid, ""),
    ("compute", "resourceNotStandalone", Conflict, ""),
    ("compute", "backendError", Transient, ""),
    ("compute", "notImplemented", Internal, ""),
    ("compute", "invalidParameter", Invalid, ""),
    ("compute", "stockout", Capacity, CAPACITY),
    ("compute", "resource_availability", Capacity, CAPACITY),
    ("compute", "rateLimitExceededUnreg", Throttled, ""),
    ("compute", "dailyLimitExceeded", Quota, QUOTA),
    ("compute", "ipInUse", Conflict, ""),
    ("compute", "insufficientPermissions", Auth, ALLOW),
    ("compute", "internalError", Transient, ""),
    // Compute Engine: errors of operations.
    ("compute", "QUOTA_EXCEEDED", Quota, QUOTA),
    ("compute", "QUOTA_LIMIT_EXCEEDED", Quota, QUOTA),
    ("compute", "LIMIT_EXCEEDED", Quota, QUOTA),
    ("compute", "RATE_LIMIT_EXCEEDED", Throttled, ""),
    ("compute", "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", Throttled, ""),
    ("compute", "RESOURCE_OPERATION_RATE_EXCEEDED", Throttled, ""),
    ("compute", "ZONE_RESOURCE_POOL_EXHAUSTED", Capacity, CAPACITY),
    ("compute", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", Capacity, CAPACITY),
    ("compute", "RESOURCE_POOL_EXHAUSTED", Capacity, CAPACITY),
    ("compute", "IP_SPACE_EXHAUSTED", Capacity, "the subnetwork is full: choose a larger network_cidr for new tenants"),
    (
        "compute",
        "IP_SPACE_EXHAUSTED_WITH_DETAILS",
        Capacity,
        "the subnetwork is full: choose a larger network_cidr for new tenants",
    ),
    ("compute", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", Conflict, ""),
    ("compute", "RESOURCE_ALREADY_EXISTS", Conflict, ""),
    ("compute", "RESOURCE_NOT_FOUND", Conflict, ""),
    ("compute", "RESOURCE_NOT_READY", Conflict, ""),
    ("compute", "RESOURCE_IS_BEING_USED", Conflict, ""),
    ("compute", "CONDITION_NOT_MET", Conflict, ""),
    ("compute", "OPERATION_CANCELED_BY_USER", Conflict, ""),
    ("compute", "RESOURCE_OPERATION_CONFLICT", Conflict, ""),
    ("compute", "NETWORK_PEERING_IN_PROGRESS", Conflict, ""),
    ("compute", "SUBNETWORK_IN_USE", Conflict, ""),
    ("compute", "PERMISSIONS_ERROR", Auth, ALLOW),
    ("compute", "UNSUPPORTED_OPERATION", Invalid, ""),
    ("compute", "INVALID_USAGE", Invalid, ""),
    ("compute", "INVALID_FIELD", Invalid, ""),
    ("compute", "INTERNAL_ERROR", Transient, ""),
    // GKE: conditions of clusters, pools and operations.
    ("container", "GCE_STOCKOUT", Capacity, CAPACITY),
    ("container", "GCE_QUOTA_EXCEEDED", Quota, QUOTA),
    (
        "container",
        "GKE_SERVICE_ACCOUNT_DELETED",
        Auth,
        "restore GKE's service agent: disable and enable the Kubernetes Engine API in the project, then retry",
    ),
    ("container", "SET_BY_OPERATOR", Conflict, "Google set the cluster's state by hand: open a case with support"),
    ("container", "CLOUD_KMS_KEY_ERROR", Auth, "let GKE's service agent use the key of secrets_kms_key, then retry"),
    ("container", "CLOUD_KMS_KEY_DESTROYED", Auth, "restore the version of the key of secrets_kms_key, then retry"),
    ("container", "CA_EXPIRING", Conflict, "rotate the cluster's credentials"),
    (
        "container",
        "NODE_SERVICE_ACCOUNT_MISSING_PERMISSIONS",
        Auth,
        "grant roles/container.defaultNodeServiceAccount to the nodes' service account, then retry",
    ),
    ("container", "CLUSTER_ALREADY_HAS_OPERATION", Conflict, ""),
    ("container", "RATE_LIMIT_EXCEEDED", Throttled, ""),
    // Cloud DNS: reasons.
    ("dns", "alreadyExists", Conflict, ""),
    ("dns", "notFound", Conflict, ""),
    ("dns", "containerNotEmpty", Conflict, ""),
    ("dns", "preconditionFailed", Conflict, ""),
    ("dns", "cnameResourceRecordSetConflict", Invalid, "remove the other records of this name or choose another name"),
    ("dns", "invalid", Invalid, "correct the record or domain that the message names"),
    ("dns", "invalidFieldValue", Invalid, "correct the record or domain that the message names"),
    (
        "dns",
        "managedZoneDnsNameNotAvailable",
        Invalid,
        "Google has no name servers left for a zone of this domain: choose another domain",
    ),
    (
        "dns",
        "verifyManagedZoneDnsNameOwnership",
        Invalid,
        "verify the ownership of the domain at Search Console with the account that landlord works as, then retry",
    ),
    ("dns", "quotaExceeded", Quota, QUOTA),
    ("dns", "rateLimitExceeded", Throttled, ""),
    ("dns", "userRateLimitExceeded", Throttled, ""),
    ("dns", "accessNotConfigured", Auth, ENABLE),
    ("dns", "forbidden", Auth, ALLOW),
    ("dns", "backendError", Transient, ""),
    // OAuth 2.0 (RFC 6749) and its JWT grant (RFC 7523).
    ("oauth2", "invalid_grant", Auth, RENEW),
    ("oauth2", "invalid_client", Auth, RENEW),
    ("oauth2", "unauthorized_client", Auth, RENEW),
    ("oauth2", "invalid_request", Internal, ""),
    ("oauth2", "unsupported_grant_type", Internal, ""),
    ("oauth2", "invalid_target", Auth, RENEW),
    ("oauth2", "access_denied", Auth, RENEW),
    ("oauth2", "deleted_client", Auth, RENEW),
    (
        "oauth2",
        "admin_policy_enforced",
        Auth,
        "the administrator of the Google Workspace organization lets the client use the scope cloud-platform, then retry",
    ),
    ("oauth2", "org_internal", Auth, RENEW),
    ("oauth2", "temporarily_unavailable", Transient, ""),
    ("oauth2", "server_error", Transient, ""),
    ("oauth2", "invalid_scope", Internal, ""),
    ("oauth2", "rate_limit_exceeded", Throttled, ""),
    ("oauth2", "internal_failure", Transient, ""),
    (
        "iamcredentials",
        "PERMISSION_DENIED",
        Auth,
        "grant roles/iam.serviceAccountTokenCreator on the service account to the identity that landlord runs as, then retry",
    ),
    ("iamcredentials", "NOT_FOUND", Auth, "name a service account that exists in the credential scope, then retry"),
    // Reasons of google.rpc.ErrorInfo, all services.
    ("*", "SERVICE_DISABLED", Auth, ENABLE),
    ("*", "BILLING_DISABLED", Auth, "enable billing for the project, then retry"),
    ("*", "CONSUMER_INVALID", Auth, "name a project that exists in the class's account, then retry"),
    ("*", "CONSUMER_SUSPENDED", Auth, "the project is suspended: open a case with Google Cloud support"),
    ("*", "API_KEY_INVALID", Auth, RENEW),
    ("*", "ACCESS_TOKEN_EXPIRED", Auth, RENEW),
    ("*", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Auth, "give the credential the scope cloud-platform, then retry"),
    ("*", "CREDENTIALS_MISSING", Auth, RENEW),
    ("*", "API_KEY_SERVICE_BLOCKED", Auth, KEY_RESTRICTED),
    ("*", "API_KEY_HTTP_REFERRER_BLOCKED", Auth, KEY_RESTRICTED),
    ("*", "API_KEY_IP_ADDRESS_BLOCKED", Auth, KEY_RESTRICTED),
    ("*", "API_KEY_ANDROID_APP_BLOCKED", Auth, KEY_RESTRICTED),
    ("*", "API_KEY_IOS_APP_BLOCKED", Auth, KEY_RESTRICTED),
    ("*", "CREDENTIAL_ANDROID_APP_INVALID", Auth, KEY_RESTRICTED),
    ("*", "LOCATION_TAX_POLICY_VIOLATED", Auth, LOCATION),
    ("*", "LOCATION_POLICY_VIOLATED", Auth, LOCATION),
    ("*", "LOCATION_ORG_POLICY_VIOLATED", Auth, ORGANIZATION),
    ("*", "TLS_ORG_POLICY_VIOLATED", Auth, ORGANIZATION),
    ("*", "TLS_CIPHER_RESTRICTION_VIOLATED", Auth, ORGANIZATION),
    ("*", "ENDPOINT_USAGE_RESTRICTION_VIOLATED", Auth, ORGANIZATION),
    ("*", "RESOURCE_USAGE_RESTRICTION_VIOLATED", Auth, ORGANIZATION),
    ("*", "ORG_RESTRICTION_VIOLATION", Auth, ORGANIZATION),
    ("*", "ORG_RESTRICTION_HEADER_INVALID", Auth, ORGANIZATION),
    ("*", "SECURITY_POLICY_VIOLATED", Auth, PERIMETER),
    ("*", "USER_PROJECT_DENIED", Auth, ALLOW),
    ("*", "RESOURCE_PROJECT_INVALID", Auth, "name a project that exists in the class's account, then retry"),
    ("*", "SERVICE_NOT_VISIBLE", Auth, ENABLE),
    ("*", "MCP_SERVER_DISABLED", Auth, ENABLE),
    ("*", "GCP_SUSPENDED", Auth, "the project is suspended: its administrator opens a case with Google Cloud support"),
    ("*", "ACCOUNT_STATE_INVALID", Auth, "enable the service account that landlord works as, then retry"),
    ("*", "ACCESS_TOKEN_TYPE_UNSUPPORTED", Auth, RENEW),
    ("*", "ACCOUNT_TYPE_UNSUPPORTED", Auth, RENEW),
    ("*", "CREDENTIAL_TYPE_UNSUPPORTED", Auth, RENEW),
    ("*", "JWT_TOKEN_INVALID", Auth, RENEW),
    ("*", "SESSION_COOKIE_INVALID", Auth, RENEW),
    ("*", "USER_BLOCKED_BY_ADMIN", Auth, RENEW),
    ("*", "OVERLOADED_CREDENTIALS", Internal, ""),
    ("*", "MISSING_ORIGIN", Internal, ""),
    ("*", "SYSTEM_PARAMETER_UNSUPPORTED", Internal, ""),
    ("*", "EMULATOR_QUOTA_EXCEEDED", Quota, QUOTA),
    ("*", "parseError", Internal, ""),
    ("*", "badRequest", Invalid, ""),
    ("*", "required", Internal, ""),
    ("*", "forbidden", Auth, ALLOW),
    ("*", "notFound", Conflict, ""),
    ("*", "conflict", Conflict, ""),
    ("*", "backendError", Transient, ""),
    ("*", "internalError", Transient, ""),
    ("*", "rateLimitExceeded", Throttled, ""),
    ("*", "userRateLimitExceeded", Throttled, ""),
    ("*", "quotaExceeded", Quota, QUOTA),
    ("*", "accessNotConfigured", Auth, ENABLE),
    ("*", "IAM_PERMISSION_DENIED", Auth, ALLOW),
    ("*", "RATE_LIMIT_EXCEEDED", Throttled, ""),
    ("*", "RESOURCE_QUOTA_EXCEEDED", Quota, QUOTA),
    ("*", "authError", Auth, RENEW),
    ("*", "CredentialsUnavailable", Auth, RENEW),
    // Canonical codes, all services.
    ("*", "CANCELLED", Transient, ""),
    ("*", "UNKNOWN", Transient, ""),
    ("*", "INVALID_ARGUMENT", Invalid, "correct the class parameter that the message names"),
    ("*", "DEADLINE_EXCEEDED", Transient, ""),
    ("*", "NOT_FOUND", Conflict, ""),
    ("*", "ALREADY_EXISTS", Conflict, ""),
    ("*", "PERMISSION_DENIED", Auth, ALLOW),
    ("*", "UNAUTHENTICATED", Auth, RENEW),
    ("*", "RESOURCE_EXHAUSTED", Throttled, ""),
    ("*", "FAILED_PRECONDITION", Conflict, ""),
    ("*", "ABORTED", Conflict, ""),
    ("*", "OUT_OF_RANGE", Invalid, ""),
    ("*", "UNIMPLEMENTED", Internal, ""),
    ("*", "INTERNAL", Transient, ""),
    ("*", "UNAVAILABLE", Transient, ""),
    ("*", "DATA_LOSS", Internal, ""),
];

/// Words of a message that are more specific than its code.
/// <https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints>,
/// <https://cloud.google.com/vpc-service-controls/docs/troubleshooting>, <https://cloud.google.com/kms/docs/key-states>.
pub(crate) const WORDS: &[WordsRow] = &[
    (&[], "violates constraint", Auth, ORGANIZATION),
    (&[], "constraint constraints/", Auth, ORGANIZATION),
    (&[], "denied by org policy", Auth, ORGANIZATION),
    (&[], "organization policy", Auth, ORGANIZATION),
    (&[], "prohibited by organization's policy", Auth, PERIMETER),
    (&[], "vpcservicecontrols", Auth, PERIMETER),
    (&[], "is not enabled, current state is", Auth, KEY),
    (&[], "cryptokeyversion", Auth, KEY),
    (&["invalid_grant"], "reasonable timeframe", Auth, CLOCK),
    (&["invalid_grant"], "token used too early", Auth, CLOCK),
];

const ORGANIZATION: &str = "the administrator of the Google Cloud organization exempts the project from the constraint that the message names, or the operator changes the class to satisfy it; then retry";
const LOCATION: &str = "the operator takes a region that the billing account and its organization may use, then retry";
const KEY_RESTRICTED: &str =
    "the operator gives this credential scope a credential without restrictions of API keys, then retry";
const PERIMETER: &str =
    "the administrator of the VPC Service Controls perimeter lets landlord's identity in, then retry";
const KEY: &str = "the owner of the Cloud KMS key enables or restores the version that the message names, then retry";
/// Filled in with both times where they are known.
pub(crate) const CLOCK: &str = "the operator sets the clock of the daemon's machine (NTP), then retry";
const ALLOW: &str =
    "grant the permission to landlord's identity in the project (custom role, see iam-role.yaml), then retry";
const ENABLE: &str = "enable the API that the message names in the project, then retry";
const CAPACITY: &str = "wait, or choose another machine type, zone or region for the class";
const QUOTA: &str = "ask for a higher quota at IAM & Admin > Quotas in the Google Cloud console, or delete what is no longer needed, then retry";

/// Kind and remedy of a code; `None`: not documented, the HTTP status decides.
pub(crate) fn look_up(service: &str, code: &str) -> Option<(ErrorKind, &'static str)> {
    table::look_up(TABLE, service, code)
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

    /// What Google documents, and this plugin can meet.
    #[test]
    fn every_published_code_has_a_kind_and_says_who_must_do_what() {
        let published = include_str!("../tests/published-errors.txt");
        assert!(published.lines().count() > 120);
        assert_eq!(table::uncovered(published, look_up), [""; 0]);
    }

    #[test]
    fn a_services_own_row_comes_first() {
        assert_eq!(look_up("iamcredentials", "NOT_FOUND").map(|f| f.0), Some(ErrorKind::Auth));
        assert_eq!(look_up("container", "NOT_FOUND").map(|f| f.0), Some(ErrorKind::Conflict));
        assert_eq!(look_up("compute", "quotaExceeded").map(|f| f.0), Some(ErrorKind::Quota));
        assert_eq!(look_up("compute", "Novelty"), None);
    }

    #[test]
    fn every_canonical_code_has_a_row() {
        use google_cloud_gax::error::rpc::Code;
        for number in 1..=16 {
            let code = Code::from(number);
            assert!(look_up("container", code.name()).is_some(), "{}", code.name());
        }
    }
}
