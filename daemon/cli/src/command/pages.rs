//! Pages of tenants, for the commands that list them.

use landlord_proto::v1;
use serde_json::Value;

use crate::{client::Client, error::Error, output};

/// Items of a page.
pub(super) const PAGE: i32 = 500;

/// One page.
pub(super) async fn tenant_page(
    client: &mut Client,
    parent: &str,
    filter: &str,
    page_token: String,
) -> Result<v1::ListTenantsResponse, Error> {
    let (parent, filter) = (parent.to_owned(), filter.to_owned());
    let request = v1::ListTenantsRequest { parent, page_size: PAGE, page_token, filter, ..Default::default() };
    Ok(client.tenants.list_tenants(request).await?.into_inner())
}

/// All pages, as JSON.
pub(super) async fn all_tenants(client: &mut Client, parent: &str, filter: &str) -> Result<Vec<Value>, Error> {
    let mut items = Vec::new();
    let mut page_token = String::new();
    loop {
        let page = tenant_page(client, parent, filter, page_token).await?;
        for tenant in &page.tenants {
            items.push(output::json(tenant)?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(items);
        }
    }
}
