//! Lists of what is in memory anyway, or so little that it is read whole.

use landlord_core::ports::Page;

use super::{
    filter::{self, Expression, Field},
    order::Order,
    page,
    scan::{Item, Scan},
};
use crate::{error::Error, opaque::OpaqueTokens};

/// What a request for a list says, in whichever message.
pub(crate) struct Wanted<'a> {
    pub(crate) filter: &'a str,
    pub(crate) order_by: &'a str,
    pub(crate) size: i32,
    pub(crate) token: &'a str,
}

/// A request for a list, read before its items are.
pub(crate) struct InMemory<'a> {
    wanted: Wanted<'a>,
    filter: Expression,
    order: Order,
    /// The list that its tokens belong to.
    scope: String,
    tokens: &'a OpaqueTokens,
}

impl<'a> InMemory<'a> {
    /// `what`: the items, as no other list calls its own. `fields`: what a filter or an order can name.
    ///
    /// # Errors
    /// A filter or an order that is none.
    pub(crate) fn parse(
        what: &str,
        fields: &'static [Field],
        wanted: Wanted<'a>,
        tokens: &'a OpaqueTokens,
    ) -> Result<Self, Error> {
        let (filter, order) = (filter::parse(wanted.filter, fields)?, Order::parse(wanted.order_by, fields)?);
        let scope = format!("{what} {} {}", wanted.filter, wanted.order_by);
        Ok(Self { wanted, filter, order, scope, tokens })
    }

    /// The page of `all`, and the token of the next one.
    pub(crate) async fn page<T: Item + Clone + Send + Sync>(&self, all: &[T]) -> Result<(Vec<T>, String), Error> {
        let Wanted { size, token, .. } = self.wanted;
        let page = page::Request { scope: &self.scope, size, token, tokens: self.tokens };
        let read = |after, limit| std::future::ready(Ok(batch(all, after, limit)));
        Scan { filter: &self.filter, order: &self.order, page }.page(read).await
    }
}

/// A batch, by position.
fn batch<T: Item + Clone>(all: &[T], after: Option<String>, limit: u32) -> Page<T> {
    let mut items: Vec<(String, &T)> = all.iter().map(|item| (item.position(), item)).collect();
    items.retain(|(position, _)| after.as_ref().is_none_or(|after| position > after));
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|(position, _)| position.clone());
    Page { items: items.into_iter().map(|(_, item)| item.clone()).collect(), next }
}
