//! How Google names things: resource names, links, project numbers, zones, instants.
//!
//! An object's id in the simulator is its relative resource name (`projects/P/regions/R/subnetworks/S`), so links of any
//! form (<https://cloud.google.com/apis/design/resource_names>) come down to one id.

use base64::{Engine, engine::general_purpose::STANDARD};
use cloudsim_core::{
    clock::Micros,
    object::{Object, Tags},
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Where Compute's links start.
pub(crate) const COMPUTE: &str = "https://www.googleapis.com/compute/v1/";
/// Where GKE's links start.
pub(crate) const CONTAINER: &str = "https://container.googleapis.com/v1/";

/// The number of a project: twelve digits that depend on its id only.
#[must_use]
pub(crate) fn project_number(project: &str) -> u64 {
    let digest = Sha256::digest(project);
    let eight: [u8; 8] = digest[..8].try_into().unwrap_or_default();
    100_000_000_000 + u64::from_be_bytes(eight) % 900_000_000_000
}

/// The relative resource name that a link of any form means; `project` completes partial ones.
#[must_use]
pub(crate) fn relative(link: &str, project: &str) -> String {
    let rest = match link.find("projects/") {
        Some(at) => &link[at..],
        None => link,
    };
    let rest = rest.trim_matches('/');
    if rest.starts_with("projects/") { rest.to_owned() } else { format!("projects/{project}/{rest}") }
}

/// The last part of a name.
#[must_use]
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The parent collection's scope: `global`, `regions/R`, `zones/Z` of a compute id.
#[must_use]
pub(crate) fn scope_of(id: &str) -> String {
    let parts: Vec<&str> = id.split('/').collect();
    match parts[..] {
        [_, _, level @ ("regions" | "zones"), place, ..] => format!("{level}/{place}"),
        _ => "global".to_owned(),
    }
}

/// Region of a zone or region: `europe-west1-b` → `europe-west1`.
#[must_use]
pub(crate) fn region_of(location: &str) -> &str {
    if is_zone(location) { &location[..location.len() - 2] } else { location }
}

/// Whether a location is a zone: it ends in a dash and a letter.
#[must_use]
pub(crate) fn is_zone(location: &str) -> bool {
    let bytes = location.as_bytes();
    bytes.len() > 2 && bytes[bytes.len() - 2] == b'-' && bytes[bytes.len() - 1].is_ascii_lowercase()
}

/// Regions that are offered; the list of <https://cloud.google.com/compute/docs/regions-zones> in part.
pub(crate) const REGIONS: [&str; 12] = [
    "asia-northeast1",
    "asia-southeast1",
    "australia-southeast1",
    "europe-west1",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "southamerica-east1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-west1",
];

/// The three zones of a region that a regional cluster uses.
#[must_use]
pub(crate) fn zones_of(region: &str) -> Vec<String> {
    // These two have no zone a.
    let letters = if matches!(region, "europe-west1" | "us-east1") { ["b", "c", "d"] } else { ["a", "b", "c"] };
    letters.iter().map(|l| format!("{region}-{l}")).collect()
}

/// `2026-11-25T06:00:00.123456Z`.
#[must_use]
pub(crate) fn instant(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at).map(|t| t.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()).unwrap_or_default()
}

/// A fingerprint that changes with `content`.
#[must_use]
pub(crate) fn fingerprint(content: &str) -> String {
    STANDARD.encode(&Sha256::digest(content)[..8])
}

/// Eight hexadecimal digits that depend on `content` only, as names of what GKE makes end.
#[must_use]
pub(crate) fn hash_of(content: &str) -> String {
    Sha256::digest(content)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fingerprint of labels.
#[must_use]
pub(crate) fn label_fingerprint(labels: &Tags) -> String {
    let text: String = labels.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    fingerprint(&text)
}

/// A numeric id as Google's APIs write it.
#[must_use]
pub(crate) fn numeric(hex: &str) -> String {
    let number = u64::from_str_radix(hex.get(..15).unwrap_or(hex), 16).unwrap_or(0);
    (1_000_000_000_000_000_000 + number).to_string()
}

/// Labels in a JSON object.
#[must_use]
pub(crate) fn labels(value: Option<&Value>) -> Tags {
    let map = value.and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// A text of an object's document.
#[must_use]
pub(crate) fn doc_text<'a>(object: &'a Object, pointer: &str) -> &'a str {
    doc(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A value of an object's document.
#[must_use]
pub(crate) fn doc<'a>(object: &'a Object, pointer: &str) -> Option<&'a Value> {
    object.props.get("doc").and_then(|d| d.pointer(pointer))
}

/// The document of an object.
#[must_use]
pub(crate) fn document(object: &Object) -> Map<String, Value> {
    object.props.get("doc").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Changes fields of an object's document.
pub(crate) fn amend(object: &mut Object, act: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(doc) = object.props.get_mut("doc").and_then(Value::as_object_mut) {
        act(doc);
    }
}

/// Whether a name fits RFC 1035 as Google demands it, at most `longest` characters.
#[must_use]
pub(crate) fn is_name(name: &str, longest: usize) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= longest
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(fits)
}

/// The label that does not fit, if one does not:
/// <https://cloud.google.com/resource-manager/docs/creating-managing-labels#requirements>.
#[must_use]
pub(crate) fn bad_label(labels: &Tags) -> Option<&str> {
    let fits = |c: char| !c.is_uppercase() && (c.is_alphanumeric() || c == '-' || c == '_');
    let bad = |(k, v): &(&String, &String)| {
        k.is_empty()
            || k.len() > 63
            || v.len() > 63
            || !k.starts_with(char::is_alphabetic)
            || !k.chars().all(fits)
            || !v.chars().all(fits)
    };
    labels.iter().find(bad).map(|(k, _)| k.as_str())
}

#[cfg(test)]
mod tests {
    use super::{is_zone, region_of, relative, scope_of, zones_of};

    #[test]
    fn links_of_all_forms_mean_one_name() {
        for link in [
            "projects/p/global/networks/n",
            "https://www.googleapis.com/compute/v1/projects/p/global/networks/n",
            "http://127.0.0.1:1/compute/v1/projects/p/global/networks/n",
            "global/networks/n",
        ] {
            assert_eq!(relative(link, "p"), "projects/p/global/networks/n");
        }
    }

    #[test]
    fn places() {
        assert!(is_zone("europe-west1-b") && !is_zone("europe-west1"));
        assert_eq!(region_of("us-central1-a"), "us-central1");
        assert_eq!(scope_of("projects/p/zones/us-central1-a/disks/d"), "zones/us-central1-a");
        assert_eq!(scope_of("projects/p/global/networks/n"), "global");
        assert_eq!(zones_of("us-east1")[0], "us-east1-b");
    }
}
