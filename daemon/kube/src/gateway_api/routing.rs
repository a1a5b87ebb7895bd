//! What of the Gateway API a cluster serves.

use kube::Client;

use crate::{
    absent::known,
    error::{Doing as _, Result},
};

/// Without them there is no Gateway API to speak of.
pub(super) const ROUTES: &str = "httproutes";

/// What of the Gateway API a cluster knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Nothing.
    Unknown,
    /// Gateways and routes.
    Gateways,
    /// The same, and ListenerSets, which are listeners of other namespaces: since 1.5.
    ListenerSets,
}

/// What of the Gateway API the cluster knows: read from what it serves, a hundredth of the definitions, since every observation
/// makes one.
pub async fn routing(client: &Client) -> Result<Routing> {
    let served = served(client).await?;
    let knows = |name: &str| served.iter().any(|served| served == name);
    Ok(match (knows(ROUTES), knows("listenersets")) {
        (false, _) => Routing::Unknown,
        (true, false) => Routing::Gateways,
        (true, true) => Routing::ListenerSets,
    })
}

/// Resources of the stable version that the API server serves; none, where it knows no Gateway API.
pub(super) async fn served(client: &Client) -> Result<Vec<String>> {
    let served = known(client.list_api_group_resources("gateway.networking.k8s.io/v1").await)
        .doing(|| "asking for the Gateway API".into())?;
    let resources = served.map(|served| served.resources).unwrap_or_default();
    Ok(resources.into_iter().map(|resource| resource.name).collect())
}

/// Whether the cluster knows HTTPRoutes.
pub async fn is_known(client: &Client) -> Result<bool> {
    Ok(routing(client).await? != Routing::Unknown)
}
