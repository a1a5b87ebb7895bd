//! Owner markers: labels where Google Cloud has them, a JSON object in the description where it
//! has none (networks, subnetworks, routers, firewalls). Written in the create call, and the only
//! proof of ownership.

use std::collections::HashMap;

use landlord_provider_api::{ProviderError, v1};
use landlord_provider_sdk::markers::{self, Limits};
pub(crate) use landlord_provider_sdk::markers::{is_in_scope, is_ours};

/// Google takes 64 labels an object; the markers need three and GKE adds some itself.
const LIMITS: Limits = Limits { labels_max: 30, is_key, is_value: is_text };
/// Longest key and value of a label:
/// <https://cloud.google.com/compute/docs/labeling-resources#restrictions>.
const LABEL_LEN_MAX: usize = 63;

/// What Google calls them.
const TAGS: &str = "markers (labels, or a JSON object as its description)";

/// Labels by key.
pub(crate) type Labels = HashMap<String, String>;

/// All labels of an object of `role`: the markers, and the scope's labels as far as Google takes
/// them.
pub(crate) fn labels(scope: &v1::Scope, role: &str) -> Labels {
    markers::with_labels(scope, role, &LIMITS).into_iter().collect()
}

/// The markers as a description.
pub(crate) fn description(scope: &v1::Scope, role: &str) -> String {
    serde_json::json!(markers::of(scope, role)).to_string()
}

/// The markers in a description; empty if it holds none.
pub(crate) fn of_description(text: &str) -> Labels {
    serde_json::from_str(text).unwrap_or_default()
}

fn is_text(text: &str) -> bool {
    text.len() <= LABEL_LEN_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_key(text: &str) -> bool {
    is_text(text) && text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.starts_with("goog")
}

/// The inventory's view of an object with these markers.
pub(crate) fn owned(kind: &str, id: &str, name: &str, labels: &Labels, region: &str) -> v1::OwnedObject {
    markers::owned(kind, id, name, region, labels)
}

/// The error for an object that has our name and not our marker.
pub(crate) fn name_taken(what: &str, name: &str) -> ProviderError {
    markers::name_taken(what, name, TAGS)
}

#[cfg(test)]
mod tests {
    use super::{description, is_ours, labels, of_description};
    use landlord_provider_api::v1::Scope;

    fn scope() -> Scope {
        let labels = [("landlord-role", "evil"), ("goog-x", "1"), ("team", "blue"), ("odd", "A b"), ("1st", "x")];
        Scope {
            installation: "prod".to_owned(),
            tenant_uid: "u".to_owned(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect(),
            ..Scope::default()
        }
    }

    #[test]
    fn labels_never_override_markers_and_odd_ones_are_left_out() {
        let scope = scope();
        let all = labels(&scope, "cluster");
        assert_eq!(all.get("landlord-role").map(String::as_str), Some("cluster"));
        assert_eq!(all.get("team").map(String::as_str), Some("blue"));
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(is_ours(&scope, &all));
        assert!(!is_ours(&Scope { installation: "test".to_owned(), ..scope }, &all));
    }

    #[test]
    fn a_description_holds_the_markers_and_prose_holds_none() {
        let scope = scope();
        let text = description(&scope, "network");
        assert_eq!(text, r#"{"landlord-installation":"prod","landlord-role":"network","landlord-tenant-uid":"u"}"#);
        assert!(is_ours(&scope, &of_description(&text)));
        for other in ["", "the network of u", r#"{"landlord-installation":"prod"}"#, "[1]"] {
            assert!(!is_ours(&scope, &of_description(other)), "{other}");
        }
    }
}
