//! Whether a tenant could be built as described: every violation at once, nothing requested from Google
//! Cloud. What only Google knows (whether a region offers a machine type) shows when it is built.

use landlord_provider_api::v1;
use landlord_provider_sdk::{
    findings::{Findings, PoolBounds, is_label},
    parameters,
    versions::is_minor,
};

use crate::{
    names::{Names, node_pool},
    network::Ranges,
    parameters::{DISK_TYPES, IMAGE_TYPES, Parameters, Zones},
};

/// A tenant's network may be this large and this small: pods take a /24 a node.
const NETWORK_PREFIX: std::ops::RangeInclusive<u8> = 12..=18;
/// GKE takes at most this many authorized networks:
/// <https://cloud.google.com/kubernetes-engine/docs/how-to/authorized-networks>.
const ACCESS_CIDRS_MAX: usize = 100;
/// Nodes of a pool in one zone: <https://cloud.google.com/kubernetes-engine/quotas>.
const POOL: PoolBounds<'_> = PoolBounds {
    nodes_max: 1_000,
    disk_gib: DISK_GIB,
    reserved_labels: &["cloud.google.com/", "kubernetes.io/", "k8s.io/"],
};
/// A boot disk's size, GiB: what the image needs, what Persistent Disk gives.
const DISK_GIB: std::ops::RangeInclusive<i32> = 12..=65_536;

/// All violations.
pub(crate) fn validate(request: &v1::ValidateRequest, own_project: Option<&str>) -> Vec<v1::FieldViolation> {
    let mut findings = Findings::default();
    let scope = request.scope.clone().unwrap_or_default();
    findings.check(is_region(&scope.region), "region", || {
        format!("{:?} is not a region of Google Cloud, like europe-west1", scope.region)
    });
    let project = if scope.account.is_empty() { own_project.unwrap_or_default() } else { &scope.account };
    findings.check(is_project(project), "account", || match project {
        "" => "must be the id of the project that tenants are built in: the credentials name none".to_owned(),
        other => format!("{other:?} is not the id of a project, like acme-prod-4711"),
    });
    if let Err(error) = Names::new(&scope) {
        findings.add("uid", error.message);
    }
    let check_parameters =
        |parameters: &Parameters, findings: &mut Findings| check_parameters(parameters, &scope.region, findings);
    parameters::check(&mut findings, request, check_parameters, check_pool);
    findings.into_violations()
}

/// `europe-west1`, `northamerica-northeast2`, `me-central2`.
pub(crate) fn is_region(text: &str) -> bool {
    let Some((area, place)) = text.split_once('-') else {
        return false;
    };
    let letters = |w: &str| (2..=16).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase());
    let word = place.trim_end_matches(|c: char| c.is_ascii_digit());
    letters(area) && letters(word) && (1..=2).contains(&(place.len() - word.len()))
}

/// 6 to 30 characters, or, of old, with a domain in front: `example.com:acme-prod`.
pub(crate) fn is_project(text: &str) -> bool {
    let id = text.rsplit(':').next().unwrap_or_default();
    let domain = text.len() > id.len();
    (6..=30).contains(&id.len())
        && is_label(id)
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && (!domain || text[..text.len() - id.len() - 1].split('.').all(is_label))
}

fn check_parameters(parameters: &Parameters, region: &str, findings: &mut Findings) {
    let version = &parameters.kubernetes_version;
    findings.check(version.is_empty() || is_minor(version), "parameters.kubernetes_version", || {
        format!("{version:?} is not a minor version like 1.34")
    });
    check_network(parameters, region, findings);
    let access = parameters.public_access_cidrs.as_deref();
    findings.access("parameters.public_access_cidrs", access, ACCESS_CIDRS_MAX);
    let key = &parameters.secrets_kms_key;
    let parts: Vec<&str> = key.split('/').collect();
    let is_key = matches!(parts[..], ["projects", p, "locations", l, "keyRings", r, "cryptoKeys", k]
        if [p, l, r, k].iter().all(|part| !part.is_empty()));
    findings.check(key.is_empty() || is_key, "parameters.secrets_kms_key", || {
        format!("{key:?} is not a key, like projects/P/locations/L/keyRings/R/cryptoKeys/K")
    });
    let account = &parameters.node_service_account;
    let is_account = account.split_once('@').is_some_and(|(n, d)| is_label(n) && d.ends_with(".gserviceaccount.com"));
    findings.check(account.is_empty() || is_account, "parameters.node_service_account", || {
        format!("{account:?} is not the email address of a service account")
    });
    for (field, value, known) in [
        ("parameters.image_type", &parameters.image_type, &IMAGE_TYPES[..]),
        ("parameters.disk_type", &parameters.disk_type, &DISK_TYPES[..]),
    ] {
        findings.one_of(field, value, known);
    }
    findings.disk("parameters.node_disk_gib", parameters.node_disk_gib, &DISK_GIB);
}

fn check_network(parameters: &Parameters, region: &str, findings: &mut Findings) {
    let field = "parameters.network_cidr";
    if let Some(cidr) = findings.network(field, &parameters.network_cidr, &NETWORK_PREFIX) {
        findings.check(Ranges::of(cidr).is_some(), field, || {
            format!("{cidr} can't be divided for nodes, pods and services")
        });
    }
    let field = "parameters.zones";
    findings.check((1..=3).contains(&parameters.zones.count()), field, || "must be 1 to 3 zones".to_owned());
    if let Zones::Named(names) = &parameters.zones {
        for name in names {
            let letter = name.strip_prefix(region).and_then(|rest| rest.strip_prefix('-'));
            let of_region = letter.is_some_and(|l| l.len() == 1 && l.bytes().all(|b| b.is_ascii_lowercase()));
            findings.check(of_region, field, || format!("{name:?} is not a zone of {region}"));
        }
        findings.distinct(field, names, "a zone");
    }
}

fn check_pool(pool: &v1::NodePoolSpec, findings: &mut Findings) {
    if let Err(error) = node_pool(&pool.role) {
        findings.add("node_pool.role", error.message);
    }
    findings.check(is_machine_type(&pool.machine_type), "machine_type", || {
        format!("{:?} is not a machine type of Compute Engine, like e2-standard-4", pool.machine_type)
    });
    findings.pool(pool, &POOL);
}

/// `e2-standard-4`, `n2-highmem-2`, `a2-highgpu-1g`, `n2-custom-4-8192`, `f1-micro`.
fn is_machine_type(text: &str) -> bool {
    let mut parts = text.split('-');
    let family = parts.next().unwrap_or_default();
    let letters = family.trim_end_matches(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let rest: Vec<&str> = parts.collect();
    let good = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    letters.is_empty()
        && family.len() >= 2
        && family.starts_with(|c: char| c.is_ascii_lowercase())
        && family.contains(|c: char| c.is_ascii_digit())
        && !rest.is_empty()
        && rest.iter().all(good)
        && rest[0].starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{is_machine_type, is_project, is_region, validate};
    use landlord_provider_api::v1::{DnsZoneSpec, NodePoolSpec, Scope, ValidateRequest};
    use landlord_test_driver::Example;

    fn request(parameters: &str) -> ValidateRequest {
        ValidateRequest {
            scope: Some(Scope {
                region: "europe-west1".to_owned(),
                account: "acme-prod".to_owned(),
                tenant_uid: "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b".to_owned(),
                ..Scope::default()
            }),
            parameters_json: parameters.to_owned(),
            node_pool: Some(NodePoolSpec {
                role: "default".to_owned(),
                machine_type: "e2-standard-4".to_owned(),
                node_count: 2,
                ..NodePoolSpec::default()
            }),
            dns_zone: Some(DnsZoneSpec { domain: "acme.example.com".to_owned() }),
        }
    }

    #[test]
    fn a_good_request_has_no_violation() {
        for parameters in [
            r#"{"public_access_cidrs":["203.0.113.0/24"],"kubernetes_version":"1.34","zones":["europe-west1-b"]}"#,
            r#"{"public_access_cidrs":[],"secrets_kms_key":"projects/p/locations/l/keyRings/r/cryptoKeys/k"}"#,
        ] {
            assert_eq!(validate(&request(parameters), None), []);
        }
        let mut no_account = request(r#"{"public_access_cidrs":[]}"#);
        no_account.scope.as_mut().expect("a scope").account.clear();
        assert_eq!(validate(&no_account, Some("acme-prod")), []);
        assert_eq!(validate(&no_account, None)[0].field, "account");
    }

    #[test]
    fn all_violations_come_at_once() {
        let mut bad = request(
            r#"{"kubernetes_version":"1.34.1","network_cidr":"8.0.0.0/8","zones":["europe-west2-a","europe-west2-a"],
                "secrets_kms_key":"x","node_service_account":"x","image_type":"x","disk_type":"x","node_disk_gib":1}"#,
        );
        if let Some(pool) = &mut bad.node_pool {
            *pool = NodePoolSpec {
                role: "X".to_owned(),
                node_count_max: -1,
                disk_size_gib: -1,
                labels: [("cloud.google.com/x".to_owned(), String::new())].into(),
                taints: vec![landlord_provider_api::v1::Taint::default()],
                ..NodePoolSpec::default()
            };
        }
        bad.dns_zone = Some(DnsZoneSpec { domain: "Bad_Domain".to_owned() });
        bad.scope = Some(Scope::default());
        let fields: Vec<String> = validate(&bad, None).into_iter().map(|v| v.field).collect();
        insta::assert_json_snapshot!(fields);
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let found = validate(&request(r#"{"public_access_cidr":[]}"#), None);
        assert!(found.iter().any(|v| v.description.contains("public_access_cidr")), "{found:?}");
    }

    #[test]
    fn the_example_classes_are_valid() {
        let example = Example::parse("gke", include_str!("../../../config/examples/gke.toml"));
        for request in example.requests(&["gke-cluster-small", "gke-host"], request) {
            assert_eq!(validate(&request, None), []);
        }
        crate::config::Config::parse(&example.settings()).expect("valid settings");
        crate::credentials::Scope::parse(example.credential("acme").as_bytes()).expect("a valid credential scope");
    }

    #[test]
    fn forms_of_regions_machines_and_projects() {
        for good in ["europe-west1", "northamerica-northeast2", "me-central2", "asia-southeast1", "europe-west12"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "europe", "eu-central-1", "europe-west1-b", "Europe-west1", "europe-west", "1-west1"] {
            assert!(!is_region(bad), "{bad}");
        }
        for good in ["e2-standard-4", "n2-custom-4-8192", "a2-highgpu-1g", "f1-micro", "c4a-highcpu-8", "m7i-x"] {
            assert!(is_machine_type(good), "{good}");
        }
        for bad in ["", "e2", "m7i.xlarge", "Standard_D4s_v5", "e2-", "standard-4", "e2-Standard-4", "e2-4"] {
            assert!(!is_machine_type(bad), "{bad}");
        }
        for good in ["acme-prod", "a12345", "example.com:acme-prod"] {
            assert!(is_project(good), "{good}");
        }
        for bad in ["", "short", "1acme-prod", "Acme-prod", "acme-prod-", "a/b-cdef"] {
            assert!(!is_project(bad), "{bad}");
        }
    }
}
