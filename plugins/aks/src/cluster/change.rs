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
    operation,
    parameters::Parameters,
    progress::{Outcome, Sent},
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
    let sent = if let Some(next) = next_minor(version(&cluster.properties), &parameters.kubernetes_version)? {
        document["properties"]["kubernetesVersion"] = json!(next);
        Sent::new(format!("AKS cluster {name} is being upgraded to Kubernetes {next}")).field(
            "kubernetesVersion",
            next,
            version(&cluster.properties),
        )
    } else {
        let sent = settings(&mut document, parameters, network)?;
        if sent.changes.is_empty() {
            return Ok(None);
        }
        Sent { detail: format!("AKS cluster {name} is being changed"), ..sent }
    };
    let condition = if cluster.etag().is_empty() { If::Always } else { If::Unchanged(cluster.etag()) };
    let response = call.arm.put(&api::CLUSTER, cluster.id(), &document, condition).await?;
    Ok(Some(operation::changed(call.arm, &response, POLL_S, sent)))
}

/// Sets what differs, and says what that is.
fn settings(document: &mut Value, parameters: &Parameters, network: &v1::NetworkStatus) -> Result<Sent> {
    let mut sent = Sent::default();
    let is_private = document["properties"]["apiServerAccessProfile"]["enablePrivateCluster"] == true;
    let wanted = wanted::ranges(parameters, network);
    if is_private == wanted.is_some() {
        return Err(invalid(
            "parameters.public_access_cidrs: a cluster that exists cannot become or stop being private; put the old value back or make a new tenant",
        ));
    }
    let present = sorted(&document["properties"]["apiServerAccessProfile"]["authorizedIPRanges"]);
    if let Some(ranges) = wanted
        && present != ranges
    {
        document["properties"]["apiServerAccessProfile"]["authorizedIPRanges"] = json!(ranges);
        sent = sent.field("authorizedIPRanges", ranges.join(" "), present.join(" "));
    }
    let mut groups = parameters.admin_group_object_ids.clone();
    groups.sort();
    let present = sorted(&document["properties"]["aadProfile"]["adminGroupObjectIDs"]);
    if present != groups {
        document["properties"]["aadProfile"]["adminGroupObjectIDs"] = json!(groups);
        sent = sent.field("adminGroupObjectIDs", groups.join(" "), present.join(" "));
    }
    let channel = document["properties"]["autoUpgradeProfile"]["upgradeChannel"].as_str().unwrap_or("none");
    if channel != parameters.upgrade_channel {
        sent = sent.field("upgradeChannel", &parameters.upgrade_channel, channel);
        document["properties"]["autoUpgradeProfile"]["upgradeChannel"] = json!(parameters.upgrade_channel);
    }
    let tier = document["sku"]["tier"].as_str().unwrap_or_default();
    if !tier.is_empty() && tier != parameters.tier {
        sent = sent.field("sku.tier", &parameters.tier, tier);
        document["sku"]["tier"] = json!(parameters.tier);
    }
    Ok(sent)
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
        assert!(settings(&mut document, &wanted, &network).expect("comparable").changes.is_empty());
        assert_eq!(document, same);
        let other = Parameters { public_access_cidrs: Some(vec!["192.0.2.0/24".to_owned()]), ..wanted.clone() };
        let sent = settings(&mut document, &other, &network).expect("comparable").to_string();
        assert_eq!(sent, " (authorizedIPRanges: 203.0.113.0/24 → 192.0.2.0/24)");
        assert_eq!(document["properties"]["apiServerAccessProfile"]["authorizedIPRanges"], json!(["192.0.2.0/24"]));
        assert_eq!(document["properties"]["foreign"], same["properties"]["foreign"]);
        let private = Parameters { public_access_cidrs: Some(Vec::new()), ..wanted };
        assert!(settings(&mut document, &private, &network).is_err());
    }
}
