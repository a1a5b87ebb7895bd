//! Pages of lists, for the commands that show them.

use landlord_proto::v1;
use prost::{Message, Name};
use serde_json::Value;

use crate::{
    arguments::Output,
    client::Client,
    error::Error,
    output::{self, Column, Listing},
};

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

/// Has every page of a list taken. `page` gets the token of a page, and gives its items and the token of the next.
pub(super) async fn each<Item>(
    mut page: impl AsyncFnMut(String) -> Result<(Vec<Item>, String), Error>,
    mut take: impl FnMut(Vec<Item>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut page_token = String::new();
    loop {
        let (items, next) = page(page_token).await?;
        take(items)?;
        if next.is_empty() {
            return Ok(());
        }
        page_token = next;
    }
}

fn json<Item: Message + Name>(items: &[Item]) -> Result<Vec<Value>, Error> {
    items.iter().map(output::json).collect()
}

/// All pages of a list, as JSON.
pub(super) async fn all<Item: Message + Name>(
    page: impl AsyncFnMut(String) -> Result<(Vec<Item>, String), Error>,
) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    each(page, |items| {
        all.append(&mut json(&items)?);
        Ok(())
    })
    .await?;
    Ok(all)
}

/// Shows all pages of a list, each as it comes. Gives how many items there were.
pub(super) async fn show<Item: Message + Name>(
    (form, columns): (Output, &[Column<'_>]),
    page: impl AsyncFnMut(String) -> Result<(Vec<Item>, String), Error>,
) -> Result<usize, Error> {
    let mut listing = Listing::new(form, columns);
    each(page, |items| listing.page(&json(&items)?)).await?;
    listing.end()
}

/// All tenants of a parent that a filter lets through, as JSON.
pub(super) async fn all_tenants(client: &mut Client, parent: &str, filter: &str) -> Result<Vec<Value>, Error> {
    all(async |token| {
        let page = tenant_page(client, parent, filter, token).await?;
        Ok((page.tenants, page.next_page_token))
    })
    .await
}
