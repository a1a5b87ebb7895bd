//! Owner markers: labels where Google Cloud has them, a JSON object in the description where it
//! has none (networks, subnetworks, routers, firewalls). Written in the create call, and the only
//! proof of ownership.

use std::collections::{BTreeMap, HashMap};

use landlord_provider_api::{ErrorKind, MARKER_INSTALLATION, MARKER_ROLE, MARKER_TENANT_UID, ProviderError, v1};

/// Google takes 64 labels an object; the markers need three and GKE adds some itself.
const LABELS_MAX: usize = 30;
/// Longest key and value of a label:
/// <https://cloud.google.com/compute/docs/labeling-resources#restrictions>.
const LABEL_LEN_MAX: usize = 63;

/// Labels by key.
pub(crate) type Labels = HashMap<String, String>;

/// All labels of an object of `role`: the markers, and the scope's labels as far as Google takes
/// them.
pub(crate) fn labels(scope: &v1::Scope, role: &str) -> Labels {
    let mut labels: Labels = scope
        .labels
        .iter()
        .filter(|(key, value)| is_key(key) && is_value(value))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .take(LABELS_MAX)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    labels.extend(markers(scope, role));
    labels
}

/// The three markers.
fn markers(scope: &v1::Scope, role: &str) -> [(String, String); 3] {
    [
        (MARKER_INSTALLATION.to_owned(), scope.installation.clone()),
        (MARKER_TENANT_UID.to_owned(), scope.tenant_uid.clone()),
        (MARKER_ROLE.to_owned(), role.to_owned()),
    ]
}

/// The markers as a description.
pub(crate) fn description(scope: &v1::Scope, role: &str) -> String {
    let sorted: BTreeMap<_, _> = markers(scope, role).into_iter().collect();
    serde_json::json!(sorted).to_string()
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

fn is_value(text: &str) -> bool {
    is_text(text)
}

/// Whether labels carry this installation's and this tenant's markers.
pub(crate) fn is_ours(scope: &v1::Scope, labels: &Labels) -> bool {
    labels.get(MARKER_INSTALLATION) == Some(&scope.installation)
        && labels.get(MARKER_TENANT_UID) == Some(&scope.tenant_uid)
        && !scope.tenant_uid.is_empty()
}

/// Whether labels carry this installation's marker, and, if the scope names a tenant, its marker.
pub(crate) fn in_scope(scope: &v1::Scope, labels: &Labels) -> bool {
    let uid = labels.get(MARKER_TENANT_UID);
    labels.get(MARKER_INSTALLATION) == Some(&scope.installation)
        && (scope.tenant_uid.is_empty() || uid == Some(&scope.tenant_uid))
}

/// The inventory's view of an object with these markers.
pub(crate) fn owned(kind: &str, id: &str, name: &str, labels: &Labels, region: &str) -> v1::OwnedObject {
    let get = |key: &str| labels.get(key).cloned().unwrap_or_default();
    v1::OwnedObject {
        r#type: kind.to_owned(),
        id: id.to_owned(),
        name: name.to_owned(),
        role: get(MARKER_ROLE),
        tenant_uid: get(MARKER_TENANT_UID),
        region: region.to_owned(),
    }
}

/// The error for an object that has our name and not our marker.
pub(crate) fn name_taken(what: &str, name: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::NameTaken,
        format!("{what} {name} exists and does not carry this tenant's markers; it was not touched"),
    )
    .with_remedy(format!(
        "find out who made {what} {name} and remove it, or, if it is this tenant's, give it the markers \
         {MARKER_INSTALLATION} and {MARKER_TENANT_UID} (labels, or a JSON object as its description); then retry"
    ))
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
