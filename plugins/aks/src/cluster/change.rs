//! What changes on a cluster that is up: the document as it was read, with only that changed
//! which differs, and sent back under the condition that nobody else changed it meanwhile.

use landlord_provider_api::v1;
use landlord_provider_sdk::versions::next_minor;
use serde_json::{Value, json};

use super::{Cluster, POLL_S, version, wanted};
use crate::{
    api,
    arm::If,
    error::{Result, invalid},
    names::Call,
    operation::{self, Work},
    parameters::Parameters,
    progress::Outcome,
};

/// Begins the change that is due, if one is. The version comes first and alone.
pub(super) async fn begin(
    call: &Call<'_>,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    cluster: &Cluster,
) -> Result<Option<Outcome>> {
    let name = cluster.name();
    let mut document = cluster.document.clone();
    let detail = if let Some(next) = next_minor(version(&cluster.properties), &parameters.kubernetes_version)? {
        document["properties"]["kubernetesVersion"] = json!(next);
        format!("AKS cluster {name} is being upgraded to Kubernetes {next}")
    } else if settings(&mut document, parameters, network)? {
        format!("AKS cluster {name} is being changed")
    } else {
        return Ok(None);
    };
    let condition = if cluster.etag().is_empty() { If::Always } else { If::Unchanged(cluster.etag()) };
    let answer = call.arm.put(&api::CLUSTER, cluster.id(), &document, condition).await?;
    Ok(Some(operation::begun(call.arm, Work::Change, &answer, POLL_S, detail)))
}

/// Sets what differs; whether anything did.
fn settings(document: &mut Value, parameters: &Parameters, network: &v1::NetworkStatus) -> Result<bool> {
    let mut changed = false;
    let is_private = document["properties"]["apiServerAccessProfile"]["enablePrivateCluster"] == true;
    let wanted = wanted::ranges(parameters, network);
    if is_private == wanted.is_some() {
        return Err(invalid(
            "parameters.public_access_cidrs: a cluster that exists cannot become or stop being private; put the old value back or make a new tenant",
        ));
    }
    if let Some(ranges) = wanted
        && sorted(&document["properties"]["apiServerAccessProfile"]["authorizedIPRanges"]) != ranges
    {
        document["properties"]["apiServerAccessProfile"]["authorizedIPRanges"] = json!(ranges);
        changed = true;
    }
    let mut groups = parameters.admin_group_object_ids.clone();
    groups.sort();
    if sorted(&document["properties"]["aadProfile"]["adminGroupObjectIDs"]) != groups {
        document["properties"]["aadProfile"]["adminGroupObjectIDs"] = json!(groups);
        changed = true;
    }
    let channel = document["properties"]["autoUpgradeProfile"]["upgradeChannel"].as_str().unwrap_or("none");
    if channel != parameters.upgrade_channel {
        document["properties"]["autoUpgradeProfile"]["upgradeChannel"] = json!(parameters.upgrade_channel);
        changed = true;
    }
    let tier = document["sku"]["tier"].as_str().unwrap_or_default();
    if !tier.is_empty() && tier != parameters.tier {
        document["sku"]["tier"] = json!(parameters.tier);
        changed = true;
    }
    Ok(changed)
}

fn sorted(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut texts: Vec<String> = texts.map(str::to_owned).collect();
    texts.sort();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::settings;
    use crate::parameters::Parameters;
    use landlord_provider_api::v1::NetworkStatus;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_changed() {
        let same = json!({ "sku": { "tier": "Standard" }, "properties": {
            "apiServerAccessProfile": { "authorizedIPRanges": ["203.0.113.0/24"] },
            "autoUpgradeProfile": { "upgradeChannel": "patch" }, "foreign": { "x": 1 } } });
        let wanted =
            Parameters { public_access_cidrs: Some(vec!["203.0.113.0/24".to_owned()]), ..Parameters::default() };
        let network = NetworkStatus::default();
        let mut document = same.clone();
        assert!(!settings(&mut document, &wanted, &network).expect("comparable"));
        assert_eq!(document, same);
        let other = Parameters { public_access_cidrs: Some(vec!["192.0.2.0/24".to_owned()]), ..wanted.clone() };
        assert!(settings(&mut document, &other, &network).expect("comparable"));
        assert_eq!(document["properties"]["apiServerAccessProfile"]["authorizedIPRanges"], json!(["192.0.2.0/24"]));
        assert_eq!(document["properties"]["foreign"], same["properties"]["foreign"]);
        let private = Parameters { public_access_cidrs: Some(Vec::new()), ..wanted };
        assert!(settings(&mut document, &private, &network).is_err());
    }
}
