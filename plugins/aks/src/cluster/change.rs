//! What changes on a cluster that is up: the document as it was read, with only that changed
//! which differs, and sent back under the condition that nobody else changed it meanwhile.

use landlord_provider_api::v1;
use serde_json::{Value, json};

use super::{Cluster, POLL_S, minor, version, wanted};
use crate::{
    api,
    arm::If,
    error::{Result, invalid},
    names::Call,
    operation,
    parameters::Parameters,
    progress::{Outcome, Sent},
};

/// Channels by which AKS raises the minor version itself.
const RAISING: [&str; 2] = ["stable", "rapid"];

/// Begins the change that is due, if one is. The version comes first and alone.
pub(super) async fn begin(
    call: &Call<'_>,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    cluster: &Cluster,
) -> Result<Option<Outcome>> {
    let name = cluster.name();
    let mut document = cluster.document.clone();
    let sent = if let Some(next) = next_version(version(&cluster.properties), parameters)? {
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
    let answer = call.arm.put(&api::CLUSTER, cluster.id(), &document, condition).await?;
    Ok(Some(operation::changed(call.arm, &answer, POLL_S, sent)))
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

/// The next minor version on the way; `None`: it is there.
fn next_version(present: &str, parameters: &Parameters) -> Result<Option<String>> {
    let wanted = parameters.kubernetes_version.as_str();
    let (Some(p), Some(w)) = (minor(present), minor(wanted)) else {
        return Err(invalid(format!("parameters.kubernetes_version: cannot compare {present:?} with {wanted:?}")));
    };
    match w.cmp(&p) {
        std::cmp::Ordering::Equal => Ok(None),
        std::cmp::Ordering::Greater => Ok(Some(format!("1.{}", p + 1))),
        std::cmp::Ordering::Less if RAISING.contains(&parameters.upgrade_channel.as_str()) => Ok(None),
        std::cmp::Ordering::Less => Err(invalid(format!(
            "parameters.kubernetes_version: the cluster runs {present} and cannot go back to {wanted}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{next_version, settings};
    use crate::parameters::Parameters;
    use landlord_provider_api::v1::NetworkStatus;
    use serde_json::json;

    fn parameters(version: &str, channel: &str) -> Parameters {
        Parameters {
            kubernetes_version: version.to_owned(),
            upgrade_channel: channel.to_owned(),
            ..Parameters::default()
        }
    }

    #[test]
    fn versions_rise_one_minor_at_a_time_and_never_fall() {
        let next = |present: &str, version: &str| next_version(present, &parameters(version, "patch"));
        assert_eq!(next("1.33.5", "1.35").expect("upwards").as_deref(), Some("1.34"));
        assert_eq!(next("1.35.1", "1.35").expect("there"), None);
        assert!(next("1.35.1", "1.34").is_err());
        assert!(next("1.35.1", "latest").is_err());
        assert_eq!(next_version("1.35.1", &parameters("1.34", "rapid")).expect("AKS was faster"), None);
    }

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
