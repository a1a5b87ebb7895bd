//! Owner markers as AWS tags: written in the create call, and the only proof of ownership.

use std::collections::{BTreeMap, HashMap};

use landlord_provider_api::{ErrorKind, MARKER_INSTALLATION, MARKER_ROLE, MARKER_TENANT_UID, ProviderError, v1};

/// AWS takes 50 tags an object and adds some itself; the markers need three.
const LABELS_MAX: usize = 30;
/// Longest key and value of a tag.
const KEY_LEN_MAX: usize = 128;
const VALUE_LEN_MAX: usize = 256;

/// Tags by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// All tags of an object of `role`: the markers, and the scope's labels as far as AWS takes them.
pub(crate) fn all(scope: &v1::Scope, role: &str) -> Tags {
    let mut tags: Tags = scope
        .labels
        .iter()
        .filter(|(key, value)| is_tag(key, KEY_LEN_MAX) && is_tag_value(value))
        .filter(|(key, _)| !key.to_ascii_lowercase().starts_with("aws:"))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .take(LABELS_MAX)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    tags.extend(markers(scope, role));
    tags
}

/// The three markers.
pub(crate) fn markers(scope: &v1::Scope, role: &str) -> Tags {
    Tags::from([
        (MARKER_INSTALLATION.to_owned(), scope.installation.clone()),
        (MARKER_TENANT_UID.to_owned(), scope.tenant_uid.clone()),
        (MARKER_ROLE.to_owned(), role.to_owned()),
    ])
}

fn is_tag(text: &str, max: usize) -> bool {
    let count = text.chars().count();
    (1..=max).contains(&count) && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
}

fn is_tag_value(text: &str) -> bool {
    text.is_empty() || is_tag(text, VALUE_LEN_MAX)
}

/// Whether tags carry this installation's and this tenant's markers.
pub(crate) fn is_ours<'a>(scope: &v1::Scope, get: impl Fn(&str) -> Option<&'a str>) -> bool {
    get(MARKER_INSTALLATION) == Some(&scope.installation) && get(MARKER_TENANT_UID) == Some(&scope.tenant_uid)
}

/// [`is_ours`] for the map that EKS answers with.
pub(crate) fn map_is_ours(scope: &v1::Scope, tags: Option<&HashMap<String, String>>) -> bool {
    is_ours(scope, |key| tags.and_then(|t| t.get(key)).map(String::as_str))
}

/// The error for an object that has our name and not our marker.
pub(crate) fn name_taken(what: &str, name: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::NameTaken,
        format!("{what} {name} exists and does not carry this tenant's markers; it was not touched"),
    )
    .with_remedy(format!(
        "find out who made {what} {name} and remove it, or, if it is this tenant's, give it the tags \
         {MARKER_INSTALLATION} and {MARKER_TENANT_UID}; then retry"
    ))
}

#[cfg(test)]
mod tests {
    use super::{all, is_ours};
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
        assert!(is_ours(&scope, |k| tags.get(k).map(String::as_str)));
        let other = Scope { installation: "test".to_owned(), ..scope };
        assert!(!is_ours(&other, |k| tags.get(k).map(String::as_str)));
    }
}
