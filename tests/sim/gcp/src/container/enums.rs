//! Enumerations in requests. Google's generated clients send them as numbers (`$alt=json;enum-encoding=int`), others by
//! name; documents keep names. Numbers are those of `google/container/v1/cluster_service.proto`
//! (<https://github.com/googleapis/googleapis/blob/master/google/container/v1/cluster_service.proto>).

use serde_json::{Value, json};

/// Field name and its values in order of number.
const ENUMS: &[(&str, &[&str])] = &[
    ("effect", &["EFFECT_UNSPECIFIED", "NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE"]),
    ("channel", &["UNSPECIFIED", "RAPID", "REGULAR", "STABLE", "EXTENDED"]),
    ("datapathProvider", &["DATAPATH_PROVIDER_UNSPECIFIED", "LEGACY_DATAPATH", "ADVANCED_DATAPATH"]),
    ("desiredDatapathProvider", &["DATAPATH_PROVIDER_UNSPECIFIED", "LEGACY_DATAPATH", "ADVANCED_DATAPATH"]),
    ("stackType", &["STACK_TYPE_UNSPECIFIED", "IPV4", "IPV4_IPV6"]),
    ("autoscalingProfile", &["PROFILE_UNSPECIFIED", "OPTIMIZE_UTILIZATION", "BALANCED"]),
    ("locationPolicy", &["LOCATION_POLICY_UNSPECIFIED", "BALANCED", "ANY"]),
    ("strategy", &["NODE_POOL_UPDATE_STRATEGY_UNSPECIFIED", "", "BLUE_GREEN", "SURGE"]),
    ("enableComponents", &["COMPONENT_UNSPECIFIED", "SYSTEM_COMPONENTS", "WORKLOADS"]),
];
/// `mode` of workloadMetadataConfig; other messages have other modes.
const METADATA_MODE: &[&str] = &["MODE_UNSPECIFIED", "GCE_METADATA", "GKE_METADATA"];
/// `channel` of gatewayApiConfig.
const GATEWAY_CHANNEL: &[&str] =
    &["CHANNEL_UNSPECIFIED", "CHANNEL_DISABLED", "CHANNEL_EXPERIMENTAL", "", "CHANNEL_STANDARD"];

/// Turns the numbers of known enumerations into names, throughout.
pub(crate) fn by_name(value: &mut Value) {
    named(value, "");
}

fn named(value: &mut Value, parent: &str) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields.iter_mut() {
                let names = match (parent, key.as_str()) {
                    ("workloadMetadataConfig", "mode") => Some(METADATA_MODE),
                    ("gatewayApiConfig" | "desiredGatewayApiConfig", "channel") => Some(GATEWAY_CHANNEL),
                    _ => ENUMS.iter().find(|(name, _)| name == key).map(|(_, values)| *values),
                };
                match names {
                    Some(names) => rename(inner, names),
                    None => named(inner, key),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| named(v, parent)),
        _ => {}
    }
}

fn rename(value: &mut Value, names: &[&str]) {
    if let Value::Array(items) = value {
        items.iter_mut().for_each(|v| rename(v, names));
    } else if let Some(name) = value.as_u64().and_then(|n| names.get(usize::try_from(n).ok()?)) {
        *value = json!(name);
    }
}

#[cfg(test)]
mod tests {
    use super::by_name;
    use serde_json::json;

    #[test]
    fn numbers_become_names() {
        let mut doc = json!({ "releaseChannel": { "channel": 2 }, "networkConfig": { "gatewayApiConfig": { "channel": 4 } },
            "config": { "taints": [{ "effect": 1 }, { "effect": "NO_EXECUTE" }], "workloadMetadataConfig": { "mode": 2 } } });
        by_name(&mut doc);
        assert_eq!(doc["releaseChannel"]["channel"], "REGULAR");
        assert_eq!(doc["networkConfig"]["gatewayApiConfig"]["channel"], "CHANNEL_STANDARD");
        assert_eq!(doc["config"]["taints"], json!([{ "effect": "NO_SCHEDULE" }, { "effect": "NO_EXECUTE" }]));
        assert_eq!(doc["config"]["workloadMetadataConfig"]["mode"], "GKE_METADATA");
    }
}
