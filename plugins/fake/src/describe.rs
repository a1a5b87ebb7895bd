//! What the plugin is and can do.

use landlord_provider_api::{Method, v1};

use crate::config::SCHEMA;

/// High enough never to be what a test waits for, and still a bucket.
const CALLS_PER_SECOND: f64 = 10_000.0;
const BUCKET: &str = "fake/all";
const DELETES: [&str; 8] = [
    "DeleteNetwork",
    "DeleteCluster",
    "DeleteAddons",
    "DeleteNodePool",
    "DeleteDnsZone",
    "DeleteDnsRecords",
    "DeleteIdentity",
    "DeleteLeftovers",
];

pub(crate) fn description(name: &str, version: &str) -> v1::DescribeResponse {
    let methods = Method::ALL.iter().map(|method| method.name());
    let names = || methods.clone().filter(|name| *name != "Delete").chain(DELETES);
    let duration = |nanos| Some(prost_types::Duration { seconds: 0, nanos });
    v1::DescribeResponse {
        name: name.into(),
        version: version.into(),
        capabilities: vec!["secrets-encryption".to_owned()],
        config_schema: SCHEMA.into(),
        parameters_schema: r#"{"type": "object"}"#.into(),
        expected_durations: names()
            .filter(|name| name.starts_with("Ensure") || name.starts_with("Delete"))
            .map(|name| v1::ExpectedDuration {
                method: name.into(),
                typical: duration(50_000_000),
                slow: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
            })
            .collect(),
        rate_buckets: vec![v1::RateBucket {
            name: BUCKET.into(),
            rate_per_second: CALLS_PER_SECOND,
            burst: CALLS_PER_SECOND,
            source: "this plugin has no limit".into(),
        }],
        method_costs: names()
            .map(|name| v1::MethodCost { method: name.into(), bucket: BUCKET.into(), cost: 1.0 })
            .collect(),
    }
}
