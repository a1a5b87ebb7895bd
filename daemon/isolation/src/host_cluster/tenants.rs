//! What tenants have in a cluster, by its labels: nodes that joined, namespaces, pools. Reads only.

use k8s_openapi::{
    api::core::v1::{Namespace, Node},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::ListParams};
use landlord_core::{FoundInHost, HostedKind, TenantUid};

use super::{
    pages::Pages,
    scaled_pool::{self, POOL_OF},
};
use landlord_kube::{
    Doing as _, Result,
    markers::{POOL_KEY, TENANT_UID, role_selector},
};

/// Nodes of a pool that are always there and Ready, without those that a provisioner made beside them. One that is cordoned has joined.
pub(crate) async fn joined(client: &Client, pool: &str) -> Result<u32> {
    let nodes: Api<Node> = Api::all(client.clone());
    let mut page = Pages::new(ListParams::default().labels(&format!("{POOL_KEY}={pool},!{POOL_OF}")));
    let mut count = 0;
    while let Some(params) = page.next("nodes")? {
        let list = nodes.list(&params).await.doing(|| "listing the nodes of a pool".into())?;
        page.after(list.metadata.continue_);
        count += list.items.iter().filter(|node| is_ready(node)).count();
    }
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Whether a node's kubelet says that it takes pods.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|found| found.type_ == "Ready" && found.status == "True")
}

/// What an installation's tenants have, with whose it is.
pub(crate) async fn found(client: &Client, installation: &str) -> Result<Vec<FoundInHost>> {
    let mut all = namespaces(client, installation).await?;
    let pools: Vec<ObjectMeta> = scaled_pool::all(client, installation).await?;
    all.extend(pools.into_iter().filter_map(|found| of_tenant(found, HostedKind::NodePool)));
    Ok(all)
}

fn of_tenant(found: ObjectMeta, kind: HostedKind) -> Option<FoundInHost> {
    let uid: TenantUid = found.labels?.get(TENANT_UID)?.parse().ok()?;
    Some(FoundInHost { uid, kind, name: found.name? })
}

/// The namespaces among them.
pub(super) async fn namespaces(client: &Client, installation: &str) -> Result<Vec<FoundInHost>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut page = Pages::new(ListParams::default().labels(&role_selector(installation, "tenant")));
    let mut all = Vec::new();
    while let Some(params) = page.next("namespaces")? {
        let list = namespaces.list_metadata(&params).await.doing(|| "listing tenants' namespaces".into())?;
        page.after(list.metadata.continue_);
        all.extend(list.items.into_iter().filter_map(|found| of_tenant(found.metadata, HostedKind::Namespace)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_cluster::fake_api::cluster;

    #[tokio::test]
    async fn machines_that_a_provisioner_made_are_not_those_that_are_always_there() {
        let (client, requests) = cluster(&[]);
        assert_eq!(joined(&client, "1").await.unwrap(), 0);
        let requests = requests.lock().unwrap();
        assert!(requests[0].contains("%3D1%2C%21karpenter.sh%2Fnodepool"), "{requests:?}");
    }

    #[tokio::test]
    async fn pools_are_found_by_their_installation_and_role() {
        let (client, requests) = cluster(&[("nodepools", "without-a-tenant")]);
        assert_eq!(found(&client, "here").await.unwrap(), []);
        let requests = requests.lock().unwrap();
        let selects = "landlord-installation%3Dhere%2Clandlord-role%3Dnode-scaling";
        assert!(requests.iter().any(|list| list.contains("nodepools") && list.contains(selects)), "{requests:?}");
    }
}
