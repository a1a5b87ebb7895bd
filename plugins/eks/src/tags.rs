//! Owner markers as AWS tags: written in the create call, and the only proof of ownership.

use landlord_provider_api::{ProviderError, v1};
use landlord_provider_sdk::markers::{self, Limits};
pub(crate) use landlord_provider_sdk::markers::{Tags, is_ours, of};

/// AWS takes 50 tags an object and adds some itself; the markers need three.
const LIMITS: Limits = Limits {
    labels_max: 30,
    is_key: |key| is_tag(key, KEY_LEN_MAX) && !key.to_ascii_lowercase().starts_with("aws:"),
    is_value: |value| value.is_empty() || is_tag(value, VALUE_LEN_MAX),
};
/// Longest key and value of a tag.
const KEY_LEN_MAX: usize = 128;
const VALUE_LEN_MAX: usize = 256;

/// All tags of an object of `role`: the markers, and the scope's labels as far as AWS takes them.
pub(crate) fn all(scope: &v1::Scope, role: &str) -> Tags {
    markers::with_labels(scope, role, &LIMITS)
}

fn is_tag(text: &str, max: usize) -> bool {
    let count = text.chars().count();
    (1..=max).contains(&count) && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
}

/// The error for an object that has our name and not our marker.
pub(crate) fn name_taken(what: &str, name: &str) -> ProviderError {
    markers::name_taken(what, name, "tags")
}

#[cfg(test)]
mod tests {
    use super::all;
    use landlord_provider_api::v1::Scope;

    #[test]
    fn labels_never_override_markers_and_odd_ones_are_left_out() {
        let labels = [("landlord-role", "evil"), ("aws:x", "1"), ("team", "blue"), ("odd", "a\nb")];
        let scope = Scope {
            installation: "prod".to_owned(),
            tenant_uid: "u".to_owned(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect(),
            ..Scope::default()
        };
        let tags = all(&scope, "cluster");
        assert_eq!(tags.get("landlord-role").map(String::as_str), Some("cluster"));
        assert_eq!(tags.get("team").map(String::as_str), Some("blue"));
        assert_eq!(tags.len(), 4, "{tags:?}");
    }
}
