//! ListHostClusters: from the request to a page.

use landlord_core::ports::{EnvironmentQuery, Owners};
use landlord_proto::v1;

use crate::{
    error::Error,
    list::{
        environment::{Chosen, HOST_CLUSTER_FIELDS, Listed},
        filter,
        order::Order,
        page,
        scan::Scan,
    },
    ports::Ports,
};

/// The host clusters of a page, and the token of the next one.
pub(crate) async fn page(ports: &Ports, request: &v1::ListHostClustersRequest) -> Result<(Vec<Listed>, String), Error> {
    let filter = filter::parse(&request.filter, &HOST_CLUSTER_FIELDS)?;
    let order = Order::parse(&request.order_by, &HOST_CLUSTER_FIELDS)?;
    let chosen = Chosen::by(&filter)?;
    let query = EnvironmentQuery {
        owners: Owners::HostClusters,
        states: chosen.states,
        provider: chosen.provider,
        ..EnvironmentQuery::default()
    };
    let scope = format!("host clusters {} {}", request.filter, request.order_by);
    let page =
        page::Request { scope: &scope, size: request.page_size, token: &request.page_token, tokens: &ports.tokens };
    let read = |after: Option<String>, limit: u32| {
        let query = EnvironmentQuery { after, limit, ..query.clone() };
        async move { Ok(Listed::page(&ports.catalog.now(), ports.store.list(&query).await?)) }
    };
    Scan { filter: &filter, order: &order, page }.page(read).await
}
