//! Add-ons. What a cluster of this plugin needs (network policies by Cilium, disks, DNS,
//! workload identity) is part of AKS and comes with it; here it is only checked that nobody
//! turned it off.

use landlord_provider_api::v1;

use crate::{
    cluster,
    error::{Result, conflict},
    names::Call,
    object::State,
    progress::{Outcome, pending, ready},
};

/// Seconds between observations of a cluster that is being changed.
const POLL_S: i64 = 10;

/// Pointer into the cluster's document, what stands there, what it is called.
const BUILT_IN: [(&str, &str, &str); 5] = [
    ("/properties/networkProfile/networkDataplane", "cilium", "the data plane Cilium"),
    ("/properties/networkProfile/networkPolicy", "cilium", "network policies by Cilium"),
    ("/properties/oidcIssuerProfile/enabled", "true", "the OIDC issuer"),
    ("/properties/securityProfile/workloadIdentity/enabled", "true", "workload identity"),
    ("/properties/storageProfile/diskCSIDriver/enabled", "true", "the disk driver"),
];

/// What of it is turned off. What Azure does not speak of is on.
fn missing(document: &serde_json::Value) -> Vec<&'static str> {
    let differs = |pointer: &str, wanted: &str| {
        document.pointer(pointer).is_some_and(|found| match found.as_str() {
            Some(text) => !text.eq_ignore_ascii_case(wanted),
            None => found.as_bool().is_none_or(|on| on != (wanted == "true")),
        })
    };
    BUILT_IN.iter().filter(|(pointer, wanted, _)| differs(pointer, wanted)).map(|(.., name)| *name).collect()
}

/// Checks that everything is there.
pub(crate) async fn ensure(call: &Call<'_>) -> Result<Outcome> {
    let Some(found) = cluster::find(call).await? else {
        return Err(cluster::absent(call).into());
    };
    let off = missing(&found.document);
    if !off.is_empty() {
        return Err(conflict(
            format!("AKS cluster {} lacks {}, which it was made with", found.name(), off.join(", ")),
            "turn it on again; landlord observes again by itself",
        ));
    }
    Ok(match found.state() {
        State::Succeeded => ready(),
        state => pending(POLL_S, format!("AKS cluster {} is {}", found.name(), state.as_str())),
    })
}

/// They live and go with the cluster, and are shown as it.
pub(crate) async fn observe(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let found = cluster::find_own(call).await?.filter(|c| c.state() != State::Deleting);
    let Some(found) = found else { return Ok((Outcome::Gone, Vec::new())) };
    let outcome = match found.state() {
        State::Succeeded => ready(),
        state => pending(POLL_S, format!("AKS cluster {} is {}", found.name(), state.as_str())),
    };
    Ok((outcome, vec![found.owned(call.scope)]))
}

#[cfg(test)]
mod tests {
    use super::missing;
    use serde_json::json;

    #[test]
    fn what_was_turned_off_is_named() {
        let good = json!({ "properties": { "networkProfile": { "networkDataplane": "cilium" }, "oidcIssuerProfile": { "enabled": true } } });
        assert_eq!(missing(&good), [""; 0]);
        let bad = json!({ "properties": { "networkProfile": { "networkDataplane": "azure" }, "oidcIssuerProfile": { "enabled": false } } });
        assert_eq!(missing(&bad), ["the data plane Cilium", "the OIDC issuer"]);
    }
}
