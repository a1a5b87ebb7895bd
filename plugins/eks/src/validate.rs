//! Whether a tenant could be built as described: every violation at once, nothing requested from
//! AWS. What only AWS knows (whether a Region offers a machine type) shows when it is built.

use landlord_provider_api::v1;
use landlord_provider_sdk::{
    cidr::Cidr,
    findings::{Findings, PoolBounds, is_label},
    parameters,
    versions::is_minor,
};

use crate::{
    identity,
    names::{Names, node_group},
    parameters::{ADDONS, ADDONS_REQUIRED, AMI_TYPES, LOG_TYPES, Parameters, RETENTION_DAYS, Zones},
    pod_identity,
};

/// A VPC's network may be this large and this small.
const VPC_PREFIX: std::ops::RangeInclusive<u8> = 16..=20;
/// Docker's own bridge; nodes in it lose their way.
const DOCKER: &str = "172.17.0.0/16";
/// EKS takes at most this many networks for the public endpoint.
const ACCESS_CIDRS_MAX: usize = 40;
/// Bounds of a node group: <https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html>.
const POOL: PoolBounds<'_> = PoolBounds { nodes_max: 450, disk_gib: DISK_GIB, reserved_labels: &["eks.amazonaws.com"] };
const DISK_GIB: std::ops::RangeInclusive<i32> = 20..=16_384;

/// All violations.
pub(crate) fn validate(request: &v1::ValidateRequest) -> Vec<v1::FieldViolation> {
    let mut findings = Findings::default();
    let scope = request.scope.clone().unwrap_or_default();
    findings.check(is_region(&scope.region), "region", || {
        format!("{:?} is not a Region of AWS, like eu-central-1", scope.region)
    });
    if let Err(error) = Names::new(&scope) {
        findings.add("uid", error.message);
    }
    let check_parameters =
        |parameters: &Parameters, findings: &mut Findings| check_parameters(parameters, &scope.region, findings);
    parameters::check(&mut findings, request, check_parameters, check_pool);
    findings.into_violations()
}

/// `eu-central-1`, `us-gov-west-1`, `ap-southeast-5`.
pub(crate) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let (Some((number, words)), true) = (parts.split_last(), (3..=4).contains(&parts.len())) else {
        return false;
    };
    let letters = |w: &&str| (2..=10).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase());
    words.iter().all(letters) && matches!(number.len(), 1 | 2) && number.bytes().all(|b| b.is_ascii_digit())
}

fn check_parameters(parameters: &Parameters, region: &str, findings: &mut Findings) {
    let version = &parameters.kubernetes_version;
    findings.check(is_minor(version), "parameters.kubernetes_version", || {
        format!("{version:?} is not a minor version like 1.36")
    });
    check_network(parameters, region, findings);
    check_access(parameters, findings);
    for log in &parameters.control_plane_logs {
        findings.one_of("parameters.control_plane_logs", log, &LOG_TYPES);
    }
    let days = parameters.control_plane_log_retention_days;
    findings.check(RETENTION_DAYS.contains(&days), "parameters.control_plane_log_retention_days", || {
        format!("{days} is none of {RETENTION_DAYS:?}")
    });
    let key = &parameters.secrets_kms_key_arn;
    let is_key = key.is_empty() || (key.starts_with("arn:aws") && key.contains(":kms:") && key.contains(":key/"));
    findings.check(is_key, "parameters.secrets_kms_key_arn", || format!("{key:?} is not the ARN of a KMS key"));
    findings.one_of("parameters.ami_type", &parameters.ami_type, &AMI_TYPES);
    findings.disk("parameters.node_disk_gib", parameters.node_disk_gib, &DISK_GIB);
    for required in &ADDONS[..ADDONS_REQUIRED] {
        findings.check(parameters.addons.iter().any(|a| a == required), "parameters.addons", || {
            format!("{required} must be among them: no cluster works without it")
        });
    }
    for addon in &parameters.addons {
        findings.check(is_label(addon), "parameters.addons", || format!("{addon:?} is not the name of an EKS add-on"));
    }
    for (addon, version) in &parameters.addon_versions {
        findings.check(is_label(addon) && version.starts_with('v'), "parameters.addon_versions", || {
            format!("{addon}: {version:?} is not a version of an EKS add-on, like v1.21.1-eksbuild.1")
        });
    }
    check_pod_identities(parameters, findings);
}

fn check_pod_identities(parameters: &Parameters, findings: &mut Findings) {
    let field = "parameters.pod_identities";
    for (account, role) in &parameters.pod_identities {
        let is_account =
            pod_identity::split(account).is_some_and(|(namespace, name)| is_label(namespace) && is_label(name));
        let is_role = role.starts_with("arn:aws") && role.contains(":iam::") && role.contains(":role/landlord-");
        findings.check(is_account && is_role, field, || {
            format!(
                "{account}: {role:?}: NAMESPACE/ACCOUNT and the ARN of a role are needed, whose name begins with landlord-"
            )
        });
        // Two stages would write one association by turns.
        findings.check(!identity::is_landlords(account), field, || {
            format!("{account}: landlord gives this service account its role itself; leave it out")
        });
    }
}

fn check_network(parameters: &Parameters, region: &str, findings: &mut Findings) {
    let field = "parameters.vpc_cidr";
    if let Some(cidr) = findings.network(field, &parameters.vpc_cidr, &VPC_PREFIX) {
        let docker = DOCKER.parse().is_ok_and(|docker: Cidr| docker.overlaps(cidr));
        findings.check(!docker, field, || format!("{cidr} overlaps {DOCKER}, the nodes' own bridge"));
    }
    let field = "parameters.availability_zones";
    findings
        .check((2..=3).contains(&parameters.availability_zones.count()), field, || "must be 2 or 3 zones".to_owned());
    if let Zones::Named(names) = &parameters.availability_zones {
        for name in names {
            let of_region =
                name.strip_prefix(region).is_some_and(|rest| (1..=2).contains(&rest.len()) || rest.starts_with('-'));
            findings.check(of_region, field, || format!("{name:?} is not a zone of {region}"));
        }
        findings.distinct(field, names, "a zone");
    }
}

fn check_access(parameters: &Parameters, findings: &mut Findings) {
    let access = parameters.public_access_cidrs.as_deref();
    findings.access("parameters.public_access_cidrs", access, ACCESS_CIDRS_MAX);
    for arn in &parameters.admin_principal_arns {
        let good =
            arn.starts_with("arn:aws") && arn.contains(":iam::") && (arn.contains(":role/") || arn.contains(":user/"));
        findings.check(good, "parameters.admin_principal_arns", || {
            format!("{arn:?} is not the ARN of an IAM role or user")
        });
    }
}

fn check_pool(pool: &v1::NodePoolSpec, findings: &mut Findings) {
    if let Err(error) = node_group(&pool.role) {
        findings.add("node_pool.role", error.message);
    }
    findings.check(is_machine_type(&pool.machine_type), "machine_type", || {
        format!("{:?} is not an EC2 instance type, like m7i.xlarge", pool.machine_type)
    });
    findings.pool(pool, &POOL);
}

/// `m7i.xlarge`, `u7i-12tb.224xlarge`, `c6gn.metal`.
fn is_machine_type(text: &str) -> bool {
    let Some((family, size)) = text.split_once('.') else {
        return false;
    };
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    good(family) && good(size) && family.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{is_machine_type, is_region, validate};
    use landlord_provider_api::v1::{DnsZoneSpec, NodePoolSpec, Scope, ValidateRequest};
    use landlord_test_driver::Example;

    fn request(parameters: &str) -> ValidateRequest {
        ValidateRequest {
            scope: Some(Scope {
                region: "eu-central-1".to_owned(),
                tenant_uid: "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b".to_owned(),
                ..Scope::default()
            }),
            parameters_json: parameters.to_owned(),
            node_pool: Some(NodePoolSpec {
                role: "default".to_owned(),
                machine_type: "m7i.xlarge".to_owned(),
                node_count: 2,
                ..NodePoolSpec::default()
            }),
            dns_zone: Some(DnsZoneSpec { domain: "acme.example.com".to_owned() }),
        }
    }

    #[test]
    fn a_good_request_has_no_violation() {
        assert_eq!(validate(&request(r#"{"public_access_cidrs":["203.0.113.0/24"]}"#)), []);
        assert_eq!(validate(&request(r#"{"public_access_cidrs":[]}"#)), []);
        // In a cluster that was adopted nothing of it is to be given.
        let mut shared = request("{}");
        assert_ne!(validate(&shared), []);
        shared.scope.get_or_insert_default().host_cluster = "theirs".to_owned();
        assert_eq!(validate(&shared), []);
    }

    #[test]
    fn all_violations_come_at_once() {
        let mut bad = request(
            r#"{"kubernetes_version":"2","vpc_cidr":"8.8.0.0/8","availability_zones":5,"control_plane_logs":["x"],"control_plane_log_retention_days":2,
                "secrets_kms_key_arn":"x","admin_principal_arns":["x"],"ami_type":"x","node_disk_gib":1,"addons":["X_"],"addon_versions":{"x":"1"},
                "pod_identities":{"x":"y","cert-manager/cert-manager":"arn:aws:iam::1:role/landlord-x"}}"#,
        );
        if let Some(pool) = &mut bad.node_pool {
            *pool =
                NodePoolSpec { role: "X".to_owned(), node_count_max: -1, disk_size_gib: -1, ..NodePoolSpec::default() };
        }
        bad.dns_zone = Some(DnsZoneSpec { domain: "Bad_Domain".to_owned() });
        bad.scope = Some(Scope::default());
        let fields: Vec<String> = validate(&bad).into_iter().map(|v| v.field).collect();
        insta::assert_json_snapshot!(fields);
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let found = validate(&request(r#"{"public_access_cidr":[]}"#));
        assert!(found.iter().any(|v| v.description.contains("public_access_cidr")), "{found:?}");
    }

    #[test]
    fn the_example_classes_are_valid() {
        let example = Example::parse("eks", include_str!("../../../config/examples/eks.toml"));
        for request in example.requests(&["eks-cluster-small", "eks-host"], request) {
            assert_eq!(validate(&request), []);
        }
        crate::config::Config::parse(&example.settings()).expect("valid settings");
        crate::credentials::Scope::parse(example.credential("acme").as_bytes()).expect("a valid credential scope");
    }

    #[test]
    fn forms_of_regions_and_machines() {
        for good in ["eu-central-1", "us-gov-west-1", "ap-southeast-5", "mx-central-1"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "eu", "europe-west3", "eu-central-1a", "EU-central-1", "eu-central"] {
            assert!(!is_region(bad), "{bad}");
        }
        for good in ["m7i.xlarge", "u7i-12tb.224xlarge", "c6gn.metal"] {
            assert!(is_machine_type(good), "{good}");
        }
        for bad in ["", "xlarge", "m7i.", "M7i.xlarge", "n1-standard-4", "m7i.x large"] {
            assert!(!is_machine_type(bad), "{bad}");
        }
    }
}
