//! Holds what happened in the simulated cloud against the invariants. The simulator's journal
//! and its list of live objects are the witnesses, never the daemon's own database.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::simulator::Control;

/// Types of which a tenant has exactly one, and for which creating a second, even one that is
/// removed again, is a broken promise. Clouds write types in any case, so they are compared without.
const SINGLE: [&str; 15] = [
    "AWS::CloudFormation::Stack",
    "AWS::EC2::VPC",
    "AWS::EKS::Cluster",
    "AWS::EKS::Nodegroup",
    "AWS::Route53::HostedZone",
    "compute.googleapis.com/Network",
    "compute.googleapis.com/Subnetwork",
    "compute.googleapis.com/Router",
    "container.googleapis.com/Cluster",
    "container.googleapis.com/NodePool",
    "dns.googleapis.com/ManagedZone",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.ContainerService/managedClusters",
    "Microsoft.ContainerService/managedClusters/agentPools",
    "Microsoft.Network/dnsZones",
];

/// The type of which a tenant has exactly one, as it is written here; none for others.
#[must_use]
pub fn single_type(kind: &str) -> Option<&'static str> {
    SINGLE.into_iter().find(|single| single.eq_ignore_ascii_case(kind))
}

/// I6: nothing is left in an account, apart from what others had there before.
///
/// # Errors
/// Names what is left.
pub fn account_is_empty(control: &Control, account: &str) -> Result<()> {
    let left = control.objects(account)?;
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = left.iter().map(|o| format!("{} {}", text(o, "type"), text(o, "id"))).collect();
    bail!("account {account} still holds:\n{}", names.join("\n"));
}

/// I2 and "nothing made twice": within the journal entries given, no single type was created more
/// often than `tenants` times.
///
/// # Errors
/// Names what was made too often.
pub fn nothing_made_twice(journal: &[Value], tenants: usize) -> Result<()> {
    let mut created: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in journal {
        if entry["effect"] != "created" {
            continue;
        }
        for object in entry["objects"].as_array().into_iter().flatten() {
            if let Some(single) = single_type(text(object, "type")) {
                let line = format!("seq {} {}", entry["seq"], text(object, "id"));
                created.entry(single.to_owned()).or_default().push(line);
            }
        }
    }
    let excess: Vec<String> = created
        .into_iter()
        .filter(|(_, lines)| lines.len() > tenants)
        .map(|(kind, lines)| format!("{kind}: {}", lines.join(", ")))
        .collect();
    if excess.is_empty() {
        return Ok(());
    }
    bail!("made more than {tenants} times:\n{}", excess.join("\n"));
}

/// I2: at no time had a tenant two objects of a type of which it has exactly one, by the markers that they were made with.
///
/// # Errors
/// Names the first two that were there at once.
pub fn never_two_at_once(journal: &[Value]) -> Result<()> {
    let mut live: BTreeMap<(String, &str), String> = BTreeMap::new();
    for entry in journal {
        let effect = text(entry, "effect");
        for object in entry["objects"].as_array().into_iter().flatten() {
            let Some(single) = single_type(text(object, "type")) else { continue };
            let id = text(object, "id").to_owned();
            if effect == "deleted" {
                live.retain(|_, other| *other != id);
            }
            let Some(uid) = object["tags"]["landlord-tenant-uid"].as_str().filter(|_| effect == "created") else {
                continue;
            };
            // A tenant may have pools of several roles.
            let role = text(&object["tags"], "landlord-role");
            if let Some(other) = live.insert((format!("{uid} {role}"), single), id.clone()) {
                bail!("{uid} has two {single} for {role} at once: {other} and {id} (seq {})", entry["seq"]);
            }
        }
    }
    Ok(())
}

/// The judgement is not empty: every type of which a tenant has exactly one was made within these entries, which are of
/// whole life cycles in all clouds.
///
/// # Errors
/// Names the types that never occur.
pub fn every_single_type_occurs(journal: &[Value]) -> Result<()> {
    let created = journal.iter().filter(|entry| entry["effect"] == "created");
    let made: Vec<&str> =
        created.flat_map(|entry| entry["objects"].as_array().into_iter().flatten()).map(|o| text(o, "type")).collect();
    let missing: Vec<&str> =
        SINGLE.into_iter().filter(|single| !made.iter().any(|kind| kind.eq_ignore_ascii_case(single))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("never made, so never judged: {}", missing.join(", "));
}

/// Types and the stage whose intent must be durable before one is made.
const STAGE_OF: [(&str, &str); 15] = [
    ("AWS::CloudFormation::Stack", "network"),
    ("AWS::EC2::VPC", "network"),
    ("AWS::EKS::Cluster", "cluster"),
    ("AWS::EKS::Nodegroup", "node-pool"),
    ("AWS::EKS::Addon", "addons"),
    ("AWS::EKS::PodIdentityAssociation", "identity"),
    ("AWS::Route53::HostedZone", "dns-zone"),
    ("compute.googleapis.com/Network", "network"),
    ("container.googleapis.com/Cluster", "cluster"),
    ("dns.googleapis.com/ManagedZone", "dns-zone"),
    ("Microsoft.Network/virtualNetworks", "network"),
    ("Microsoft.Network/natGateways", "network"),
    ("Microsoft.ContainerService/managedClusters", "cluster"),
    ("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "identity"),
    ("Microsoft.Network/dnsZones", "dns-zone"),
];

/// I1: every object was made after the intent of its stage was recorded. `events` are the tenant's; both clocks are
/// this machine's.
///
/// # Errors
/// Names the first object that is older than its intent, or has none.
pub fn intents_are_older(journal: &[Value], events: &[Value]) -> Result<()> {
    let mut judged = 0;
    for entry in journal.iter().filter(|entry| entry["effect"] == "created") {
        for object in entry["objects"].as_array().into_iter().flatten() {
            let kind = text(object, "type");
            let Some((_, stage)) = STAGE_OF.iter().find(|(of, _)| of.eq_ignore_ascii_case(kind)) else { continue };
            judged += 1;
            let started = events
                .iter()
                .filter(|event| text(event, "stage") == *stage && text(event, "reason") == "StageStarted")
                .filter_map(|event| text(event, "eventTime").parse::<jiff::Timestamp>().ok())
                .min();
            let Some(started) = started else {
                bail!("{kind} {} was made without an intent of {stage}", text(object, "id"));
            };
            let made = entry["time_ms"].as_i64().unwrap_or_default();
            if made < started.as_millisecond() {
                bail!("{kind} {} is older than the intent of {stage}: {made} < {started}", text(object, "id"));
            }
        }
    }
    if judged == 0 {
        bail!("nothing was made whose intent could be judged");
    }
    Ok(())
}

/// I7: calls changed and deleted nothing but what carries an owner marker or was made within these entries.
///
/// # Errors
/// Names the first foreign object that was touched.
pub fn only_ours_is_touched(journal: &[Value]) -> Result<()> {
    let mut made = std::collections::BTreeSet::new();
    for entry in journal {
        let effect = text(entry, "effect");
        for object in entry["objects"].as_array().into_iter().flatten() {
            let id = text(object, "id");
            if effect == "created" {
                made.insert(id);
            }
            let ours = made.contains(id) || object["tags"]["landlord-tenant-uid"].is_string();
            if entry["origin"] == "call" && matches!(effect, "changed" | "deleted") && !ours {
                bail!(
                    "{} {effect} {} {id}, which is not ours (seq {})",
                    text(entry, "action"),
                    text(object, "type"),
                    entry["seq"]
                );
            }
        }
    }
    Ok(())
}

/// Types whose create calls take markers along, in each cloud.
const MARKED: [&str; 9] = [
    "AWS::CloudFormation::Stack",
    "AWS::EKS::Cluster",
    "AWS::EKS::Nodegroup",
    "compute.googleapis.com/Network",
    "container.googleapis.com/Cluster",
    "dns.googleapis.com/ManagedZone",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.ContainerService/managedClusters",
    "Microsoft.Network/dnsZones",
];

/// Every object that a call of ours made in an account carries the markers from the call on.
///
/// # Errors
/// Names the first object without; or that nothing was made there that could be judged.
pub fn everything_is_marked(journal: &[Value], account: &str) -> Result<()> {
    let mut judged = 0;
    for entry in journal {
        if entry["origin"] != "call" || entry["effect"] != "created" || entry["account"] != account {
            continue;
        }
        for object in entry["objects"].as_array().into_iter().flatten() {
            let kind = text(object, "type");
            if !MARKED.iter().any(|marked| marked.eq_ignore_ascii_case(kind)) {
                continue;
            }
            judged += 1;
            for marker in ["landlord-installation", "landlord-tenant-uid", "landlord-role"] {
                if object["tags"][marker].is_null() {
                    bail!("{kind} {} was created without {marker} (seq {})", text(object, "id"), entry["seq"]);
                }
            }
        }
    }
    if judged == 0 {
        bail!("nothing was made in {account} whose markers could be judged");
    }
    Ok(())
}

/// Whether an action, in the words of its cloud, only reads.
#[must_use]
pub fn is_read(action: &str) -> bool {
    let verb = action.rsplit('.').next().unwrap_or(action).to_lowercase();
    ["describe", "list", "get", "aggregatedlist", "wait", "checkexistence"].iter().any(|read| verb.starts_with(read))
}

/// A text field, or `?`.
#[must_use]
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Text of the simulated clouds, in lower case.
    fn simulators() -> String {
        fn read(folder: &Path, text: &mut String) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    read(&path, text);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    text.push_str(&std::fs::read_to_string(&path).unwrap_or_default().to_lowercase());
                }
            }
        }
        let mut text = String::new();
        read(&crate::binaries::checkout().join("tests/sim"), &mut text);
        text
    }

    #[test]
    fn each_type_that_is_judged_is_one_of_a_simulated_cloud() {
        let known = simulators();
        for kind in SINGLE.into_iter().chain(STAGE_OF.map(|(kind, _)| kind)).chain(MARKED) {
            let whole = format!("\"{}\"", kind.to_lowercase());
            assert!(known.contains(&whole), "no simulated cloud has {kind}: it would never be judged");
        }
    }

    #[test]
    fn two_at_once_are_noticed_and_one_after_the_other_is_none() {
        let entry = |effect: &str, id: &str| {
            serde_json::json!({"effect": effect, "objects": [
            {"type": "AWS::EKS::Cluster", "id": id, "tags": {"landlord-tenant-uid": "u", "landlord-role": "cluster"}}]})
        };
        let (a, b) = (entry("created", "a"), entry("created", "b"));
        assert!(never_two_at_once(&[a.clone(), entry("deleted", "a"), b.clone()]).is_ok());
        assert!(never_two_at_once(&[a, b]).is_err());
    }

    #[test]
    fn types_are_compared_without_case() {
        let entry = |seq: u64, kind: &str| serde_json::json!({"seq": seq, "effect": "created", "time_ms": 5, "objects": [{"type": kind, "id": "a"}]});
        let journal = [
            entry(1, "Microsoft.ContainerService/ManagedClusters"),
            entry(2, "Microsoft.ContainerService/managedClusters"),
        ];
        assert!(nothing_made_twice(&journal, 2).is_ok());
        assert!(nothing_made_twice(&journal, 1).is_err());
        assert!(intents_are_older(&journal, &[]).is_err());
        assert!(intents_are_older(&[], &[]).is_err());
        assert!(every_single_type_occurs(&journal).is_err());
    }
}
