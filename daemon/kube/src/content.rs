//! Everything that is in a namespace, in every API that responds.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};

use crate::error::{Doing as _, Result};

/// What responds, and what does not.
#[derive(Debug, Default)]
pub struct Content {
    /// Objects in the namespace, being deleted or not, with their kind.
    pub objects: Vec<(ApiResource, DynamicObject)>,
    /// Group and version of APIs that did not respond.
    pub silent: Vec<String>,
}

/// Lists everything in the namespace. Reads only; costs one request for each kind that the cluster serves.
///
/// # Errors
/// What the API server says, but for single API groups that do not respond.
pub async fn content(client: &Client, name: &str) -> Result<Content> {
    let mut found = Content::default();
    let core = client.list_core_api_resources("v1").await.doing(|| "asking for the core resources".into())?;
    let mut lists = vec![("v1".to_owned(), core)];
    let groups = client.list_api_groups().await.doing(|| "asking for the API groups".into())?;
    for group in groups.groups {
        let preferred = group.preferred_version.or_else(|| group.versions.into_iter().next());
        let Some(version) = preferred.map(|version| version.group_version) else { continue };
        match client.list_api_group_resources(&version).await {
            Ok(list) => lists.push((version, list)),
            Err(_) => found.silent.push(version),
        }
    }
    for (version, list) in lists {
        for resource in list.resources {
            let listed = resource.namespaced && !resource.name.contains('/');
            if !listed || !["list", "delete"].iter().all(|verb| resource.verbs.iter().any(|known| known == verb)) {
                continue;
            }
            let (group, version_only) = version.split_once('/').unwrap_or(("", &version));
            let kind = GroupVersionKind::gvk(group, version_only, &resource.kind);
            let of_kind = ApiResource::from_gvk_with_plural(&kind, &resource.name);
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), name, &of_kind);
            match api.list(&ListParams::default()).await {
                Ok(objects) => found.objects.extend(objects.items.into_iter().map(|object| (of_kind.clone(), object))),
                Err(kube::Error::Api(status)) if [404, 405].contains(&status.code) => {}
                Err(source) => return Err(source).doing(|| format!("listing {} in {name}", resource.name)),
            }
        }
    }
    Ok(found)
}
