//! Pages of lists, for the commands that show them.

use landlord_proto::v1;
use prost::{Message, Name};
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

/// All pages of a list, as JSON. `page` gets the token of a page, and gives its items and the token of the next.
pub(super) async fn all<Item: Message + Name>(
    mut page: impl AsyncFnMut(String) -> Result<(Vec<Item>, String), Error>,
) -> Result<Vec<Value>, Error> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let (items, next) = page(page_token).await?;
        for item in &items {
            all.push(output::json(item)?);
        }
        if next.is_empty() {
            return Ok(all);
        }
        page_token = next;
    }
}

/// All tenants of a parent that a filter lets through, as JSON.
pub(super) async fn all_tenants(client: &mut Client, parent: &str, filter: &str) -> Result<Vec<Value>, Error> {
    all(async |token| {
        let page = tenant_page(client, parent, filter, token).await?;
        Ok((page.tenants, page.next_page_token))
    })
    .await
}
