//! The owner markers, as tags or labels: written in the create call, and the only proof of ownership.

use std::collections::{BTreeMap, HashMap};

use landlord_provider_api::{ErrorKind, MARKER_INSTALLATION, MARKER_ROLE, MARKER_TENANT_UID, ProviderError, v1};

/// Markers and labels by key.
pub type Tags = BTreeMap<String, String>;

/// Something that has tags.
pub trait Tagged {
    /// The value of a tag.
    fn tag(&self, key: &str) -> Option<&str>;
}

impl Tagged for BTreeMap<String, String> {
    fn tag(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<S: std::hash::BuildHasher> Tagged for HashMap<String, String, S> {
    fn tag(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<T: Tagged> Tagged for Option<&T> {
    fn tag(&self, key: &str) -> Option<&str> {
        self.and_then(|tagged| tagged.tag(key))
    }
}

/// What a cloud takes as a tag.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Labels of the scope on one object at most; the markers come on top.
    pub labels_max: usize,
    /// Whether the cloud takes a key.
    pub is_key: fn(&str) -> bool,
    /// Whether the cloud takes a value.
    pub is_value: fn(&str) -> bool,
}

/// The three markers of an object of `role`.
#[must_use]
pub fn of(scope: &v1::Scope, role: &str) -> Tags {
    let values = [
        (MARKER_INSTALLATION, scope.installation.as_str()),
        (MARKER_TENANT_UID, &scope.tenant_uid),
        (MARKER_ROLE, role),
    ];
    values.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// The markers of an object of `role`, and the scope's labels as far as the cloud takes them. A label never replaces a
/// marker.
#[must_use]
pub fn with_labels(scope: &v1::Scope, role: &str, limits: &Limits) -> Tags {
    let labels: BTreeMap<_, _> =
        scope.labels.iter().filter(|(key, value)| (limits.is_key)(key) && (limits.is_value)(value)).collect();
    let mut tags: Tags =
        labels.into_iter().take(limits.labels_max).map(|(key, value)| (key.clone(), value.clone())).collect();
    tags.extend(of(scope, role));
    tags
}

/// Whether an object carries the markers of this installation and this tenant. Without a tenant nothing is its.
#[must_use]
pub fn is_ours(scope: &v1::Scope, object: &impl Tagged) -> bool {
    !scope.tenant_uid.is_empty()
        && object.tag(MARKER_INSTALLATION) == Some(&scope.installation)
        && object.tag(MARKER_TENANT_UID) == Some(&scope.tenant_uid)
}

/// Whether an object carries the marker of this installation, and of the tenant if the scope names one.
#[must_use]
pub fn is_in_scope(scope: &v1::Scope, object: &impl Tagged) -> bool {
    object.tag(MARKER_INSTALLATION) == Some(&scope.installation)
        && (scope.tenant_uid.is_empty() || object.tag(MARKER_TENANT_UID) == Some(&scope.tenant_uid))
}

/// The inventory's entry of an object: role and tenant from its markers.
#[must_use]
pub fn owned(r#type: &str, id: &str, name: &str, region: &str, object: &impl Tagged) -> v1::OwnedObject {
    let tag = |key: &str| object.tag(key).unwrap_or_default().to_owned();
    v1::OwnedObject {
        r#type: r#type.to_owned(),
        id: id.to_owned(),
        name: name.to_owned(),
        role: tag(MARKER_ROLE),
        tenant_uid: tag(MARKER_TENANT_UID),
        region: region.to_owned(),
    }
}

/// NAME_TAKEN: an object that has our name and not our markers. `tags` says what the cloud calls markers.
#[must_use]
pub fn name_taken(what: &str, name: &str, tags: &str) -> ProviderError {
    let problem = format!("{what} {name} exists and does not carry this tenant's markers; it was not touched");
    ProviderError::new(ErrorKind::NameTaken, problem).with_remedy(format!(
        "find out who made {what} {name} and remove it, or, if it is this tenant's, give it the {tags} \
         {MARKER_INSTALLATION} and {MARKER_TENANT_UID}; then retry"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Limits, Tags, is_in_scope, is_ours, name_taken, owned, with_labels};
    use landlord_provider_api::v1::Scope;

    const LIMITS: Limits = Limits { labels_max: 1, is_key: |key| key != "odd", is_value: |value| !value.is_empty() };

    fn scope() -> Scope {
        let labels = [("landlord-role", "evil"), ("team", "blue"), ("odd", "x"), ("empty", "")];
        Scope {
            installation: "prod".to_owned(),
            tenant_uid: "u".to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Scope::default()
        }
    }

    #[test]
    fn labels_never_replace_markers_and_are_bounded() {
        let tags = with_labels(&scope(), "cluster", &LIMITS);
        assert_eq!(tags.get("landlord-role").map(String::as_str), Some("cluster"));
        assert_eq!(tags.len(), 3, "{tags:?}");
        let more = with_labels(&scope(), "cluster", &Limits { labels_max: 9, ..LIMITS });
        assert_eq!(more.get("team").map(String::as_str), Some("blue"));
        assert_eq!(more.len(), 4, "{more:?}");
    }

    #[test]
    fn ownership_needs_installation_and_tenant() {
        let tags = with_labels(&scope(), "cluster", &LIMITS);
        let other = Scope { installation: "test".to_owned(), ..scope() };
        let all = Scope { tenant_uid: String::new(), ..scope() };
        assert!(is_ours(&scope(), &tags) && is_ours(&scope(), &Some(&tags)));
        assert!(!is_ours(&other, &tags) && !is_ours(&all, &tags) && !is_ours(&scope(), &None::<&Tags>));
        assert!(is_in_scope(&all, &tags) && is_in_scope(&scope(), &tags) && !is_in_scope(&other, &tags));
        let shown = owned("cloud/cluster", "id", "name", "north-1", &tags);
        assert_eq!((shown.role.as_str(), shown.tenant_uid.as_str()), ("cluster", "u"));
        assert!(name_taken("cluster", "c", "labels").remedy.contains("the labels landlord-installation"));
    }
}
