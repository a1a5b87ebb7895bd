//! What a stack stands on: the Gateway API, the namespace with Pod Security and a default-deny policy, secrets.
//! Knows nothing of Helm.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::{
        core::v1::{Namespace, Secret},
        networking::v1::NetworkPolicy,
        storage::v1::StorageClass,
    },
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    isolation::PodSecurityVersion,
    ports::{DeployTarget, StageProgress},
};
use rand::{Rng as _, TryRngCore as _, rngs::OsRng};
use serde_json::json;

use crate::{
    error::Result,
    render,
    stack::{Manifest, SecretSpec},
};
use landlord_kube::{
    Doing as _, Error,
    client::ClusterClients,
    gateway_api::{self, Crds},
    markers::{CUSTOMER_LABEL, FIELD_MANAGER, is_ours, labels, pod_security},
    progress::pending,
};

const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// Makes everything exist; `Pending` while the API server is still learning the CRDs.
pub(crate) async fn ensure(
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &Manifest,
    crds: Option<&Crds>,
) -> Result<StageProgress> {
    render::check_overrides(target, manifest)?;
    let namespace = render::namespace(target, manifest);
    if target.cluster.shared().is_none() {
        ensure_namespace(&clients.admin, target, namespace).await?;
        ensure_default_deny(&clients.admin, target, namespace).await?;
    }
    for secret in &manifest.secrets {
        ensure_secret(&clients.tenant, target, namespace, secret).await?;
    }
    check_storage_class(&clients.admin).await?;
    Ok(match gateway_api::ensure(&clients.admin, target, crds).await? {
        Some(detail) => pending(detail),
        None => StageProgress::Done,
    })
}

async fn ensure_namespace(client: &Client, target: &DeployTarget, name: &str) -> landlord_kube::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut labels = labels(target, "apps");
    labels.insert(CUSTOMER_LABEL.into(), target.name.customer.to_string());
    labels.extend(pod_security(PodSecurityVersion::default()));
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
async fn ensure_default_deny(client: &Client, target: &DeployTarget, namespace: &str) -> landlord_kube::Result<()> {
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
async fn ensure_secret(
    client: &Client,
    target: &DeployTarget,
    namespace: &str,
    spec: &SecretSpec,
) -> landlord_kube::Result<()> {
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
pub(crate) fn random_text(chars: usize) -> String {
    OsRng.unwrap_err().sample_iter(rand::distr::Alphanumeric).take(chars).map(char::from).collect()
}

async fn check_storage_class(client: &Client) -> landlord_kube::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_has_the_length_and_differs() {
        assert_eq!(random_text(32).len(), 32);
        assert_ne!(random_text(32), random_text(32));
    }
}
