//! What each documented error code of ARM and its resource providers means for landlord: kind,
//! and with it the retry rule, and the remedy. One row a code; a snapshot test shows every
//! change of the table.
//!
//! Sources: <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>,
//! <https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/error-codes/error-codes-overview>,
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>, and the error
//! lists of Microsoft.Network and Microsoft.Authorization, read 2026-11.

use landlord_provider_api::ErrorKind::{self, *};
use landlord_provider_sdk::{
    error::RENEW_CREDENTIALS as RENEW,
    table::{self, Row},
};

use crate::remedies::{
    ALLOW, CAPACITY, LOCK, POLICY, QUOTA, QUOTA_ADDRESSES, QUOTA_CLUSTERS, QUOTA_NETWORKS, QUOTA_VCPUS, QUOTA_ZONES,
    REACH, REGISTER, SKU, SUBSCRIPTION,
};

/// The table. A row of the service comes before one of `*`.
pub(crate) const TABLE: &[Row] = &[
    // AKS
    ("aks", "AKSCapacityHeavyUsage", Capacity, CAPACITY),
    ("aks", "AksCapacityHeavyUsage", Capacity, CAPACITY),
    ("aks", "AKSCapacityError", Capacity, CAPACITY),
    ("aks", "AKSOperationPreempted", Conflict, ""),
    ("aks", "AKSOperationPreemptedByDelete", Conflict, ""),
    ("aks", "AvailabilityZoneNotSupported", Invalid, SKU),
    ("aks", "BadRequest", Invalid, ""),
    ("aks", "InvalidClientSecret", Auth, RENEW),
    (
        "aks",
        "CannotDeleteLoadBalancerWithPrivateLinkService",
        Conflict,
        "whoever made the private link service on the cluster's load balancer removes it; landlord tries again by itself",
    ),
    (
        "aks",
        "PrivateLinkServiceWithPrivateEndpointConnectionsCannotBeDeleted",
        Conflict,
        "whoever made the private endpoint connections removes them; landlord tries again by itself",
    ),
    ("aks", "CniDownloadTimeoutVMExtensionError", Transient, REACH),
    ("aks", "VMExtensionError_CniDownloadTimeout", Transient, REACH),
    ("aks", "VMExtensionError_K8SDownloadTimeout", Transient, REACH),
    ("aks", "VMExtensionError_K8SAPIServerConnFail", Transient, REACH),
    ("aks", "VMExtensionError_K8SAPIServerDNSLookupFail", Transient, REACH),
    ("aks", "VMExtensionError_OutboundConnFail", Transient, REACH),
    ("aks", "VMExtensionError_VHDFileNotFound", Transient, ""),
    ("aks", "VMExtensionError_ProvisioningTimeout", Transient, ""),
    ("aks", "K8SAPIServerConnFailVMExtensionError", Transient, REACH),
    ("aks", "K8SAPIServerDNSLookupFailVMExtensionError", Transient, REACH),
    ("aks", "OrasPullNetworkTimeoutVMExtensionError", Transient, REACH),
    ("aks", "OrasPullUnauthorizedVMExtensionError", Auth, ALLOW),
    ("aks", "ERR_VHD_FILE_NOT_FOUND", Transient, ""),
    ("aks", "CreateOrUpdateVirtualNetworkLinkFailed", Auth, ALLOW),
    ("aks", "CustomPrivateDNSZoneMissingPermissionError", Auth, ALLOW),
    ("aks", "DnsServiceIpOutOfServiceCidr", Invalid, ""),
    ("aks", "ServiceCidrOverlapExistingSubnetsCidr", Invalid, "correct the class parameter vnet_cidr"),
    ("aks", "InvalidLoadBalancerProfileAllocatedOutboundPorts", Internal, ""),
    ("aks", "LoadBalancerInUseByVirtualMachineScaleSet", Conflict, ""),
    ("aks", "NetworkSecurityGroupInUseByVirtualMachineScaleSet", Conflict, ""),
    ("aks", "NodePoolMcVersionIncompatible", Invalid, "raise kubernetes_version one minor version at a time"),
    ("aks", "OperationIsNotAllowed", Conflict, ""),
    ("aks", "ServicePrincipalValidationClientError", Auth, RENEW),
    ("aks", "SubnetIsDelegated", Conflict, "whoever delegated the nodes' subnet takes the delegation off, then retry"),
    (
        "aks",
        "SubnetWithExternalResourcesCannotBeUsedByOtherResources",
        Conflict,
        "whoever put the resources of another service into the nodes' subnet removes them, then retry",
    ),
    ("aks", "Throttled", Throttled, ""),
    ("aks", "TooManyRequestsReceived", Throttled, ""),
    (
        "aks",
        "UnsatisfiablePDB",
        Conflict,
        "the customer loosens the PodDisruptionBudget that the message names, then retry",
    ),
    ("aks", "VirtualNetworkNotInSucceededState", Conflict, ""),
    ("aks", "VMExtensionError", Transient, REACH),
    ("aks", "VnetSubnetNotFound", Conflict, "the nodes' subnet is gone: retry from the network stage"),
    ("aks", "QuotaExceeded", Quota, QUOTA_CLUSTERS),
    ("aks", "AddContainerServiceAgentPoolNotAllowed", Conflict, ""),
    ("aks", "AgentPoolK8sVersionNotSupported", Invalid, "choose a kubernetes_version that the region offers"),
    ("aks", "AgentPoolUpgradeVersionNotAllowed", Invalid, "raise kubernetes_version one minor version at a time"),
    ("aks", "ControlPlaneAddOnsNotReady", Transient, ""),
    ("aks", "CreateVMSSAgentPoolFailed", Transient, ""),
    ("aks", "CustomRouteTableMissingPermission", Auth, ALLOW),
    (
        "aks",
        "DnsPrefixInUse",
        Conflict,
        "another cluster of the region has this DNS prefix: wait until its deletion has ended, then retry",
    ),
    ("aks", "EtagMismatch", Conflict, ""),
    ("aks", "InsufficientAgentPoolCapacity", Capacity, CAPACITY),
    ("aks", "InsufficientSubnetSize", Invalid, "choose a larger vnet_cidr for new tenants or fewer nodes"),
    ("aks", "InsufficientVCPUQuota", Quota, QUOTA_VCPUS),
    ("aks", "ErrCode_InsufficientVCPUQuota", Quota, QUOTA_VCPUS),
    ("aks", "InvalidLoadBalancerProfile", Internal, ""),
    ("aks", "K8sVersionNotSupported", Invalid, "choose a kubernetes_version that the region offers"),
    ("aks", "ManagedClusterCountExceedsQuotaLimit", Quota, QUOTA_CLUSTERS),
    ("aks", "MaxClusterCountExceeded", Quota, QUOTA_CLUSTERS),
    ("aks", "NodesNotReady", Transient, ""),
    ("aks", "OperationNotAllowed", Conflict, ""),
    ("aks", "OutboundConnFailVMExtensionError", Transient, REACH),
    ("aks", "PodDrainFailure", Conflict, "a PodDisruptionBudget keeps pods from leaving: loosen it"),
    (
        "aks",
        "PropertyChangeNotAllowed",
        Invalid,
        "put the class parameter that the message names back, or make a new tenant",
    ),
    ("aks", "PublicIPCountLimitReached", Quota, QUOTA_ADDRESSES),
    ("aks", "ReconcileVMSSAgentPoolFailed", Transient, ""),
    ("aks", "RequestDisallowedByPolicy", Auth, POLICY),
    (
        "aks",
        "SubnetIsFull",
        Capacity,
        "the nodes' subnet is full: use a larger vnet_cidr for new tenants or fewer nodes",
    ),
    ("aks", "SubscriptionRequestsThrottled", Throttled, ""),
    ("aks", "UpgradeFailed", Transient, ""),
    ("aks", "VMExtensionProvisioningError", Transient, ""),
    ("aks", "VMExtensionProvisioningTimeout", Transient, ""),
    ("aks", "VMSizeNotSupported", Invalid, SKU),
    ("aks", "InvalidVMSize", Invalid, SKU),
    ("aks", "LinkedAuthorizationFailed", Auth, ALLOW),
    ("aks", "LinkedInvalidPropertyId", Conflict, ""),
    (
        "aks",
        "NodeResourceGroupAlreadyExists",
        NameTaken,
        "remove the resource group that the message names, then retry",
    ),
    // Network
    ("network", "CannotDeleteNatGatewayAssociatedToSubnet", Conflict, ""),
    ("network", "InvalidAddressPrefixFormat", Invalid, "correct the class parameter vnet_cidr"),
    ("network", "AnotherOperationInProgress", Conflict, ""),
    ("network", "CanceledAndSupersededDueToAnotherOperation", Conflict, ""),
    ("network", "InUseSubnetCannotBeDeleted", Conflict, ""),
    ("network", "InUseSubnetCannotBeUpdated", Conflict, ""),
    ("network", "NatGatewayInUseBySubnet", Conflict, ""),
    (
        "network",
        "NatGatewayLimitExceeded",
        Quota,
        "ask for a higher quota of NAT gateways in Azure's Quotas page, provider Microsoft.Network, then retry",
    ),
    ("network", "NetcfgInvalidSubnet", Invalid, "correct the class parameter vnet_cidr"),
    ("network", "NetcfgSubnetRangesOverlap", Invalid, "correct the class parameter vnet_cidr"),
    ("network", "PublicIPAddressCannotBeDeleted", Conflict, ""),
    ("network", "PublicIPAddressInUse", Conflict, ""),
    ("network", "PublicIPCountLimitReached", Quota, QUOTA_ADDRESSES),
    ("network", "PublicIpAddressCountLimitReached", Quota, QUOTA_ADDRESSES),
    ("network", "StandardSkuPublicIPCountLimitReached", Quota, QUOTA_ADDRESSES),
    ("network", "ReferencedResourceNotProvisioned", Conflict, ""),
    ("network", "ResourceCountExceedsLimitDueToTemplate", Quota, QUOTA_NETWORKS),
    ("network", "RetryableError", Transient, ""),
    ("network", "RetryableErrorDueToAnotherOperation", Conflict, ""),
    ("network", "VirtualNetworkLimitReached", Quota, QUOTA_NETWORKS),
    ("network", "VnetCountLimitReached", Quota, QUOTA_NETWORKS),
    // DNS
    ("dns", "CannotDeleteLockedResource", Auth, LOCK),
    ("dns", "PreconditionFailed", Conflict, ""),
    ("dns", "QuotaExceeded", Quota, QUOTA_ZONES),
    ("dns", "ZoneQuotaExceeded", Quota, QUOTA_ZONES),
    ("dns", "MaxZonesPerSubscription", Quota, QUOTA_ZONES),
    (
        "dns",
        "RecordSetQuotaExceeded",
        Quota,
        "the zone has as many record sets as its quota allows: remove some, or ask Azure support for a higher quota, then retry",
    ),
    (
        "dns",
        "NameNotAvailable",
        Quota,
        "Azure has no name servers left for another zone of this domain name: choose another domain or ask Azure support for a higher quota",
    ),
    // Identities and roles
    ("identity", "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity", Conflict, ""),
    (
        "identity",
        "FederatedIdentityCredentialsLimitExceeded",
        Quota,
        "an identity takes a quota of 20 federated credentials: remove some, then retry",
    ),
    ("authorization", "InvalidCreateRoleAssignmentRequest", Internal, ""),
    ("authorization", "InvalidRoleAssignmentId", Internal, ""),
    (
        "authorization",
        "PrincipalNotFound",
        Transient,
        "a new identity has not spread through Entra yet; landlord tries again by itself",
    ),
    ("authorization", "RoleAssignmentExists", Conflict, ""),
    (
        "authorization",
        "RoleAssignmentLimitExceeded",
        Quota,
        "remove role assignments that are no longer needed (the quota is 4,000 a subscription), then retry",
    ),
    ("authorization", "RoleAssignmentUpdateNotPermitted", Conflict, ""),
    ("authorization", "RoleDefinitionDoesNotExist", Internal, ""),
    // Compute
    ("compute", "AttachDiskWhileBeingDetached", Conflict, ""),
    ("compute", "OperationNotAllowed", Conflict, ""),
    // Resources
    ("resources", "InvalidFilterInQueryString", Internal, ""),
    ("resources", "InvalidResourceGroup", Internal, ""),
    ("resources", "ResourceGroupBeingDeleted", Conflict, ""),
    ("resources", "ResourceGroupDeletionBlocked", Conflict, ""),
    ("resources", "ResourceGroupDeletionTimeout", Conflict, ""),
    (
        "resources",
        "ResourceGroupQuotaExceeded",
        Quota,
        "delete resource groups that are no longer needed (the quota is 980 a subscription) or spread tenants over more subscriptions, then retry",
    ),
    (
        "resources",
        "InvalidResourceGroupLocation",
        NameTaken,
        "the resource group exists in another region: remove it, then retry",
    ),
    // Entra
    ("*", "AADSTS50034", Auth, RENEW),
    (
        "*",
        "AADSTS700016",
        Auth,
        "register the client id in the tenant, or correct it in this credential scope, then retry",
    ),
    ("*", "AADSTS700024", Auth, "set the clock of this machine, or renew the token file, then retry"),
    ("*", "AADSTS700027", Auth, "upload the certificate to the app registration, then retry"),
    ("*", "AADSTS7000112", Auth, "enable the application in the tenant, then retry"),
    ("*", "AADSTS7000215", Auth, "renew the client secret of this credential scope, then retry"),
    ("*", "AADSTS7000222", Auth, "renew the client secret of this credential scope, then retry"),
    (
        "*",
        "AADSTS70021",
        Auth,
        "add a federated credential for the token's issuer and subject to the application, then retry",
    ),
    ("*", "AADSTS90002", Auth, "correct the tenant id of this credential scope, then retry"),
    ("*", "AADSTS90033", Transient, ""),
    ("*", "CredentialsUnavailable", Auth, RENEW),
    ("*", "invalid_client", Auth, RENEW),
    ("*", "invalid_request", Auth, RENEW),
    ("*", "unauthorized_client", Auth, RENEW),
    ("*", "temporarily_unavailable", Transient, ""),
    // ARM, for all resource providers
    ("*", "AccountIsDisabled", Auth, SUBSCRIPTION),
    ("*", "AllocationFailed", Capacity, CAPACITY),
    ("*", "AnotherOperationInProgress", Conflict, ""),
    ("*", "AuthenticationFailed", Auth, RENEW),
    ("*", "AuthenticationFailedInvalidHeader", Auth, RENEW),
    ("*", "AuthorizationFailed", Auth, ALLOW),
    ("*", "AuthorizationPermissionMismatch", Auth, ALLOW),
    ("*", "BadRequest", Invalid, ""),
    ("*", "CanceledAndSupersededDueToAnotherOperation", Conflict, ""),
    ("*", "Conflict", Conflict, ""),
    ("*", "CannotDeleteLockedResource", Auth, LOCK),
    ("*", "ScopeLocked", Auth, LOCK),
    ("*", "DisallowedOperation", Auth, SUBSCRIPTION),
    ("*", "DeploymentActiveAndUneditable", Conflict, ""),
    ("*", "DeploymentFailed", Transient, ""),
    ("*", "DnsRecordInUse", Conflict, ""),
    ("*", "InvalidResourceNamespace", Internal, ""),
    ("*", "InvalidSubscriptionRegistrationState", Auth, REGISTER),
    ("*", "MissingRegistrationForLocation", Auth, REGISTER),
    ("*", "MismatchingResourceSegments", Internal, ""),
    ("*", "PrivateIPAddressInReservedRange", Invalid, ""),
    ("*", "PrivateIPAddressNotInSubnet", Invalid, ""),
    (
        "*",
        "PropertyChangeNotAllowed",
        Invalid,
        "put the class parameter that the message names back, or make a new tenant",
    ),
    ("*", "PublicIPCountLimitReached", Quota, QUOTA_ADDRESSES),
    (
        "*",
        "RegionDoesNotAllowProvisioning",
        Auth,
        "the subscription's administrator asks Azure support for access to the region, or the operator takes another one; then retry",
    ),
    ("*", "ReservedResourceName", Internal, ""),
    ("*", "SubnetsNotInSameVnet", Internal, ""),
    ("*", "SubnetIsFull", Capacity, "the nodes' subnet is full: use a larger vnet_cidr for new tenants or fewer nodes"),
    ("*", "TemplateResourceCircularDependency", Internal, ""),
    ("*", "ExpiredAuthenticationToken", Auth, RENEW),
    ("*", "GatewayTimeout", Transient, ""),
    ("*", "InternalServerError", Transient, ""),
    ("*", "InternalOperationError", Transient, ""),
    ("*", "InternalError", Transient, ""),
    ("*", "InvalidApiVersionParameter", Internal, ""),
    ("*", "InvalidAuthenticationToken", Auth, RENEW),
    ("*", "InvalidAuthenticationTokenAudience", Auth, RENEW),
    (
        "*",
        "InvalidAuthenticationTokenTenant",
        Auth,
        "use credentials of the tenant that the subscription belongs to, then retry",
    ),
    ("*", "InvalidParameter", Invalid, ""),
    ("*", "InvalidRequestContent", Internal, ""),
    ("*", "InvalidRequestFormat", Internal, ""),
    (
        "*",
        "InvalidResourceLocation",
        NameTaken,
        "an object of this name exists in another region: remove it, then retry",
    ),
    ("*", "InvalidResourceReference", Conflict, ""),
    ("*", "InvalidResourceType", Internal, ""),
    ("*", "InvalidSubscriptionId", Invalid, "correct the subscription of the class's account"),
    ("*", "InvalidTemplate", Internal, ""),
    ("*", "InvalidTemplateDeployment", Invalid, ""),
    ("*", "LinkedAuthorizationFailed", Auth, ALLOW),
    ("*", "LocationRequired", Internal, ""),
    ("*", "MethodNotAllowed", Internal, ""),
    ("*", "MissingApiVersionParameter", Internal, ""),
    ("*", "LocationNotAvailableForResourceType", Invalid, "choose a region that offers the service"),
    ("*", "LocationNotAvailableForResourceGroup", Invalid, "choose a region of Azure"),
    ("*", "MissingSubscriptionRegistration", Auth, REGISTER),
    ("*", "NoRegisteredProviderFound", Auth, REGISTER),
    ("*", "NotFound", Conflict, ""),
    ("*", "OperationNotAllowed", Conflict, ""),
    ("*", "OperationPreempted", Conflict, ""),
    ("*", "OverconstrainedAllocationRequest", Capacity, CAPACITY),
    ("*", "OverconstrainedZonalAllocationRequest", Capacity, CAPACITY),
    ("*", "ParentResourceNotFound", Conflict, ""),
    ("*", "PreconditionFailed", Conflict, ""),
    ("*", "QuotaExceeded", Quota, QUOTA),
    ("*", "ReadOnlyDisabledSubscription", Auth, SUBSCRIPTION),
    ("*", "RequestConflict", Conflict, ""),
    (
        "*",
        "RequestDisallowedByAzure",
        Auth,
        "the subscription may not use this region: choose another region, or ask Azure support",
    ),
    ("*", "RequestDisallowedByPolicy", Auth, POLICY),
    ("*", "ResourceGroupBeingDeleted", Conflict, ""),
    ("*", "ResourceGroupNotFound", Conflict, ""),
    ("*", "ResourceNotFound", Conflict, ""),
    ("*", "ResourceQuotaExceeded", Quota, QUOTA),
    ("*", "ServerTimeout", Transient, ""),
    ("*", "ServiceUnavailable", Transient, ""),
    ("*", "SkuNotAvailable", Invalid, SKU),
    (
        "*",
        "SubscriptionNotFound",
        Auth,
        "correct the subscription of the class's account, or give landlord's principal a role in it, then retry",
    ),
    ("*", "SubscriptionNotRegistered", Auth, REGISTER),
    ("*", "SubscriptionRequestsThrottled", Throttled, ""),
    ("*", "ResourceRequestsThrottled", Throttled, ""),
    ("*", "TooManyRequests", Throttled, ""),
    ("*", "OperationThrottled", Throttled, ""),
    ("*", "ZonalAllocationFailed", Capacity, CAPACITY),
    ("*", "ZoneNotAllowed", Invalid, SKU),
];

/// Whether any service has the code.
pub(crate) fn is_known(code: &str) -> bool {
    TABLE.iter().any(|row| row.1 == code) || by_form(code).is_some()
}

/// Kind and remedy of a code; `None`: not documented, the HTTP status decides.
pub(crate) fn look_up(service: &str, code: &str) -> Option<(ErrorKind, &'static str)> {
    table::look_up(TABLE, service, code).or_else(|| by_form(code))
}

/// Codes that come in families.
fn by_form(code: &str) -> Option<(ErrorKind, &'static str)> {
    let ends = |list: &[&str]| list.iter().any(|end| code.ends_with(end));
    if ends(&["QuotaExceeded", "LimitReached", "LimitExceeded", "QuotaLimit"]) {
        return Some((Quota, QUOTA));
    }
    if code.starts_with("AADSTS") {
        return Some((Auth, RENEW));
    }
    if code.starts_with("InUse") || ends(&["InUse", "CannotBeDeleted", "BeingDeleted"]) {
        return Some((Conflict, ""));
    }
    ends(&["NotFound"]).then_some((Conflict, ""))
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

    /// What Microsoft documents, and this plugin can meet.
    #[test]
    fn every_published_code_has_a_kind_and_says_who_must_do_what() {
        let published = include_str!("../tests/published-errors.txt");
        assert!(published.lines().count() > 120);
        assert_eq!(table::uncovered(published, look_up), [""; 0]);
    }

    #[test]
    fn a_services_own_row_comes_first_and_families_follow() {
        assert_eq!(look_up("authorization", "PrincipalNotFound").map(|f| f.0), Some(ErrorKind::Transient));
        assert_eq!(
            look_up("network", "InUseNetworkSecurityGroupCannotBeDeleted").map(|f| f.0),
            Some(ErrorKind::Conflict)
        );
        assert_eq!(look_up("network", "RouteTableCountLimitReached").map(|f| f.0), Some(ErrorKind::Quota));
        assert_eq!(look_up("aks", "AADSTS500011").map(|f| f.0), Some(ErrorKind::Auth));
        assert_eq!(look_up("aks", "Novelty"), None);
    }
}
