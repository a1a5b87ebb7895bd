//! What carries our markers. The tagging API finds most of it in one call and is eventually
//! consistent both ways: what it lists is inspected before it is reported, and what matters
//! most (stack, cluster, zones) is requested by name as well.

mod verify;

use std::collections::BTreeMap;

use aws_sdk_resourcegroupstagging::types::{ResourceTagMapping, TagFilter};
use landlord_provider_api::{MARKER_INSTALLATION, MARKER_TENANT_UID, v1};

use crate::{
    action,
    aws::Clients,
    cluster, dns,
    error::{Result, failed},
    leftovers,
    names::Names,
    network, node_pool,
};

/// Resources of one page, the most that the tagging API gives.
const PAGE: i32 = 100;

/// Objects by id, each once.
type Found = BTreeMap<String, v1::OwnedObject>;

/// One page of the inventory.
pub(crate) async fn list(aws: &Clients, scope: &v1::Scope, page_token: &str) -> Result<v1::ListOwnedResponse> {
    let mut found = Found::new();
    if page_token.is_empty() {
        by_name(aws, scope, &mut found).await?;
    }
    let (mappings, next) = tagged(aws, scope, page_token).await?;
    verify::all(aws, scope, &mappings, &mut found).await?;
    Ok(v1::ListOwnedResponse { objects: found.into_values().collect(), next_page_token: next })
}

/// What is found by its name, at once and for certain.
async fn by_name(aws: &Clients, scope: &v1::Scope, found: &mut Found) -> Result<()> {
    let mut add = |object: v1::OwnedObject| found.insert(object.id.clone(), object);
    for zone in dns::list(aws, scope).await? {
        add(dns::owned(scope, &zone));
    }
    if scope.tenant_uid.is_empty() {
        return Ok(());
    }
    let names = Names::new(scope)?;
    if let Some(stack) = network::stack::find(aws, names.stack()).await?.filter(|s| s.is_ours(scope)) {
        add(stack.owned(scope, names.stack()));
    }
    if let Some(cluster) = cluster::find_own(aws, scope, &names).await? {
        add(cluster::owned(scope, &cluster));
    }
    if names.is_shared() {
        // Its pool; the leftovers of a shared cluster are the host's.
        for pool in node_pool::observe(aws, scope, &names.shared_pool_role()).await?.1 {
            add(pool);
        }
        return Ok(());
    }
    for leftover in leftovers::observe(aws, scope).await?.1 {
        add(leftover);
    }
    Ok(())
}

async fn tagged(aws: &Clients, scope: &v1::Scope, page_token: &str) -> Result<(Vec<ResourceTagMapping>, String)> {
    let filter = |key: &str, value: &str| TagFilter::builder().key(key).values(value).build();
    let mut request = aws
        .tagging
        .get_resources()
        .resources_per_page(PAGE)
        .tag_filters(filter(MARKER_INSTALLATION, &scope.installation));
    if !scope.tenant_uid.is_empty() {
        request = request.tag_filters(filter(MARKER_TENANT_UID, &scope.tenant_uid));
    }
    if !page_token.is_empty() {
        request = request.pagination_token(page_token);
    }
    let response = request.send().await.map_err(failed(action::GET_RESOURCES, &scope.tenant_uid))?;
    let next = response.pagination_token.unwrap_or_default();
    Ok((response.resource_tag_mapping_list.unwrap_or_default(), next))
}
