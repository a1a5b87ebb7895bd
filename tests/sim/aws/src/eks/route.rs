//! Which EKS operation a method and path mean.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations_Amazon_Elastic_Kubernetes_Service.html>.

use cloudsim_core::call::Call;

/// Method, path with `*` for a variable, operation.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "clusters", "CreateCluster"),
    ("GET", "clusters", "ListClusters"),
    ("GET", "clusters/*", "DescribeCluster"),
    ("DELETE", "clusters/*", "DeleteCluster"),
    ("POST", "clusters/*/update-config", "UpdateClusterConfig"),
    ("POST", "clusters/*/updates", "UpdateClusterVersion"),
    ("GET", "clusters/*/updates", "ListUpdates"),
    ("GET", "clusters/*/updates/*", "DescribeUpdate"),
    ("GET", "cluster-versions", "DescribeClusterVersions"),
    ("POST", "clusters/*/node-groups", "CreateNodegroup"),
    ("GET", "clusters/*/node-groups", "ListNodegroups"),
    ("GET", "clusters/*/node-groups/*", "DescribeNodegroup"),
    ("DELETE", "clusters/*/node-groups/*", "DeleteNodegroup"),
    ("POST", "clusters/*/node-groups/*/update-config", "UpdateNodegroupConfig"),
    ("POST", "clusters/*/node-groups/*/update-version", "UpdateNodegroupVersion"),
    ("POST", "clusters/*/fargate-profiles", "CreateFargateProfile"),
    ("GET", "clusters/*/fargate-profiles", "ListFargateProfiles"),
    ("DELETE", "clusters/*/fargate-profiles/*", "DeleteFargateProfile"),
    ("POST", "clusters/*/addons", "CreateAddon"),
    ("GET", "clusters/*/addons", "ListAddons"),
    ("GET", "clusters/*/addons/*", "DescribeAddon"),
    ("DELETE", "clusters/*/addons/*", "DeleteAddon"),
    ("POST", "clusters/*/addons/*/update", "UpdateAddon"),
    ("GET", "addons/supported-versions", "DescribeAddonVersions"),
    ("POST", "clusters/*/access-entries", "CreateAccessEntry"),
    ("GET", "clusters/*/access-entries", "ListAccessEntries"),
    ("GET", "clusters/*/access-entries/*", "DescribeAccessEntry"),
    ("DELETE", "clusters/*/access-entries/*", "DeleteAccessEntry"),
    ("POST", "clusters/*/access-entries/*", "UpdateAccessEntry"),
    ("POST", "clusters/*/access-entries/*/access-policies", "AssociateAccessPolicy"),
    ("GET", "clusters/*/access-entries/*/access-policies", "ListAssociatedAccessPolicies"),
    ("DELETE", "clusters/*/access-entries/*/access-policies/*", "DisassociateAccessPolicy"),
    ("POST", "clusters/*/pod-identity-associations", "CreatePodIdentityAssociation"),
    ("GET", "clusters/*/pod-identity-associations", "ListPodIdentityAssociations"),
    ("GET", "clusters/*/pod-identity-associations/*", "DescribePodIdentityAssociation"),
    ("DELETE", "clusters/*/pod-identity-associations/*", "DeletePodIdentityAssociation"),
    ("POST", "clusters/*/pod-identity-associations/*", "UpdatePodIdentityAssociation"),
    ("POST", "tags/*", "TagResource"),
    ("GET", "tags/*", "ListTagsForResource"),
    ("DELETE", "tags/*", "UntagResource"),
];

/// Sets the call's operation and path variables; false if there is none.
pub(crate) fn route(call: &mut Call) -> bool {
    for (method, pattern, action) in ROUTES {
        if *method != call.method {
            continue;
        }
        if let Some(vars) = fit(pattern, &call.path) {
            (*action).clone_into(&mut call.action);
            call.vars = vars;
            return true;
        }
    }
    false
}

fn fit(pattern: &str, path: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = pattern.split('/').collect();
    if parts.len() != path.len() {
        return None;
    }
    let mut vars = Vec::new();
    for (part, segment) in parts.iter().zip(path) {
        match *part {
            "*" => vars.push(segment.clone()),
            literal if literal == segment => {}
            _ => return None,
        }
    }
    Some(vars)
}
