//! The Gateway API's custom resources, applied to clusters that have none.
//!
//! Each carries the digest of the manifest that it came from and the installation that brought it along: only that one
//! changes or removes it. Two installations that both kept them up to date would take turns for ever, and so would landlord and a
//! cloud that keeps them in its clusters: <https://gateway-api.sigs.k8s.io/guides/crd-management>.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use landlord_core::ports::DeployTarget;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    GROUP,
    routing::{ROUTES, served},
};
use crate::{
    error::{Doing as _, Error, Result},
    file,
    markers::FIELD_MANAGER,
    object::{self, DEFINITION},
    yaml,
};

/// Annotation: which manifest a CRD was applied from.
const DIGEST_ANNOTATION: &str = "landlord.dev/digest";
/// Annotation: which installation brought a CRD along. Only it changes or removes it.
pub const OWNER_ANNOTATION: &str = "landlord.dev/installation";
/// The Gateway API's CRDs have about 1 MB.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Digits of a manifest's digest.
const DIGEST_DIGITS: usize = 32;

/// Custom resources to bring along, as read at start.
#[derive(Debug, Clone)]
pub struct Crds {
    documents: Vec<Value>,
    digest: String,
}

impl Crds {
    /// Reads a YAML file of any number of objects.
    ///
    /// # Errors
    /// [`Error::Manifest`]: unreadable, too large, no YAML, or no custom resource in it.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |problem: String| Error::Manifest { problem: format!("{}: {problem}", path.display()) };
        let text = file::text(path, BYTES_MAX).map_err(|error| bad(error.to_string()))?;
        Self::parse(&text).map_err(|error| bad(error.to_string()))
    }

    /// Parses a YAML file of any number of objects.
    ///
    /// # Errors
    /// [`Error::Manifest`]: no YAML, or no custom resource in it.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |problem: String| Error::Manifest { problem };
        let documents = yaml::documents(text).map_err(bad)?;
        if !documents.iter().any(is_definition) {
            return Err(bad("it holds no CustomResourceDefinition".into()));
        }
        let mut digest = hex::encode(Sha256::digest(text));
        digest.truncate(DIGEST_DIGITS);
        Ok(Self { documents, digest })
    }

    /// Whether an object is as these have it.
    fn are_in(&self, annotations: &BTreeMap<String, String>) -> bool {
        annotations.get(DIGEST_ANNOTATION) == Some(&self.digest)
    }
}

/// Annotations of the custom resources that a cluster has, by name.
type Found = BTreeMap<String, BTreeMap<String, String>>;

/// Applies the Gateway API's CRDs, if there are any to apply; says what is being waited for.
///
/// # Errors
/// What the API server says.
pub async fn ensure(client: &Client, target: &DeployTarget, crds: Option<&Crds>) -> Result<Option<String>> {
    let Some(crds) = crds else { return Ok(None) };
    let found = found(client).await?;
    // On a cluster for many, whoever brought the Gateway API along keeps it.
    let applied = if target.cluster.shared().is_none() || is_ours_in_part(&found, crds, &target.installation) {
        ensure_crds(client, crds, &target.installation, &found).await?
    } else {
        BTreeSet::new()
    };
    learned(client, &brought(crds, &target.installation, &found, &applied)).await
}

/// The same for a cluster that landlord made, where nobody but its cloud may have brought the Gateway API along.
///
/// # Errors
/// What the API server says.
pub async fn ensure_own(client: &Client, installation: &str, crds: Option<&Crds>) -> Result<Option<String>> {
    let Some(crds) = crds else { return Ok(None) };
    let found = found(client).await?;
    let applied = ensure_crds(client, crds, installation, &found).await?;
    learned(client, &brought(crds, installation, &found, &applied)).await
}

/// Resources of the Gateway API's stable version whose definitions this installation has brought, by now.
fn brought<'a>(crds: &'a Crds, installation: &str, found: &Found, applied: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let is_stable = |document: &&Value| {
        let versions = document.pointer("/spec/versions").and_then(Value::as_array);
        text(document, "/spec/group") == GROUP
            && versions.into_iter().flatten().any(|version| version["name"] == "v1" && version["served"] == true)
    };
    let is_ours = |name: &str| {
        let own = found.get(name);
        applied.contains(name) || own.is_some_and(|own| is_brought(own, installation) && crds.are_in(own))
    };
    let own = crds.documents.iter().filter(is_stable).filter(|document| is_ours(name(document)));
    own.map(|document| text(document, "/spec/names/plural")).collect()
}

/// Not only once routes are known: what was renewed serves its new kinds a moment later, and a tenant would be put where the older ones
/// have it.
async fn learned(client: &Client, brought: &BTreeSet<&str>) -> Result<Option<String>> {
    let served = served(client).await?;
    let is_known = |name: &str| served.iter().any(|served| served == name);
    let learning = brought.iter().copied().chain([ROUTES]).find(|name| !is_known(name));
    Ok(learning.map(|name| format!("the API server is learning {name} of the Gateway API")))
}

/// One observation, since every tenant's pass makes one, and every release of a platform.
async fn found(client: &Client) -> Result<Found> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = api.list_metadata(&ListParams::default()).await.doing(|| "listing custom resources".into())?;
    let metadata = found.items.into_iter().map(|found| found.metadata);
    Ok(metadata.filter_map(|known| Some((known.name?, known.annotations.unwrap_or_default()))).collect())
}

/// Whether something of what this installation brought along is missing or older, or nobody brought anything. Not where any of it is
/// somebody else's: two installations that both kept them up to date would take turns for ever.
fn is_ours_in_part(found: &Found, crds: &Crds, installation: &str) -> bool {
    let known: Vec<_> =
        crds.documents.iter().filter(|one| is_definition(one)).map(|one| found.get(name(one))).collect();
    known.iter().flatten().all(|annotations| is_brought(annotations, installation))
        && !known.iter().all(|known| known.is_some_and(|annotations| crds.are_in(annotations)))
}

/// What is missing is applied, and what is of this installation is brought to the manifest. Definitions that somebody else keeps stay
/// as they are, and then nothing but missing definitions is added: the manifest's admission policy would refuse older ones to whoever
/// keeps them. The names of what was applied.
async fn ensure_crds<'a>(
    client: &Client,
    crds: &'a Crds,
    installation: &str,
    found: &Found,
) -> Result<BTreeSet<&'a str>> {
    let mut brought = BTreeSet::new();
    let is_others = |document: &Value| {
        is_definition(document)
            && found.get(name(document)).is_some_and(|annotations| !is_of(annotations, installation))
    };
    let are_others = crds.documents.iter().any(is_others);
    for document in crds.documents.iter().filter(|document| is_definition(document) || !are_others) {
        let (kind, name) = (text(document, "/kind"), name(document));
        let api: Api<DynamicObject> =
            Api::all_with(client.clone(), &object::resource(text(document, "/apiVersion"), kind));
        let known = if is_definition(document) {
            found.get(name).cloned()
        } else {
            let known = api.get_metadata_opt(name).await.doing(|| format!("reading {kind} {name}"))?;
            known.map(|known| known.metadata.annotations.unwrap_or_default())
        };
        if known.is_some_and(|annotations| !is_of(&annotations, installation) || crds.are_in(&annotations)) {
            continue;
        }
        let mut wanted = document.clone();
        wanted["metadata"]["annotations"][DIGEST_ANNOTATION] = json!(crds.digest);
        wanted["metadata"]["annotations"][OWNER_ANNOTATION] = json!(installation);
        let applied = api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&wanted)).await;
        applied.doing(|| format!("applying {kind} {name} of the Gateway API"))?;
        brought.insert(name);
    }
    Ok(brought)
}

fn is_definition(document: &Value) -> bool {
    document["kind"] == DEFINITION
}

fn name(document: &Value) -> &str {
    text(document, "/metadata/name")
}

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether an object was brought along by this installation, which is named on it.
#[must_use]
pub fn is_brought(annotations: &BTreeMap<String, String>, installation: &str) -> bool {
    annotations.contains_key(OWNER_ANNOTATION) && is_of(annotations, installation)
}

/// The same, or by one of before, when they were not named by their installation.
fn is_of(annotations: &BTreeMap<String, String>, installation: &str) -> bool {
    let is_own = annotations.get(OWNER_ANNOTATION).is_none_or(|owner| owner == installation);
    is_own && annotations.contains_key(DIGEST_ANNOTATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crds_are_recognised() {
        assert!(Crds::parse("kind: ConfigMap").is_err());
        let crds = Crds::parse("---\n# nothing\n---\nkind: CustomResourceDefinition\n").unwrap();
        assert_eq!(crds.documents.len(), 1);
    }

    /// Somebody else's older ones never serve what this manifest would: nobody waits for that.
    #[test]
    fn what_is_waited_for_is_what_this_installation_brought() {
        let definition = |plural: &str, version: &str| {
            format!(
                "---\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.{GROUP}}}\nspec: {{group: {GROUP}, names: {{plural: {plural}}}, \
                 versions: [{{name: {version}, served: true}}]}}\n"
            )
        };
        let manifest = [("listenersets", "v1"), ("gateways", "v1"), ("tcproutes", "v1alpha2")];
        let manifest: String = manifest.map(|(plural, version)| definition(plural, version)).concat();
        let crds = Crds::parse(&manifest).unwrap();
        let name = format!("listenersets.{GROUP}");
        let found = |owner: &str| -> Found {
            let annotations = [(OWNER_ANNOTATION, owner), (DIGEST_ANNOTATION, crds.digest.as_str())];
            [(name.clone(), annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into())].into()
        };
        let none = BTreeSet::new();
        assert!(brought(&crds, "own", &found("else"), &none).is_empty());
        assert_eq!(brought(&crds, "own", &found("own"), &none), BTreeSet::from(["listenersets"]));
        let applied = crds.documents.iter().map(super::name).collect();
        assert_eq!(brought(&crds, "own", &Found::new(), &applied), BTreeSet::from(["gateways", "listenersets"]));
    }
}
