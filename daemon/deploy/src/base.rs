//! What a stack stands on: CRDs of the Gateway API, the namespace with its guards, secrets.
//! Knows nothing of Helm.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::{
        core::v1::{Namespace, Secret},
        networking::v1::NetworkPolicy,
        storage::v1::StorageClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::ports::{DeployTarget, StageProgress};
use rand::{Rng as _, TryRngCore as _, rngs::OsRng};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    client::Both,
    deployer::pending,
    error::{Doing as _, Error, Result},
    render,
    stack::{Manifest, SecretSpec},
};

/// Who we are in server-side apply.
pub(crate) const FIELD_MANAGER: &str = "landlord";
/// Which manifest a CRD was applied from.
pub(crate) const DIGEST_ANNOTATION: &str = "landlord.dev/digest";
/// Which installation brought a CRD along. Only it changes or removes it.
pub(crate) const OWNER_ANNOTATION: &str = "landlord.dev/installation";
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const INSTALLATION: &str = "landlord-installation";
const TENANT_UID: &str = "landlord-tenant-uid";
const ROLE: &str = "landlord-role";

/// Custom resources to bring along, as read at start.
#[derive(Debug, Clone)]
pub(crate) struct Crds {
    documents: Vec<Value>,
    digest: String,
}

impl Crds {
    /// Parses a YAML file of any number of objects.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
        let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
        if !documents.iter().any(|document| document["kind"] == "CustomResourceDefinition") {
            return Err("it holds no CustomResourceDefinition".into());
        }
        let mut digest = hex::encode(Sha256::digest(text));
        digest.truncate(32);
        Ok(Self { documents, digest })
    }
}

/// Makes everything exist; `Pending` while the API server is still learning the CRDs.
pub(crate) async fn ensure(
    clients: &Both,
    target: &DeployTarget,
    manifest: &Manifest,
    crds: Option<&Crds>,
) -> Result<StageProgress> {
    render::check_wishes(target, manifest)?;
    let namespace = render::namespace(target, manifest);
    if target.place.shared().is_none() {
        ensure_namespace(&clients.own, target, namespace).await?;
        ensure_default_deny(&clients.own, target, namespace).await?;
    }
    for secret in &manifest.secrets {
        ensure_secret(&clients.apps, target, namespace, secret).await?;
    }
    check_storage_class(&clients.own).await?;
    Ok(match bring_gateway_api(&clients.own, target, crds).await? {
        Some(detail) => pending(detail),
        None => StageProgress::Done,
    })
}

/// Applies the Gateway API's CRDs, if there are any to apply; says what is being waited for.
pub(crate) async fn bring_gateway_api(
    client: &Client,
    target: &DeployTarget,
    crds: Option<&Crds>,
) -> Result<Option<String>> {
    let Some(crds) = crds else { return Ok(None) };
    // On a cluster for many, whoever brought the Gateway API along keeps it.
    if target.place.shared().is_none() || brought(client, crds, &target.installation).await? == CrdsFrom::UsInPart {
        ensure_crds(client, crds, &target.installation).await?;
    }
    Ok((!gateway_api(client).await?).then(|| "the API server is learning the Gateway API".into()))
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

/// One look, since every tenant's pass asks.
async fn brought(client: &Client, crds: &Crds, installation: &str) -> Result<CrdsFrom> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let known = api.list_metadata(&ListParams::default()).await.doing(|| "listing custom resources".into())?;
    let mut whole = true;
    for document in crds.documents.iter().filter(|document| document["kind"] == "CustomResourceDefinition") {
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

/// Labels of every object of ours.
pub(crate) fn labels(target: &DeployTarget, role: &str) -> BTreeMap<String, String> {
    [(INSTALLATION, target.installation.clone()), (TENANT_UID, target.uid.to_string()), (ROLE, role.to_owned())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

/// Whether an object carries this tenant's marker.
pub(crate) fn is_ours(labels: Option<&BTreeMap<String, String>>, target: &DeployTarget) -> bool {
    let is = |key: &str, value: &str| labels.and_then(|labels| labels.get(key)).is_some_and(|found| found == value);
    is(INSTALLATION, &target.installation) && is(TENANT_UID, &target.uid.to_string())
}

async fn ensure_namespace(client: &Client, target: &DeployTarget, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut labels = labels(target, "apps");
    for mode in ["enforce", "audit", "warn"] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), "restricted".into());
        labels.insert(format!("pod-security.kubernetes.io/{mode}-version"), "latest".into());
    }
    let wanted = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": name, "labels": labels },
    });
    let found = namespaces.get_opt(name).await.doing(|| format!("reading namespace {name}"))?;
    match found {
        Some(found) if !is_ours(found.metadata.labels.as_ref(), target) => {
            return Err(Error::NameTaken { what: format!("namespace {name}") });
        }
        Some(found) => {
            let has = |(key, value): (&String, &String)| {
                found.metadata.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value)
            };
            if labels.iter().all(has) {
                return Ok(());
            }
            let params = PatchParams::apply(FIELD_MANAGER).force();
            namespaces.patch(name, &params, &Patch::Apply(&wanted)).await
        }
        None => {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.to_owned());
            namespace.metadata.labels = Some(labels);
            // Marker and name in one call: there is never one without the other.
            namespaces.create(&PostParams::default(), &namespace).await
        }
    }
    .map(drop)
    .doing(|| format!("making namespace {name}"))
}

/// What no policy allows is forbidden; the charts' policies allow what is needed.
async fn ensure_default_deny(client: &Client, target: &DeployTarget, namespace: &str) -> Result<()> {
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
    let wanted = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "default-deny", "labels": labels(target, "default-deny") },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = policies.patch("default-deny", &params, &Patch::Apply(&wanted)).await;
    applied.map(drop).doing(|| format!("applying the default-deny policy in {namespace}"))
}

/// Made once. What is there stays; only missing keys are added.
async fn ensure_secret(client: &Client, target: &DeployTarget, namespace: &str, spec: &SecretSpec) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let action = || format!("making secret {namespace}/{}", spec.name);
    let found = secrets.get_opt(&spec.name).await.doing(action)?;
    if let Some(found) = &found
        && !is_ours(found.metadata.labels.as_ref(), target)
    {
        return Err(Error::NameTaken { what: format!("secret {namespace}/{}", spec.name) });
    }
    let existing: BTreeMap<String, String> = found
        .iter()
        .flat_map(|found| found.data.iter().flatten())
        .map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
        .collect();
    let content = render::secret(spec, &existing, target, &mut random_text);
    if found.is_some() && content == existing {
        return Ok(());
    }
    let mut secret = found.clone().unwrap_or_default();
    secret.metadata.name = Some(spec.name.clone());
    secret.metadata.labels.get_or_insert_default().extend(labels(target, &spec.name));
    secret.metadata.managed_fields = None;
    // Bytes that are no text must not be changed by going through text.
    let mut data = secret.data.take().unwrap_or_default();
    for (key, value) in content {
        data.entry(key).or_insert(ByteString(value.into_bytes()));
    }
    secret.data = Some(data);
    let written = match &found {
        // With the version that was read: a key made meanwhile is not overwritten.
        Some(_) => secrets.replace(&spec.name, &PostParams::default(), &secret).await,
        None => secrets.create(&PostParams::default(), &secret).await,
    };
    written.map(drop).doing(action)
}

/// Letters and digits from the operating system's generator.
fn random_text(chars: usize) -> String {
    OsRng.unwrap_err().sample_iter(rand::distr::Alphanumeric).take(chars).map(char::from).collect()
}

async fn check_storage_class(client: &Client) -> Result<()> {
    let classes: Api<StorageClass> = Api::all(client.clone());
    let classes = classes.list(&ListParams::default()).await.doing(|| "listing storage classes".into())?;
    let is_default = |class: &StorageClass| {
        let annotations = class.metadata.annotations.as_ref();
        DEFAULT_CLASS.iter().any(|key| annotations.and_then(|a| a.get(*key)).is_some_and(|value| value == "true"))
    };
    if classes.items.iter().any(is_default) {
        return Ok(());
    }
    Err(Error::Lacking {
        what: "the cluster has no default storage class".into(),
        remedy: "mark one with the annotation storageclass.kubernetes.io/is-default-class=true, \
                 or let the class's storage add-on make one",
    })
}

async fn ensure_crds(client: &Client, crds: &Crds, installation: &str) -> Result<()> {
    for document in &crds.documents {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, kind, api_version) = (text("/metadata/name"), text("/kind"), text("/apiVersion"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let action = || format!("applying {kind} {name}");
        let found = api.get_metadata_opt(name).await.doing(action)?;
        let known = found.and_then(|found| found.metadata.annotations?.remove(DIGEST_ANNOTATION));
        if known.as_deref() == Some(crds.digest.as_str()) {
            continue;
        }
        let mut wanted = document.clone();
        wanted["metadata"]["annotations"][DIGEST_ANNOTATION] = json!(crds.digest);
        wanted["metadata"]["annotations"][OWNER_ANNOTATION] = json!(installation);
        api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&wanted)).await.doing(action)?;
    }
    Ok(())
}

/// What of the Gateway API a cluster knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routing {
    /// Nothing.
    Unknown,
    /// Gateways and routes.
    Gateways,
    /// The same, and ListenerSets, which are listeners of other namespaces: since 1.5.
    ListenerSets,
}

/// What of the Gateway API the cluster knows: asked by what it serves, a hundredth of the definitions, since every look
/// asks.
pub(crate) async fn routing(client: &Client) -> Result<Routing> {
    let served = match client.list_api_group_resources("gateway.networking.k8s.io/v1").await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Routing::Unknown),
        other => other.doing(|| "asking for the Gateway API".into())?,
    };
    let knows = |name: &str| served.resources.iter().any(|resource| resource.name == name);
    Ok(match (knows("httproutes"), knows("listenersets")) {
        (false, _) => Routing::Unknown,
        (true, false) => Routing::Gateways,
        (true, true) => Routing::ListenerSets,
    })
}

/// Whether the cluster knows HTTPRoutes.
pub(crate) async fn gateway_api(client: &Client) -> Result<bool> {
    Ok(routing(client).await? != Routing::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_has_the_length_and_differs() {
        assert_eq!(random_text(32).len(), 32);
        assert_ne!(random_text(32), random_text(32));
    }

    #[test]
    fn crds_are_recognised() {
        assert!(Crds::parse("kind: ConfigMap").is_err());
        let crds = Crds::parse("---\n# nothing\n---\nkind: CustomResourceDefinition\n").unwrap();
        assert_eq!(crds.documents.len(), 1);
    }
}
