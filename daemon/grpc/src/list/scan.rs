//! Pages of what matches a filter, in an order. The store gives items in its own order, a batch at a time; what it can't
//! choose by is chosen here, before the page is cut.
//!
//! # Guarantees
//! - One call reads at most [`SCAN_MAX`] items in the list's own order. A page may then have fewer items than it could,
//!   with a token to go on (AIP-158).
//! - In another order all that matches is read and sorted; more than [`SORT_MAX`] items are refused, with the remedy.

use std::future::Future;

use landlord_core::{
    Violation,
    ports::{Page, StoreError},
};
use serde::{Deserialize, Serialize};

use super::{
    filter::{Expression, Value},
    order::{Key, Order},
    page,
};
use crate::error::{Error, violation};

/// Items that one call reads at most in the list's own order.
const SCAN_MAX: usize = 10_000;
/// Items that are sorted at most: some 40 MB of tenants.
const SORT_MAX: usize = 10_000;
/// Items of a batch, where not all of it may match.
const BATCH: u32 = 500;

/// How a list chooses and orders.
pub(crate) struct Scan<'a> {
    pub(crate) filter: &'a Expression,
    pub(crate) order: &'a Order,
    pub(crate) page: page::Request<'a>,
}

/// Items of a list: where they stand in the store's order, and their fields.
pub(crate) trait Item: Sized {
    /// The store's position of the item.
    fn position(&self) -> String;
    /// A field that a filter or an order names.
    fn value(&self, field: &str) -> Value<'_>;
}

/// Where a page of a sorted list ended.
#[derive(Serialize, Deserialize)]
struct Last {
    keys: Vec<Key>,
    position: String,
}

impl Scan<'_> {
    /// The page, and the token of the next one. `read` gives the store's items after a position.
    pub(crate) async fn page<T, F, R>(&self, read: R) -> Result<(Vec<T>, String), Error>
    where
        T: Item,
        F: Future<Output = Result<Page<T>, StoreError>> + Send,
        R: Fn(Option<String>, u32) -> F + Send + Sync,
    {
        let (items, next) =
            if self.order.is_own() { self.in_own_order(read).await? } else { self.sorted(read).await? };
        Ok((items, self.page.next(next.as_deref())))
    }

    fn matches<T: Item>(&self, item: &T) -> bool {
        self.filter.matches(&|field: &str| item.value(field))
    }

    async fn in_own_order<T, F, R>(&self, read: R) -> Result<(Vec<T>, Option<String>), Error>
    where
        T: Item,
        F: Future<Output = Result<Page<T>, StoreError>> + Send,
        R: Fn(Option<String>, u32) -> F + Send + Sync,
    {
        let limit = self.page.limit()? as usize;
        let mut after = self.page.position()?;
        let all_match = *self.filter == Expression::And(Vec::new());
        let (mut found, mut scanned) = (Vec::new(), 0);
        loop {
            let wanted = u32::try_from(limit - found.len()).unwrap_or(u32::MAX);
            let batch = read(after, if all_match { wanted } else { wanted.max(BATCH) }).await?;
            let (count, mut more) = (batch.items.len(), batch.next.is_some());
            after = batch.next;
            for (index, item) in batch.items.into_iter().enumerate() {
                let position = item.position();
                if self.matches(&item) {
                    found.push(item);
                }
                if found.len() == limit && index + 1 < count {
                    more = true;
                    after = Some(position);
                    break;
                }
            }
            scanned += count;
            if !more || found.len() == limit || scanned >= SCAN_MAX {
                return Ok((found, after.filter(|_| more)));
            }
        }
    }

    async fn sorted<T, F, R>(&self, read: R) -> Result<(Vec<T>, Option<String>), Error>
    where
        T: Item,
        F: Future<Output = Result<Page<T>, StoreError>> + Send,
        R: Fn(Option<String>, u32) -> F + Send + Sync,
    {
        let limit = self.page.limit()? as usize;
        let last = self.page.position()?.map(|text| last(&text)).transpose()?;
        let (mut found, mut after, mut scanned) = (Vec::new(), None, 0);
        loop {
            let batch = read(after, BATCH).await?;
            scanned += batch.items.len();
            for item in batch.items.into_iter().filter(|item| self.matches(item)) {
                found.push((self.order.keys(&|field: &str| item.value(field)), item));
            }
            if found.len() > SORT_MAX || scanned > SORT_MAX * 4 {
                let problem =
                    format!("would sort more than {SORT_MAX} items; narrow the filter, or leave the order out");
                return Err(violation("order_by", problem).into());
            }
            after = batch.next;
            if after.is_none() {
                break;
            }
        }
        // The sort is stable: what has the same keys stays in the store's order.
        found.sort_by(|(one, _), (other, _)| self.order.compare(one, other));
        if let Some(last) = last {
            // The item itself may be gone, or its keys changed: whatever stands behind its place is next.
            let same = found.iter().position(|(keys, item)| *keys == last.keys && item.position() == last.position);
            let passed = same.map_or_else(
                || found.partition_point(|(keys, _)| self.order.compare(keys, &last.keys).is_lt()),
                |index| index + 1,
            );
            found.drain(..passed);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(keys, item)| {
            let last = Last { keys: keys.clone(), position: item.position() };
            serde_json::to_string(&last).unwrap_or_default()
        });
        Ok((found.into_iter().map(|(_, item)| item).collect(), next))
    }
}

fn last(text: &str) -> Result<Last, Violation> {
    serde_json::from_str(text)
        .map_err(|_| violation("page_token", "is not a token of this list; repeat the list from its first page"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::filter::{Field, Kind, parse},
        *,
    };

    const FIELDS: [Field; 2] = [Field::text("name"), Field::new("age", Kind::Number)];

    struct Person(usize);

    impl Item for Person {
        fn position(&self) -> String {
            format!("{:05}", self.0)
        }

        fn value(&self, field: &str) -> Value<'_> {
            match field {
                "age" => Value::Number(i64::try_from(self.0 % 7).unwrap()),
                _ => Value::text(self.position()),
            }
        }
    }

    /// All pages of a list over `count` people: their numbers, and how many pages there were.
    async fn pages(count: usize, filter: &str, order: &str, size: i32) -> Result<(Vec<usize>, usize), Error> {
        let (filter, order) = (parse(filter, &FIELDS)?, Order::parse(order, &FIELDS)?);
        let tokens = crate::opaque::OpaqueTokens::new(&[7; 32]).unwrap();
        let (mut all, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = page::Request { scope: "people", size, token: &token, tokens: &tokens };
            let scan = Scan { filter: &filter, order: &order, page };
            let read = async |after: Option<String>, limit: u32| {
                let first = after.map_or(0, |after| after.parse::<usize>().unwrap() + 1);
                let end = count.min(first + limit as usize);
                let next = (end < count).then(|| Person(end - 1).position());
                Ok(Page { items: (first..end).map(Person).collect(), next })
            };
            let (people, next) = scan.page(read).await?;
            assert!(people.len() <= usize::try_from(size).unwrap());
            all.extend(people.into_iter().map(|person| person.0));
            pages += 1;
            if next.is_empty() {
                return Ok((all, pages));
            }
            token = next;
        }
    }

    #[tokio::test]
    async fn every_match_is_on_one_page_whatever_the_sizes() {
        for (count, filter) in [(0, ""), (1, ""), (10, ""), (1_203, "age = 3"), (1_203, "age = 9"), (20, "age >= 0")] {
            let expected: Vec<usize> =
                (0..count).filter(|i| filter != "age = 9" && (filter != "age = 3" || i % 7 == 3)).collect();
            for size in [1, 3, 10, 100] {
                assert_eq!(pages(count, filter, "", size).await.unwrap().0, expected, "{count} {filter} {size}");
            }
            let mut sorted = expected;
            sorted.sort_by_key(|i| (std::cmp::Reverse(i % 7), *i));
            for size in [7, 100] {
                assert_eq!(pages(count, filter, "age desc", size).await.unwrap().0, sorted, "{count} {filter} {size}");
            }
        }
    }

    #[tokio::test]
    async fn a_call_reads_within_bounds() {
        // Nobody matches: pages stay empty, and each costs at most SCAN_MAX items.
        assert_eq!(pages(35_000, "age = 9", "", 10).await.unwrap(), (Vec::new(), 4));
        let refused = pages(SORT_MAX + 1, "", "age", 10).await.unwrap_err();
        assert!(refused.to_string().contains("order_by: would sort more than 10000"), "{refused}");
    }
}
