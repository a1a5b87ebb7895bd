//! The Gateway API's custom resources, applied to clusters that have none.
//!
//! Each carries the digest of the manifest that it came from and the installation that brought it along: only that one
//! changes or removes it. Two installations that both kept them up to date would take turns for ever, and so would landlord and a
//! cloud that keeps them in its clusters: <https://gateway-api.sigs.k8s.io/guides/crd-management>.

use std::{collections::BTreeMap, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use landlord_core::ports::DeployTarget;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::routing::is_known;
use crate::{
    error::{Doing as _, Error, Result},
    markers::FIELD_MANAGER,
    object, yaml,
};

/// Annotation: which manifest a CRD was applied from.
pub const DIGEST_ANNOTATION: &str = "landlord.dev/digest";
/// Annotation: which installation brought a CRD along. Only it changes or removes it.
pub const OWNER_ANNOTATION: &str = "landlord.dev/installation";
/// The Gateway API's CRDs have about 1 MB.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Digits of a manifest's digest.
const DIGEST_DIGITS: usize = 32;
const DEFINITION: &str = "CustomResourceDefinition";

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
        let size = std::fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
        if size > BYTES_MAX {
            return Err(bad(format!("has {size} bytes, at most {BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        Self::parse(&text).map_err(|error| bad(error.to_string()))
    }

    /// Parses a YAML file of any number of objects.
    ///
    /// # Errors
    /// [`Error::Manifest`]: no YAML, or no custom resource in it.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |problem: String| Error::Manifest { problem };
        let documents = yaml::documents(text).map_err(bad)?;
        if !documents.iter().any(|document| document["kind"] == DEFINITION) {
            return Err(bad("it holds no CustomResourceDefinition".into()));
        }
        let mut digest = hex::encode(Sha256::digest(text));
        digest.truncate(DIGEST_DIGITS);
        Ok(Self { documents, digest })
    }
}

/// Applies the Gateway API's CRDs, if there are any to apply; says what is being waited for.
///
/// # Errors
/// What the API server says.
pub async fn ensure(client: &Client, target: &DeployTarget, crds: Option<&Crds>) -> Result<Option<String>> {
    let Some(crds) = crds else { return Ok(None) };
    // On a cluster for many, whoever brought the Gateway API along keeps it.
    if target.cluster.shared().is_none() || brought(client, crds, &target.installation).await? == CrdsFrom::UsInPart {
        ensure_crds(client, crds, &target.installation).await?;
    }
    Ok((!is_known(client).await?).then(|| "the API server is learning the Gateway API".into()))
}

/// The same for a cluster that landlord made, where nobody but its cloud may have brought the Gateway API along.
///
/// # Errors
/// What the API server says.
pub async fn ensure_own(client: &Client, installation: &str, crds: Option<&Crds>) -> Result<Option<String>> {
    let Some(crds) = crds else { return Ok(None) };
    ensure_crds(client, crds, installation).await?;
    Ok((!is_known(client).await?).then(|| "the API server is learning the Gateway API".into()))
}

/// Who brought the Gateway API along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CrdsFrom {
    /// Us, all of it as it is now.
    Us,
    /// Us, but something is missing or older; or nobody.
    UsInPart,
    /// Somebody else.
    Others,
}

/// One observation, since every tenant's pass makes one.
async fn brought(client: &Client, crds: &Crds, installation: &str) -> Result<CrdsFrom> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let known = api.list_metadata(&ListParams::default()).await.doing(|| "listing custom resources".into())?;
    let mut whole = true;
    for document in crds.documents.iter().filter(|document| document["kind"] == DEFINITION) {
        let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let found = known.items.iter().find(|found| found.metadata.name.as_deref() == Some(name));
        let Some(found) = found else {
            whole = false;
            continue;
        };
        let annotation = |key: &str| found.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
        // Two installations that both kept them up to date would take turns for ever.
        match (annotation(DIGEST_ANNOTATION), annotation(OWNER_ANNOTATION)) {
            (Some(digest), Some(owner)) if owner == installation => whole &= *digest == crds.digest,
            _ => return Ok(CrdsFrom::Others),
        }
    }
    Ok(if whole { CrdsFrom::Us } else { CrdsFrom::UsInPart })
}

/// What is missing is applied, and what is of this installation is brought to the manifest. Definitions that somebody else keeps stay
/// as they are, and then nothing but missing definitions is added: the manifest's admission policy would refuse older ones to whoever
/// keeps them.
async fn ensure_crds(client: &Client, crds: &Crds, installation: &str) -> Result<()> {
    let (mut due, mut are_others) = (Vec::new(), false);
    for document in &crds.documents {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, kind, api_version) = (text("/metadata/name"), text("/kind"), text("/apiVersion"));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &object::resource(api_version, kind));
        let found = api.get_metadata_opt(name).await.doing(|| format!("reading {kind} {name}"))?;
        let is_definition = kind == DEFINITION;
        match found.map(|found| found.metadata.annotations.unwrap_or_default()) {
            Some(annotations) if !is_of(installation, &annotations) => are_others |= is_definition,
            Some(annotations) if annotations.get(DIGEST_ANNOTATION) == Some(&crds.digest) => {}
            Some(_) | None => due.push((api, document, name, is_definition)),
        }
    }
    for (api, document, name, _) in due.into_iter().filter(|(.., is_definition)| *is_definition || !are_others) {
        let mut wanted = document.clone();
        wanted["metadata"]["annotations"][DIGEST_ANNOTATION] = json!(crds.digest);
        wanted["metadata"]["annotations"][OWNER_ANNOTATION] = json!(installation);
        let applied = api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&wanted)).await;
        applied.doing(|| format!("applying {name} of the Gateway API"))?;
    }
    Ok(())
}

/// Whether an object was brought along by this installation.
fn is_of(installation: &str, annotations: &BTreeMap<String, String>) -> bool {
    // Those of before are not named by their installation.
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
}
