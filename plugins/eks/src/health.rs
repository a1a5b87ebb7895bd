//! Health issues that EKS reports on clusters, node groups and add-ons: from the issue's code
//! to the contract's typed error.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_Issue.html>,
//! `API_ClusterIssue.html`, `API_AddonIssue.html`.

use aws_sdk_eks::types::{Addon, Cluster, Nodegroup};
use landlord_provider_api::{
    ErrorKind::{self, *},
    ProviderError,
};
use landlord_provider_sdk::table as sdk_table;

use crate::{error_table as table, error_words};

/// Issue code, kind, remedy.
const ISSUES: &[(&str, ErrorKind, &str)] = &[
    ("AccessDenied", Auth, "put back the permissions of the cluster's roles (network stage), then retry"),
    ("AddonPermissionFailure", Auth, "put back the permissions of the add-on's role (network stage), then retry"),
    ("AddonSubscriptionNeeded", Invalid, "subscribe to the add-on in AWS Marketplace or leave it out"),
    ("AdmissionRequestDenied", Invalid, "an admission webhook in the cluster refuses the add-on: exempt kube-system"),
    ("AmiIdNotFound", Invalid, "choose another ami_type for the class"),
    (
        "AsgInstanceLaunchFailures",
        Capacity,
        "choose another machine type, zone or capacity_type for the class, or wait",
    ),
    ("AutoScalingGroupInstanceRefreshActive", Conflict, ""),
    (
        "AutoScalingGroupInvalidConfiguration",
        Conflict,
        "undo the changes made to the Auto Scaling group by hand, then retry",
    ),
    ("AutoScalingGroupNotFound", Conflict, "the Auto Scaling group was deleted by hand: retry recreates the pool"),
    ("AutoScalingGroupOptInRequired", Auth, "enable the Region for the account, then retry"),
    ("AutoScalingGroupRateLimitExceeded", Throttled, ""),
    ("ClusterUnreachable", Transient, ""),
    (
        "ConfigurationConflict",
        Conflict,
        "an object in kube-system differs from the add-on's: remove the change made by hand",
    ),
    ("Ec2InstanceTypeDoesNotExist", Invalid, "choose a machine type that the Region offers"),
    ("Ec2LaunchTemplateDeletionFailure", Conflict, ""),
    ("Ec2LaunchTemplateInvalidConfiguration", Invalid, "choose a machine type and ami_type that fit each other"),
    ("Ec2LaunchTemplateMaxLimitExceeded", Quota, table::QUOTA_TEMPLATES),
    ("Ec2LaunchTemplateNotFound", Conflict, "the launch template was deleted by hand: retry from the network stage"),
    ("Ec2LaunchTemplateVersionMaxLimitExceeded", Quota, "delete old versions of the launch template, then retry"),
    ("Ec2LaunchTemplateVersionMismatch", Conflict, ""),
    ("Ec2SecurityGroupDeletionFailure", Conflict, ""),
    ("Ec2SecurityGroupNotFound", Conflict, "the security group was deleted by hand: delete and recreate the tenant"),
    ("Ec2ServiceNotSubscribed", Auth, "enable EC2 for the account, then retry"),
    ("Ec2SubnetInvalidConfiguration", Conflict, ""),
    ("Ec2SubnetListTooLong", Invalid, ""),
    ("Ec2SubnetMissingIpv6Assignment", Invalid, ""),
    ("Ec2SubnetNotFound", Conflict, "a subnet was deleted by hand: delete and recreate the tenant"),
    ("IamInstanceProfileNotFound", Conflict, ""),
    ("IamLimitExceeded", Quota, table::QUOTA_ROLES),
    ("IamNodeRoleNotFound", Conflict, "the node role was deleted by hand: retry from the network stage"),
    ("IamRoleNotFound", Conflict, "the cluster role was deleted by hand: retry from the network stage"),
    ("IamThrottling", Throttled, ""),
    ("InstanceLimitExceeded", Quota, table::QUOTA_VCPUS),
    ("InsufficientFreeAddresses", Capacity, "the subnets are full: choose a larger vpc_cidr for new tenants"),
    ("InsufficientNumberOfReplicas", Transient, "the add-on's pods do not run: check that the nodes have room"),
    ("InternalFailure", Transient, ""),
    ("K8sResourceNotFound", Conflict, ""),
    ("KmsGrantRevoked", Auth, "put back the grant on the KMS key, then retry"),
    ("KmsKeyDisabled", Auth, "enable the KMS key, then retry"),
    ("KmsKeyMarkedForDeletion", Auth, "cancel the deletion of the KMS key, then retry"),
    ("KmsKeyNotFound", Auth, "put back the KMS key, then retry"),
    ("KubernetesLabelInvalid", Invalid, "correct the labels of the node pool"),
    ("LimitExceeded", Quota, "ask for a higher quota in Service Quotas, then retry"),
    (
        "NodeCreationFailure",
        Transient,
        "nodes start and do not join: check the way out of the private subnets (NAT) and the node role",
    ),
    ("NodeTerminationFailure", Conflict, ""),
    ("Other", Transient, ""),
    ("PodEvictionFailure", Conflict, "a PodDisruptionBudget keeps pods from leaving: loosen it"),
    ("ResourceLimitExceeded", Quota, "ask for a higher quota in Service Quotas, then retry"),
    ("ResourceNotFound", Conflict, ""),
    ("SourceEc2LaunchTemplateNotFound", Conflict, ""),
    ("StsRegionalEndpointDisabled", Auth, "activate STS for this Region in the IAM console of the account, then retry"),
    ("Unknown", Transient, ""),
    ("UnsupportedAddonModification", Invalid, "undo the add-on's setting that the message names"),
    ("UnsupportedVersion", Invalid, "choose a Kubernetes version that EKS supports"),
    ("VpcNotFound", Conflict, "the VPC was deleted by hand: delete and recreate the tenant"),
];

/// Words of EC2 inside an issue's message are more specific than `AsgInstanceLaunchFailures`.
const WORDS: &[(&str, ErrorKind, &str)] = &[
    ("VcpuLimitExceeded", Quota, table::QUOTA_VCPUS),
    ("vCPU capacity", Quota, table::QUOTA_VCPUS),
    ("InstanceLimitExceeded", Quota, table::QUOTA_VCPUS),
    ("MaxSpotInstanceCountExceeded", Quota, "ask for a higher quota of Spot Instance requests, then retry"),
    ("VolumeLimitExceeded", Quota, "ask for more EBS storage in Service Quotas, then retry"),
    (
        "InsufficientInstanceCapacity",
        Capacity,
        "choose another machine type, zone or capacity_type for the class, or wait",
    ),
    ("UnauthorizedOperation", Auth, "put back the permissions of EKS's service-linked role, then retry"),
    ("InvalidKMSKey", Auth, "let the Auto Scaling service-linked role use the account's default EBS key, then retry"),
    (
        "Client.InternalError",
        Auth,
        "let the Auto Scaling service-linked role use the account's default EBS key, then retry",
    ),
    (
        "not supported in your requested Availability Zone",
        Invalid,
        "choose a machine type that all zones of the class offer",
    ),
];

/// What one issue means.
pub(crate) fn issue(what: &str, code: &str, message: &str) -> ProviderError {
    let by_words = WORDS.iter().find(|(words, ..)| message.contains(words)).map(|(_, kind, remedy)| (*kind, *remedy));
    let by_code = ISSUES.iter().find(|(of, ..)| *of == code).map(|(_, kind, remedy)| (*kind, *remedy));
    // Policies of the organization and states of keys are in the words, here as in responses.
    let by_policy = sdk_table::by_words(error_words::WORDS, code, message);
    let (kind, remedy) = by_policy.or(by_words).or(by_code).unwrap_or((Transient, ""));
    ProviderError::new(kind, format!("{what}: {message}"))
        .with_code(code)
        .with_remedy(sdk_table::addressed(kind, remedy))
}

fn unknown(what: &str) -> ProviderError {
    ProviderError::new(Transient, format!("{what} failed, and EKS does not say why"))
}

/// Why a cluster failed.
pub(crate) fn cluster(cluster: &Cluster) -> ProviderError {
    let what = format!("EKS cluster {}", cluster.name().unwrap_or_default());
    let issues = cluster.health().map(|h| h.issues()).unwrap_or_default();
    issues.first().map_or_else(
        || unknown(&what),
        |i| issue(&what, i.code().map_or("", |c| c.as_str()), i.message().unwrap_or_default()),
    )
}

/// The first issue of a node group, if it has one.
pub(crate) fn node_group(group: &Nodegroup) -> Option<ProviderError> {
    let what = format!("node group {}", group.nodegroup_name().unwrap_or_default());
    let issues = group.health().map(|h| h.issues()).unwrap_or_default();
    issues.first().map(|i| issue(&what, i.code().map_or("", |c| c.as_str()), i.message().unwrap_or_default()))
}

/// The first issue of an add-on, if it has one.
pub(crate) fn addon(addon: &Addon) -> Option<ProviderError> {
    let what = format!("add-on {}", addon.addon_name().unwrap_or_default());
    let issues = addon.health().map(|h| h.issues()).unwrap_or_default();
    issues.first().map(|i| issue(&what, i.code().map_or("", |c| c.as_str()), i.message().unwrap_or_default()))
}

/// [`node_group`], or that there is no reason.
pub(crate) fn node_group_failed(group: &Nodegroup) -> ProviderError {
    node_group(group).unwrap_or_else(|| unknown(&format!("node group {}", group.nodegroup_name().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::{ISSUES, issue};
    use aws_sdk_eks::types::{AddonIssueCode, ClusterIssueCode, NodegroupIssueCode};
    use landlord_provider_api::ErrorKind;

    #[test]
    fn every_issue_that_eks_documents_has_a_row() {
        let documented =
            AddonIssueCode::values().iter().chain(ClusterIssueCode::values()).chain(NodegroupIssueCode::values());
        let missing: Vec<_> = documented.filter(|code| !ISSUES.iter().any(|row| row.0 == **code)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn ec2_words_in_a_launch_failure_decide() {
        let of = |message: &str| issue("node group x", "AsgInstanceLaunchFailures", message).kind;
        assert_eq!(of("Could not launch: InsufficientInstanceCapacity"), ErrorKind::Capacity);
        assert_eq!(of("You have requested more vCPU capacity than your limit"), ErrorKind::Quota);
        assert_eq!(of("something else"), ErrorKind::Capacity);
    }
}
