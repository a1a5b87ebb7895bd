//! Kubeconfigs of a cluster.
//!
//! <https://learn.microsoft.com/rest/api/aks/managed-clusters/list-cluster-user-credentials>; with local accounts disabled there is
//! no admin's: <https://learn.microsoft.com/azure/aks/manage-local-accounts-managed-azure-ad>. The server's address is where
//! the control plane really listens, since nothing resolves its `fqdn`.

use super::{
    super::{id::Target, kind::AzureKind, resource, review::AKS_SERVER_APP},
    refuse,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use cloudsim_core::{
    call::{Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::json;

/// The cluster, once its API server has an address.
fn ready(ctx: &mut Ctx<'_>, target: &Target) -> Result<Object> {
    let cluster = resource::existing(ctx, AzureKind::ManagedCluster, target)?;
    if cluster.text("endpoint").is_empty() || cluster.state == "Creating" {
        let message = format!(
            "Operation is not allowed: Another operation ({}) is in progress, please wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more details",
            cluster.state
        );
        return Err(refuse("OperationNotAllowed", message).status(409));
    }
    Ok(cluster)
}

fn respond(cluster: &Object, who: &str, user: &str) -> Reply {
    let (name, server) = (cluster.name.as_deref().unwrap_or_default(), cluster.text("endpoint"));
    let ca = STANDARD.encode(cluster.text("ca"));
    let group = cluster.vpc.as_deref().unwrap_or_default();
    let yaml = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: {name}\ncontexts:\n- context:\n    cluster: {name}\n    user: {who}_{group}_{name}\n  name: {name}\ncurrent-context: {name}\npreferences: {{}}\nusers:\n- name: {who}_{group}_{name}\n  user:\n{user}"
    );
    Reply::Json(200, json!({ "kubeconfigs": [{ "name": who, "value": STANDARD.encode(yaml) }] }))
}

/// What a user with Entra credentials gets.
///
/// # Errors
/// Not there, or not ready.
pub(super) fn user(ctx: &mut Ctx<'_>, target: &Target) -> Result<Reply> {
    let cluster = ready(ctx, target)?;
    let entra = resource::doc(&cluster).get("properties").is_some_and(|p| !p["aadProfile"].is_null());
    if !entra {
        return Ok(respond(&cluster, "clusterUser", &token(&cluster)));
    }
    let tenant = resource::doc_text(&cluster, "/properties/aadProfile/tenantID").to_owned();
    let exec = format!(
        "    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      args:\n      - get-token\n      - --environment\n      - AzurePublicCloud\n      - --server-id\n      - {AKS_SERVER_APP}\n      - --client-id\n      - 80faf920-1908-4b52-b5ef-a8e7bedfc67a\n      - --tenant-id\n      - {tenant:?}\n      - --login\n      - devicecode\n      command: kubelogin\n      env: null\n      provideClusterInfo: false\n"
    );
    Ok(respond(&cluster, "clusterUser", &exec))
}

/// A static token: the simulator has no client certificates.
fn token(cluster: &Object) -> String {
    let subscription = super::super::id::subscription_of(&cluster.id).unwrap_or_default();
    format!("    token: sim-{subscription}-static\n")
}

/// What an admin with a local account gets.
///
/// # Errors
/// Not there, not ready, or local accounts are disabled.
pub(super) fn admin(ctx: &mut Ctx<'_>, target: &Target) -> Result<Reply> {
    let cluster = ready(ctx, target)?;
    if resource::doc(&cluster).get("properties").is_some_and(|p| p["disableLocalAccounts"] == true) {
        let message = "Getting static credential is not allowed because this cluster is set to disable local accounts.";
        return Err(refuse("BadRequest", message));
    }
    Ok(respond(&cluster, "clusterAdmin", &token(&cluster)))
}
