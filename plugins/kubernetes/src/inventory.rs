//! What carries landlord's markers in the adopted cluster. Lists only what is not inside of a
//! namespace: everything else goes with its namespace.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use landlord_provider_api::{MARKER_INSTALLATION, MARKER_ROLE, MARKER_TENANT_UID, ProviderError, v1};

use crate::{
    error::{during, invalid},
    session::Session,
};

/// Group, version, kind, plural.
const KINDS: [(&str, &str, &str, &str); 6] = [
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "PersistentVolume", "persistentvolumes"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
];
/// Objects on one page. Metadata has a KiB or two each.
const PAGE: u32 = 500;

/// Where a page begins: a kind, and the API server's own token within it. Written as `KIND.TOKEN`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Position {
    kind: usize,
    token: String,
}

impl Position {
    fn parse(text: &str) -> Result<Self, ProviderError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let parts = text.split_once('.').and_then(|(kind, token)| Some((kind.parse().ok()?, token.to_owned())));
        match parts {
            Some((kind, token)) if kind < KINDS.len() => Ok(Self { kind, token }),
            _ => Err(invalid("the page token is not one of this provider's", "list from the first page")),
        }
    }
}

/// A page of the inventory: of one tenant, or of the whole installation.
///
/// # Errors
/// As the API server's response says. A kind that it does not have holds nothing of ours.
pub(crate) async fn list(
    session: &Session,
    scope: &v1::Scope,
    page_token: &str,
) -> Result<v1::ListOwnedResponse, ProviderError> {
    let mut position = Position::parse(page_token)?;
    let mut selector = format!("{MARKER_INSTALLATION}={},{MARKER_TENANT_UID}", scope.installation);
    if !scope.tenant_uid.is_empty() {
        selector = format!("{selector}={}", scope.tenant_uid);
    }
    let mut objects = Vec::new();
    while let Some((group, version, kind, plural)) = KINDS.get(position.kind).copied() {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::all_with(session.client.clone(), &resource);
        let mut params = ListParams::default().labels(&selector).limit(PAGE);
        params.continue_token = (!position.token.is_empty()).then(|| position.token.clone());
        let page = match api.list_metadata(&params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            page => Some(page.map_err(during(&format!("listing {plural}")))?),
        };
        let mut token = String::new();
        if let Some(page) = page {
            token = page.metadata.continue_.unwrap_or_default();
            let names = page.items.into_iter().map(|object| object.metadata);
            objects.extend(names.map(|metadata| {
                let labels = metadata.labels.unwrap_or_default();
                let name = metadata.name.unwrap_or_default();
                let path =
                    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
                v1::OwnedObject {
                    r#type: kind.to_owned(),
                    id: format!("{path}/{plural}/{name}"),
                    name,
                    role: labels.get(MARKER_ROLE).cloned().unwrap_or_default(),
                    tenant_uid: labels.get(MARKER_TENANT_UID).cloned().unwrap_or_default(),
                    region: scope.region.clone(),
                }
            }));
        }
        if token.is_empty() {
            position = Position { kind: position.kind + 1, token };
        } else {
            position.token = token;
        }
        let more = position.kind < KINDS.len();
        if more && objects.len() >= PAGE as usize {
            let next_page_token = format!("{}.{}", position.kind, position.token);
            return Ok(v1::ListOwnedResponse { objects, next_page_token });
        }
    }
    Ok(v1::ListOwnedResponse { objects, next_page_token: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens_are_read_back() {
        assert_eq!(Position::parse("").unwrap(), Position::default());
        assert_eq!(Position::parse("3.").unwrap(), Position { kind: 3, token: String::new() });
        assert_eq!(Position::parse("0.a.b=").unwrap(), Position { kind: 0, token: "a.b=".into() });
        for text in ["6.", "x.", "3", "-1.", "."] {
            assert!(Position::parse(text).is_err(), "{text}");
        }
    }
}
