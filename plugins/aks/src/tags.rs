//! Owner markers as tags: written in the create call, and the only proof of ownership. Record
//! sets carry them as metadata, role assignments as a description.

use landlord_provider_api::{ProviderError, v1};
use landlord_provider_sdk::markers::{self, Limits};
pub(crate) use landlord_provider_sdk::markers::{Tags, is_ours, of};

/// Azure takes 50 tags an object, and AKS hands a cluster's on to objects that have some of
/// their own: <https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources>.
const LIMITS: Limits = Limits { labels_max: 10, is_key, is_value };
/// Longest key (a storage account's, the shortest of all) and value of a tag.
const KEY_LEN_MAX: usize = 128;
const VALUE_LEN_MAX: usize = 256;

/// All tags of an object of `role`: the markers, and the scope's labels as far as Azure takes
/// them.
pub(crate) fn all(scope: &v1::Scope, role: &str) -> Tags {
    markers::with_labels(scope, role, &LIMITS)
}

/// The markers in one line, for what has no tags.
pub(crate) fn line(scope: &v1::Scope, role: &str) -> String {
    let pairs: Vec<String> = of(scope, role).iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(" ")
}

/// Whether a [`line()`] is this tenant's, whatever its role.
pub(crate) fn line_is_ours(scope: &v1::Scope, line: &str) -> bool {
    let tags: Tags =
        line.split(' ').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    is_ours(scope, &tags)
}

fn is_key(text: &str) -> bool {
    let reserved = ["microsoft", "azure", "windows", "hidden-", "aks-managed", "landlord-building"];
    let lower = text.to_ascii_lowercase();
    (1..=KEY_LEN_MAX).contains(&text.chars().count())
        && !text.chars().any(|c| c.is_control() || "<>%&\\?/".contains(c))
        && !reserved.iter().any(|prefix| lower.starts_with(prefix))
}

fn is_value(text: &str) -> bool {
    text.chars().count() <= VALUE_LEN_MAX && !text.chars().any(char::is_control)
}

/// The error for an object that has our name and not our marker.
pub(crate) fn name_taken(what: &str, name: &str) -> ProviderError {
    markers::name_taken(what, name, "tags")
}

#[cfg(test)]
mod tests {
    use super::{all, line, line_is_ours};
    use landlord_provider_api::v1::Scope;

    fn scope() -> Scope {
        let labels = [("landlord-role", "evil"), ("azure-x", "1"), ("team", "blue"), ("odd", "a\nb"), ("a/b", "x")];
        Scope {
            installation: "prod".to_owned(),
            tenant_uid: "u".to_owned(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect(),
            ..Scope::default()
        }
    }

    #[test]
    fn labels_never_override_markers_and_odd_ones_are_left_out() {
        let tags = all(&scope(), "cluster");
        assert_eq!(tags.get("landlord-role").map(String::as_str), Some("cluster"));
        assert_eq!(tags.get("team").map(String::as_str), Some("blue"));
        assert_eq!(tags.len(), 4, "{tags:?}");
    }

    #[test]
    fn a_line_carries_the_markers() {
        let text = line(&scope(), "assignment");
        assert!(line_is_ours(&scope(), &text), "{text}");
        assert!(!line_is_ours(&Scope { tenant_uid: "v".to_owned(), ..scope() }, &text));
        assert!(!line_is_ours(&scope(), "made by hand"));
    }
}
