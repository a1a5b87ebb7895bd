//! Resource ids as ARM reads them: without regard to case, types and names in turn.
//!
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>: names are compared without
//! case; responses keep the case of whoever created the resource.

use super::kind::AzureKind;
use cloudsim_core::scope_key::{GLOBAL, ScopeKey};

/// A path below `/subscriptions/…`, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// The subscription as sent.
    pub(crate) subscription: String,
    /// The resource group as sent.
    pub(crate) group: Option<String>,
    /// What stands before the last `/providers/`: the scope of an extension resource.
    pub(crate) scope: String,
    /// `Microsoft.Network` as sent; empty for Resource Manager's own.
    pub(crate) namespace: String,
    /// Types within the namespace.
    pub(crate) types: Vec<String>,
    /// Names, one for each type; one less if a collection is meant.
    pub(crate) names: Vec<String>,
}

impl Target {
    /// Takes a path apart; `None` if it does not begin with a subscription.
    #[must_use]
    pub(crate) fn parse(segments: &[String]) -> Option<Self> {
        let is = |at: usize, word: &str| segments.get(at).is_some_and(|s| s.eq_ignore_ascii_case(word));
        if !is(0, "subscriptions") {
            return None;
        }
        let mut target = Self { subscription: segments.get(1)?.clone(), ..Self::default() };
        let grouped = is(2, "resourceGroups");
        if grouped {
            target.group = segments.get(3).cloned();
        }
        let Some(at) = segments.iter().rposition(|s| s.eq_ignore_ascii_case("providers")) else {
            target.scope = join(segments);
            let rest = if grouped { 4 } else { 2 };
            if grouped && segments.len() <= 4 {
                target.types = vec!["resourceGroups".to_owned()];
                target.names = segments.get(3).cloned().into_iter().collect();
            } else {
                let (types, names) = alternate(segments.get(rest..).unwrap_or_default());
                (target.types, target.names) = (types, names);
            }
            return Some(target);
        };
        target.scope = join(&segments[..at]);
        if at + 1 == segments.len() {
            target.types = vec!["providers".to_owned()];
            return Some(target);
        }
        target.namespace = segments.get(at + 1).cloned().unwrap_or_default();
        (target.types, target.names) = alternate(segments.get(at + 2..).unwrap_or_default());
        Some(target)
    }

    /// The id of the resource as sent.
    #[must_use]
    pub(crate) fn id(&self) -> String {
        if self.namespace.is_empty() {
            return self.scope.clone();
        }
        let mut id = format!("{}/providers/{}", self.scope, self.namespace);
        for (kind, name) in self.types.iter().zip(&self.names) {
            id.push_str(&format!("/{kind}/{name}"));
        }
        id
    }

    /// The id by which the resource is kept.
    #[must_use]
    pub(crate) fn key(&self) -> String {
        self.id().to_lowercase()
    }

    /// The id of the resource that this one lies in.
    #[must_use]
    pub(crate) fn parent_key(&self) -> String {
        let key = self.key();
        let mut parts = key.rsplitn(3, '/');
        let (_, _, parent) = (parts.next(), parts.next(), parts.next());
        parent.unwrap_or_default().to_owned()
    }

    /// The types joined in lower case: `virtualnetworks/subnets`.
    #[must_use]
    pub(crate) fn type_path(&self) -> String {
        self.types.join("/").to_lowercase()
    }

    /// Whether a collection is meant.
    #[must_use]
    pub(crate) fn is_collection(&self) -> bool {
        self.types.len() > self.names.len()
    }

    /// The kind of resource.
    #[must_use]
    pub(crate) fn kind(&self) -> Option<AzureKind> {
        let namespace = if self.namespace.is_empty() { "microsoft.resources" } else { &self.namespace };
        AzureKind::find(namespace, &self.type_path())
    }

    /// The last name, empty for a collection of the subscription or group.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// The group as sent, empty if none.
    #[must_use]
    pub(crate) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }
}

fn join(segments: &[String]) -> String {
    segments.iter().fold(String::new(), |id, s| id + "/" + s)
}

fn alternate(segments: &[String]) -> (Vec<String>, Vec<String>) {
    let types = segments.iter().step_by(2).cloned().collect();
    let names = segments.iter().skip(1).step_by(2).cloned().collect();
    (types, names)
}

/// The group in a resource id, in lower case.
#[must_use]
pub(crate) fn group_of(id: &str) -> Option<String> {
    let mut parts = id.split('/').filter(|s| !s.is_empty());
    let found = parts.by_ref().nth(2)?.eq_ignore_ascii_case("resourceGroups");
    found.then(|| parts.next().map(str::to_lowercase)).flatten()
}

/// The subscription in a resource id, in lower case.
#[must_use]
pub(crate) fn subscription_of(id: &str) -> Option<String> {
    let mut parts = id.split('/').filter(|s| !s.is_empty());
    let found = parts.next()?.eq_ignore_ascii_case("subscriptions");
    found.then(|| parts.next().map(str::to_lowercase)).flatten()
}

/// The id of a resource group.
#[must_use]
pub(crate) fn group_id(subscription: &str, group: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}")
}

/// The last segment of an id.
#[must_use]
pub(crate) fn leaf(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

/// The scope that a cluster lies in.
#[must_use]
pub(crate) fn cluster_scope(id: &str) -> Option<ScopeKey> {
    subscription_of(id).map(|subscription| ScopeKey::new(&subscription, GLOBAL))
}

#[cfg(test)]
mod tests {
    use super::{Target, group_of, subscription_of};
    use crate::kind::AzureKind;

    fn target(path: &str) -> Target {
        let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        Target::parse(&segments).expect("a target")
    }

    #[test]
    fn paths_are_taken_apart() {
        for (path, kind, name, collection) in [
            ("/subscriptions/s/resourceGroups/G", Some(AzureKind::ResourceGroup), "G", false),
            ("/subscriptions/s/resourcegroups", Some(AzureKind::ResourceGroup), "", true),
            ("/subscriptions/s/resources", None, "", true),
            ("/subscriptions/s/providers", None, "", true),
            ("/subscriptions/s/resourceGroups/G/resources", None, "", true),
            (
                "/subscriptions/s/resourceGroups/G/providers/microsoft.network/virtualnetworks/v/subnets",
                Some(AzureKind::Subnet),
                "v",
                true,
            ),
            (
                "/subscriptions/s/resourceGroups/G/providers/Microsoft.Network/dnsZones/z/TXT/@",
                Some(AzureKind::DnsRecordSet),
                "@",
                false,
            ),
        ] {
            let target = target(path);
            assert_eq!((target.kind(), target.name(), target.is_collection()), (kind, name, collection), "{path}");
        }
        let zone = "/subscriptions/s/resourceGroups/G/providers/Microsoft.Network/dnsZones/z";
        let role = target(&format!("{zone}/providers/Microsoft.Authorization/roleAssignments/r"));
        assert_eq!((role.kind(), role.scope.as_str()), (Some(AzureKind::RoleAssignment), zone));
        assert_eq!(target(&format!("{zone}/A/www")).parent_key(), zone.to_lowercase());
        assert_eq!((group_of(zone).as_deref(), subscription_of(zone).as_deref()), (Some("g"), Some("s")));
    }
}
