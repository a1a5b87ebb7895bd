//! Service accounts with an identity in the cloud: what that needs on the Kubernetes side, as the provider reports it. Whose
//! they are and which cloud it is, is not known here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use landlord_core::ports::{CloudAccount, DeployTarget, StageProgress};
use serde_json::{Value, json};

use landlord_kube::{
    Doing as _, Result,
    markers::{FIELD_MANAGER, labels},
};

/// Where the labels stand that the account's pods must carry.
const POD_LABELS: &str = "landlord.dev/pod-labels";
/// The API server's response to a create of what is there.
const CONFLICT: u16 = 409;

/// Makes each account exist and carry its annotations.
pub(crate) async fn ensure(client: &Client, target: &DeployTarget, accounts: &[CloudAccount]) -> Result<StageProgress> {
    for account in accounts {
        let (namespace, name) = (&account.namespace, &account.name);
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let found = namespaces.get_opt(namespace).await.doing(|| format!("reading namespace {namespace}"))?;
        if found.is_none() {
            let mut made = Namespace::default();
            made.metadata.name = Some(namespace.clone());
            made.metadata.labels = Some(labels(target, "identity"));
            match namespaces.create(&PostParams::default(), &made).await {
                // Whoever was faster: it is there.
                Err(kube::Error::Api(status)) if status.code == CONFLICT => {}
                created => created.map(drop).doing(|| format!("making namespace {namespace}"))?,
            }
        }
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(name, &params, &Patch::Apply(&object(account))).await;
        applied.map(drop).doing(|| format!("applying service account {namespace}/{name}"))?;
    }
    Ok(StageProgress::Done)
}

/// The account as far as it is ours: the rest of it is whoever's who made it.
fn object(account: &CloudAccount) -> Value {
    let mut annotations: BTreeMap<&str, String> =
        account.annotations.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    if !account.pod_labels.is_empty() {
        let pairs: Vec<String> = account.pod_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        annotations.insert(POD_LABELS, pairs.join(","));
    }
    json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": account.name, "namespace": account.namespace, "annotations": annotations },
    })
}
