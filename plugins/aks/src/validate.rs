//! Whether a tenant could be built as described: every violation at once, nothing requested from
//! Azure. What only Azure knows (whether a region offers a machine type) shows when it is built.

use landlord_provider_api::v1;
use landlord_provider_sdk::{
    cidr::Cidr,
    findings::{Findings, PoolBounds},
    parameters,
    versions::is_minor,
};

use crate::{
    names::{Names, pool},
    parameters::{CHANNELS, OS_SKUS, Parameters, TIERS},
};

/// A virtual network may be this large and this small; its first quarter holds the nodes.
const VNET_PREFIX: std::ops::RangeInclusive<u8> = 12..=22;
/// AKS takes services' networks up to this size.
const SERVICE_PREFIX: std::ops::RangeInclusive<u8> = 12..=24;
/// A pods' network; each node takes a /24 of it.
const POD_PREFIX: std::ops::RangeInclusive<u8> = 8..=20;
/// Networks that AKS keeps to itself: <https://learn.microsoft.com/azure/aks/azure-cni-overlay>.
const RESERVED: [&str; 4] = ["169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24"];
/// AKS takes at most this many networks for the API server.
const ACCESS_CIDRS_MAX: usize = 200;
/// Bounds of a pool: <https://learn.microsoft.com/azure/aks/quotas-skus-regions>.
const POOL: PoolBounds<'_> =
    PoolBounds { nodes_max: 1_000, disk_gib: DISK_GIB, reserved_labels: &["kubernetes.azure.com"] };
const DISK_GIB: std::ops::RangeInclusive<i32> = 30..=2_048;

/// All violations.
pub(crate) fn validate(request: &v1::ValidateRequest) -> Vec<v1::FieldViolation> {
    let mut findings = Findings::default();
    let scope = request.scope.clone().unwrap_or_default();
    findings.check(is_region(&scope.region), "region", || {
        format!("{:?} is not a region of Azure, like westeurope", scope.region)
    });
    if let Err(error) = crate::names::subscription(&scope) {
        findings.add("account", error.message);
    }
    let named = v1::Scope { account: "x".to_owned(), ..scope.clone() };
    if let Err(error) = Names::new(&named) {
        findings.add("uid", error.message);
    }
    parameters::check(&mut findings, request, check_parameters, check_pool);
    findings.into_violations()
}

/// `westeurope`, `eastus2`, `usgovvirginia`.
pub(crate) fn is_region(text: &str) -> bool {
    (4..=30).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn check_parameters(parameters: &Parameters, findings: &mut Findings) {
    let version = &parameters.kubernetes_version;
    findings.check(is_minor(version), "parameters.kubernetes_version", || {
        format!("{version:?} is not a minor version like 1.35")
    });
    findings.one_of("parameters.upgrade_channel", &parameters.upgrade_channel, &CHANNELS);
    findings.one_of("parameters.tier", &parameters.tier, &TIERS);
    findings.one_of("parameters.os_sku", &parameters.os_sku, &OS_SKUS);
    check_networks(parameters, findings);
    check_access(parameters, findings);
    let zones = &parameters.availability_zones;
    for zone in zones {
        findings.one_of("parameters.availability_zones", zone, &["1", "2", "3"]);
    }
    findings.distinct("parameters.availability_zones", zones, "a zone");
    findings.disk("parameters.node_disk_gib", parameters.node_disk_gib, &DISK_GIB);
    findings.check(is_machine_type(&parameters.system_machine_type), "parameters.system_machine_type", || {
        format!("{:?} is not a machine size of Azure, like Standard_D2s_v5", parameters.system_machine_type)
    });
    findings.check((1..=100).contains(&parameters.system_node_count), "parameters.system_node_count", || {
        "must be between 1 and 100".to_owned()
    });
}

fn check_networks(parameters: &Parameters, findings: &mut Findings) {
    let all = [
        ("parameters.vnet_cidr", &parameters.vnet_cidr, VNET_PREFIX),
        ("parameters.pod_cidr", &parameters.pod_cidr, POD_PREFIX),
        ("parameters.service_cidr", &parameters.service_cidr, SERVICE_PREFIX),
    ];
    let mut parsed: Vec<(&str, Cidr)> = Vec::new();
    for (field, text, bounds) in all {
        let Some(cidr) = findings.network(field, text, &bounds) else {
            continue;
        };
        for reserved in RESERVED {
            let meets = reserved.parse().is_ok_and(|r: Cidr| r.overlaps(cidr));
            findings.check(!meets, field, || format!("{cidr} overlaps {reserved}, which AKS keeps to itself"));
        }
        for (other, earlier) in &parsed {
            findings.check(!earlier.overlaps(cidr), field, || format!("{cidr} overlaps {other}"));
        }
        parsed.push((field, cidr));
    }
}

fn check_access(parameters: &Parameters, findings: &mut Findings) {
    let access = parameters.public_access_cidrs.as_deref();
    findings.access("parameters.public_access_cidrs", access, ACCESS_CIDRS_MAX);
    for id in &parameters.admin_group_object_ids {
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        let hex = id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        findings.check(hex && lengths == [8, 4, 4, 4, 12], "parameters.admin_group_object_ids", || {
            format!("{id:?} is not the object id of an Entra group")
        });
    }
}

fn check_pool(spec: &v1::NodePoolSpec, findings: &mut Findings) {
    if let Err(error) = pool(&spec.role) {
        findings.add("node_pool.role", error.message);
    }
    findings.check(is_machine_type(&spec.machine_type), "machine_type", || {
        format!("{:?} is not a machine size of Azure, like Standard_D4s_v5", spec.machine_type)
    });
    findings.pool(spec, &POOL);
}

/// `Standard_D4s_v5`, `Standard_NC24ads_A100_v4`, `Standard_B2ms`.
fn is_machine_type(text: &str) -> bool {
    text.strip_prefix("Standard_").is_some_and(|rest| {
        (2..=40).contains(&rest.len())
            && rest.starts_with(|c: char| c.is_ascii_uppercase())
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && rest.bytes().any(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::{is_machine_type, is_region, validate};
    use landlord_provider_api::v1::{DnsZoneSpec, NodePoolSpec, Scope, ValidateRequest};
    use landlord_test_driver::Example;

    fn request(parameters: &str) -> ValidateRequest {
        ValidateRequest {
            scope: Some(Scope {
                region: "westeurope".to_owned(),
                account: "11112222-3333-4444-5555-666677778888".to_owned(),
                tenant_uid: "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b".to_owned(),
                ..Scope::default()
            }),
            parameters_json: parameters.to_owned(),
            node_pool: Some(NodePoolSpec {
                role: "default".to_owned(),
                machine_type: "Standard_D4s_v5".to_owned(),
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
    }

    #[test]
    fn the_example_classes_are_valid() {
        let text = include_str!("../../../config/examples/aks.toml");
        assert!(text.contains("client_secret_file"), "the secret is a file");
        let example = Example::parse("aks", text);
        for request in example.requests(&["aks-cluster-small", "aks-host"], request) {
            assert_eq!(validate(&request), []);
        }
        crate::config::Config::parse(&example.settings()).expect("valid settings");
        crate::credentials::Scope::parse(example.credential("acme").as_bytes()).expect("a valid credential scope");
    }

    #[test]
    fn all_violations_come_at_once() {
        let mut bad = request(
            r#"{"kubernetes_version":"1.35.2","upgrade_channel":"x","tier":"x","vnet_cidr":"8.8.0.0/8","pod_cidr":"10.96.0.0/16",
                "service_cidr":"10.96.0.0/16","availability_zones":["1","1","9"],"admin_group_object_ids":["x"],"os_sku":"x",
                "node_disk_gib":1,"system_machine_type":"x","system_node_count":0}"#,
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
    fn forms_of_regions_and_machines() {
        for good in ["westeurope", "eastus2", "usgovvirginia", "southafricanorth"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "eu", "europe-west3", "West Europe", "eu-central-1"] {
            assert!(!is_region(bad), "{bad}");
        }
        for good in ["Standard_D4s_v5", "Standard_NC24ads_A100_v4", "Standard_B2ms", "Standard_D4-2s_v5"] {
            assert!(is_machine_type(good), "{good}");
        }
        for bad in ["", "m7i.xlarge", "Standard_", "standard_D4s_v5", "Standard_D4s v5", "e2-standard-4"] {
            assert!(!is_machine_type(bad), "{bad}");
        }
    }
}
