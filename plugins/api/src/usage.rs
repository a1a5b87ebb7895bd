//! What a call of a method really takes from the cloud's rate limits. A plugin says [`count`]
//! for every outside call that it makes; the answer's `Progress.used` is filled from it, and
//! the daemon then charges that instead of the method's typical cost.

use std::{cell::RefCell, collections::BTreeMap, future::Future};

use crate::v1::BucketUse;

tokio::task_local! {
    static USED: RefCell<BTreeMap<String, u32>>;
}

/// One outside call was made that the bucket (`RateBucket.name`) limits. Does nothing outside a
/// method of the contract, and in a task that the method spawned: a plugin that spawns counts
/// where it waits.
pub fn count(bucket: &str) {
    let _ = USED.try_with(|used| {
        let mut used = used.borrow_mut();
        match used.get_mut(bucket) {
            Some(calls) => *calls = calls.saturating_add(1),
            None => drop(used.insert(bucket.to_owned(), 1)),
        }
    });
}

/// What was counted so far in this call.
#[must_use]
pub fn used() -> Vec<BucketUse> {
    let list = |used: &RefCell<BTreeMap<String, u32>>| {
        used.borrow().iter().map(|(bucket, calls)| BucketUse { bucket: bucket.clone(), calls: *calls }).collect()
    };
    USED.try_with(list).unwrap_or_default()
}

/// Runs one call of a method with a count of its own.
pub async fn counted<F: Future>(call: F) -> F::Output {
    USED.scope(RefCell::default(), call).await
}

#[cfg(test)]
mod tests {
    use super::{count, counted, used};

    #[tokio::test]
    async fn calls_are_counted_by_bucket_and_by_method_call() {
        count("outside");
        let one = counted(async {
            count("a/read");
            tokio::task::yield_now().await;
            count("a/read");
            count("b/all");
            used()
        });
        let two = counted(async { used() });
        let (one, two) = tokio::join!(one, two);
        let one: Vec<_> = one.into_iter().map(|u| (u.bucket, u.calls)).collect();
        assert_eq!(one, [("a/read".to_owned(), 2), ("b/all".to_owned(), 1)]);
        assert_eq!(two, []);
    }
}
