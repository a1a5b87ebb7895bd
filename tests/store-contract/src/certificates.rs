//! Places among the certificates that an authority gives an installation.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use landlord_core::{
    CertificateOrder, OperationOutcome, State,
    certificate::{Allowance, LimitedBy, OrderLimit, OrderLimits},
    ports::{Claim, StoreError},
};

use crate::fixtures::*;

const NONE: OrderLimit = OrderLimit { max: 0, window: HOUR };

fn limits(by: LimitedBy, limit: OrderLimit) -> OrderLimits {
    let of = |other| if by == other { limit } else { NONE };
    OrderLimits {
        orders: of(LimitedBy::Orders),
        registered_domain: of(LimitedBy::RegisteredDomain),
        same_names: of(LimitedBy::SameNames),
    }
}

fn order(names: &[&str]) -> CertificateOrder {
    let authority = "https://acme.example.com/directory".to_owned();
    CertificateOrder { authority, names: names.iter().map(|&name| name.to_owned()).collect() }
}

async fn claims<S: Store>(store: &S, tenants: usize) -> Vec<Claim> {
    for tenant in 0..tenants {
        created(store, &format!("c{tenant}"), "t").await;
    }
    let claims = store.claim("a", 100, LEASE).await.unwrap();
    assert_eq!(claims.len(), tenants);
    claims
}

pub async fn certificates_ordered_at_once_never_exceed_a_limit<S: Store>(store: Arc<S>) {
    let claims = claims(&*store, 12).await;
    let limits = limits(LimitedBy::RegisteredDomain, OrderLimit { max: 5, window: HOUR });
    let asked = claims.iter().enumerate().map(|(number, claim)| {
        let (store, order) = (Arc::clone(&store), order(&[&format!("*.t{number}.example.com")]));
        async move { store.order_certificate(claim, &order, &limits, false).await.unwrap() }
    });
    let allowed = join_all(asked).await;
    let waits = allowed.iter().filter_map(|allowance| match allowance {
        Allowance::Granted => None,
        Allowance::Wait(wait) => Some(wait),
    });
    let waits: Vec<_> = waits.collect();
    assert_eq!(waits.len(), 7);
    for wait in waits {
        assert_eq!((wait.limited_by, wait.ordered, wait.of.as_str()), (LimitedBy::RegisteredDomain, 5, "example.com"));
    }
    // Another registered domain has places of its own.
    let other = order(&["*.t.example.org"]);
    assert_eq!(store.order_certificate(&claims[0], &other, &limits, false).await.unwrap(), Allowance::Granted);
}

pub async fn a_certificates_place_is_taken_once_and_for_its_time<S: Store>(store: Arc<S>) {
    let claims = claims(&*store, 3).await;
    let window = Duration::from_secs(2);
    let limits = limits(LimitedBy::Orders, OrderLimit { max: 1, window });
    let (first, second) = (order(&["*.one.example.com"]), order(&["*.two.example.org"]));
    for _ in 0..3 {
        assert_eq!(store.order_certificate(&claims[0], &first, &limits, false).await.unwrap(), Allowance::Granted);
    }
    let Allowance::Wait(wait) = store.order_certificate(&claims[1], &second, &limits, false).await.unwrap() else {
        panic!("one more than the limit");
    };
    assert!(wait.limited_by == LimitedBy::Orders && wait.ordered == 1, "{wait}");
    // Who works for its customer already is not made to wait; what it is first seen with is what it has, and counts from its order on.
    assert_eq!(store.order_certificate(&claims[2], &second, &limits, true).await.unwrap(), Allowance::Granted);
    let now = store.load(&claims[1]).await.unwrap().now;
    tokio::time::sleep(wait.until.since(now) + Duration::from_millis(5)).await;
    assert_eq!(store.order_certificate(&claims[1], &second, &limits, false).await.unwrap(), Allowance::Granted);
    // Other names are another certificate, which counts.
    let more = order(&["*.two.example.org", "two.example.org"]);
    assert!(matches!(store.order_certificate(&claims[1], &more, &limits, false).await.unwrap(), Allowance::Wait(_)));
    assert_eq!(store.order_certificate(&claims[2], &more, &limits, true).await.unwrap(), Allowance::Granted);
    tokio::time::sleep(window).await;
    assert_eq!(store.order_certificate(&claims[0], &first, &limits, false).await.unwrap(), Allowance::Granted);
    assert_eq!(store.order_certificate(&claims[1], &more, &limits, false).await.unwrap(), Allowance::Granted);
}

pub async fn certificates_of_who_is_gone_still_count_and_a_lost_claim_takes_no_place<S: Store>(store: Arc<S>) {
    let limits = limits(LimitedBy::SameNames, OrderLimit { max: 1, window: HOUR });
    let names = order(&["chat.example.com", "files.example.com"]);
    created(&*store, "acme", "one").await;
    let claim = claim_one(&*store).await;
    assert_eq!(store.order_certificate(&claim, &names, &limits, false).await.unwrap(), Allowance::Granted);
    let work = store.load(&claim).await.unwrap();
    store.commit(&claim, settle(&work, State::Ready, OperationOutcome::Ready)).await.unwrap();
    store.delete(&name("acme", "one"), delete()).await.unwrap();
    make_gone(&*store).await;
    let lost = store.order_certificate(&claim, &order(&["sftp.example.com"]), &limits, false).await;
    assert!(matches!(lost, Err(StoreError::FenceLost(_))), "{lost:?}");
    // The same customer again, with the same domain: authorities know no tenants.
    created(&*store, "acme", "one").await;
    let claim = claim_one(&*store).await;
    let again = store.order_certificate(&claim, &names, &limits, false).await.unwrap();
    assert!(matches!(again, Allowance::Wait(ref wait) if wait.limited_by == LimitedBy::SameNames), "{again:?}");
}
