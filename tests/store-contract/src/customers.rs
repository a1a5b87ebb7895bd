//! Customers, and what they may order.

use std::sync::Arc;

use futures::future::join_all;
use landlord_core::{
    CredentialReading, CustomerId, OperationOutcome, Precondition, State, TenantSpec, Timestamp,
    environment::{Contract, CustomerLimits, CustomerRules, CustomerSpec},
    ports::{Change, CredentialStore, StoreError},
};

use crate::{assert_refused, fixtures::*};

fn acme() -> CustomerId {
    "acme".parse().unwrap()
}

fn limited(tenants: u32) -> CustomerSpec {
    let limits = CustomerLimits { tenants: Some(tenants), ..CustomerLimits::default() };
    CustomerSpec { display_name: "Acme".into(), limits, ..CustomerSpec::default() }
}

/// The fields that forbid an order.
fn forbidding<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Vec<String> {
    match result.unwrap_err() {
        StoreError::NotInContract { violations, .. } => violations.into_iter().map(|wrong| wrong.field).collect(),
        other => panic!("{other:?}"),
    }
}

pub async fn a_customer_is_made_changed_and_forgotten<S: Store>(store: Arc<S>) {
    let request = keyed("create");
    let made = store.create_customer(&acme(), limited(3), request.clone()).await.unwrap();
    assert_eq!((made.spec.clone(), store.customer(&acme()).await.unwrap()), (limited(3), made.clone()));
    assert_eq!(store.create_customer(&acme(), limited(3), request.clone()).await.unwrap(), made);
    let other = landlord_core::ports::RequestKey { request_hash: "other".into(), ..request.key.clone() };
    let reused = landlord_core::ports::RequestContext { key: other, ..request };
    assert_refused!(store.create_customer(&acme(), limited(4), reused).await, StoreError::RequestIdReused(_));
    assert_refused!(store.create_customer(&acme(), limited(4), once()).await, StoreError::AlreadyExists(_));
    let old = store.update_customer(&acme(), "\"old\"", limited(4), once()).await;
    assert_refused!(old, StoreError::EtagMismatch { .. });
    let changed = store.update_customer(&acme(), &made.etag, limited(4), once()).await.unwrap();
    assert!(changed.etag != made.etag && changed.spec == limited(4), "{changed:?}");
    for id in ["bolt", "core", "dune"] {
        store.create_customer(&id.parse().unwrap(), CustomerSpec::default(), once()).await.unwrap();
    }
    let first = store.customers(None, 2).await.unwrap();
    let second = store.customers(first.next.as_deref(), 2).await.unwrap();
    let ids: Vec<&str> = first.items.iter().chain(&second.items).map(|customer| customer.id.as_str()).collect();
    assert_eq!((ids.as_slice(), second.next), (["acme", "bolt", "core", "dune"].as_slice(), None));
    created(&*store, "acme", "prod").await;
    let refused = store.delete_customer(&acme(), None, false, once()).await;
    assert!(refusal(refused).contains("customers/acme/tenants/prod"));
    assert_refused!(store.delete_customer(&acme(), None, true, once()).await, StoreError::FailedPrecondition(_));
    let bolt = "bolt".parse().unwrap();
    assert_refused!(
        store.delete_customer(&bolt, Some("\"old\""), false, once()).await,
        StoreError::EtagMismatch { .. }
    );
    let deletion = keyed("delete");
    store.delete_customer(&bolt, None, true, deletion.clone()).await.unwrap();
    store.customer(&bolt).await.unwrap();
    for _ in 0..2 {
        store.delete_customer(&bolt, None, false, deletion.clone()).await.unwrap();
    }
    assert_refused!(store.customer(&bolt).await, StoreError::NotFound(_));
    // All of it is in the audit log.
    let log = audit_log(&*store).await;
    let of_acme: Vec<_> = log.iter().filter(|kept| kept.entry.record.resource == "customers/acme").collect();
    assert_eq!(of_acme.len(), 2);
    let changes = &of_acme[1].entry.record.changes;
    assert_eq!((changes[0].field.as_str(), changes[0].to.as_str()), ("limits.tenants", "4"), "{changes:?}");
}

pub async fn an_order_is_held_to_the_contract_with_all_violations<S: Store>(store: Arc<S>) {
    let spec = CustomerSpec {
        classes: vec!["large".parse().unwrap()],
        domains: vec![domain("acme.example.net")],
        limits: CustomerLimits { storage_gib: Some(15), nodes: Some(1), ..CustomerLimits::default() },
        ..CustomerSpec::default()
    };
    let made = store.create_customer(&acme(), spec, once()).await.unwrap();
    let prod = name("acme", "prod");
    let all = ["allowed_classes", "verified_domains", "limits.nodes_max"];
    assert_eq!(forbidding(store.create(new(&prod, once())).await), all);
    let order = new(&prod, once());
    assert_eq!(forbidding(store.check_contract(&order.name, (&order.spec, &order.placement), None).await), all);
    assert_refused!(store.get(&prod).await, StoreError::NotFound(_));
    let limits = CustomerLimits { storage_gib: Some(25), ..CustomerLimits::default() };
    let spec = CustomerSpec { limits, ..CustomerSpec::default() };
    let changed = store.update_customer(&acme(), &made.etag, spec, once()).await.unwrap();
    store.create(new(&prod, once())).await.unwrap();
    store.create(new(&name("acme", "second"), once())).await.unwrap();
    // 10 + 10 GiB; 20 + 10 would be too much, a new name is not.
    assert_eq!(
        forbidding(store.change(&prod, Precondition::None, update(larger()), once()).await),
        ["limits.storage_gib_max"]
    );
    let renamed = TenantSpec { display_name: "Renamed".into(), ..spec_of(&prod) };
    store.change(&prod, Precondition::None, update(renamed), once()).await.unwrap();
    let ended = Contract { end: Some(Timestamp(1)), ..Contract::default() };
    let spec = CustomerSpec { contract: ended, ..CustomerSpec::default() };
    store.update_customer(&acme(), &changed.etag, spec, once()).await.unwrap();
    assert_eq!(forbidding(store.create(new(&name("acme", "late"), once())).await), ["suspended"]);
    // A new revision is work, too.
    let tenant = store.get(&prod).await.unwrap();
    let renewed = Change::Renew { placement: tenant.placement.clone() };
    assert_eq!(forbidding(store.change(&prod, Precondition::None, renewed, once()).await), ["suspended"]);
    let named = tenant_of(&tenant).name.clone();
    let (spec, placement) = (spec_of(&prod), tenant.placement);
    let (order, as_is) = ((&spec, &placement), Some((&spec, &placement)));
    assert_eq!(forbidding(store.check_contract(&named, order, as_is).await), ["suspended"]);
    // Whatever became of the contract, what is there can be deleted.
    store.delete(&prod, delete()).await.unwrap();
}

pub async fn orders_at_once_never_exceed_a_limit<S: Store>(store: Arc<S>) {
    store.create_customer(&acme(), limited(3), once()).await.unwrap();
    let orders = (0..12).map(|turn| {
        let store = Arc::clone(&store);
        async move { store.create(new(&name("acme", &format!("t{turn}")), once())).await }
    });
    let answers = join_all(orders).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_eq!(forbidding(refused), ["limits.tenants_max"]);
    }
}

pub async fn a_customer_that_orders_is_known_or_refused<S: Store>(store: Arc<S>) {
    let request = keyed("order");
    store.create(new(&name("acme", "prod"), request.clone())).await.unwrap();
    assert_eq!(store.customer(&acme()).await.unwrap().spec, CustomerSpec::default());
    store.set_customer_rules(CustomerRules { make_unknown: false, freeze: true });
    let order = new(&name("bolt", "prod"), once());
    assert_refused!(
        store.check_contract(&order.name, (&order.spec, &order.placement), None).await,
        StoreError::FailedPrecondition(_)
    );
    assert_refused!(store.create(order).await, StoreError::FailedPrecondition(_));
    assert_refused!(store.customer(&"bolt".parse().unwrap()).await, StoreError::NotFound(_));
    assert!(store.create(new(&name("acme", "prod"), request)).await.unwrap().replayed);
}

pub async fn tenants_of_a_suspended_customer_are_left_as_they_are<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    make_ready(&*store).await;
    assert_eq!(store.next_due("a").await.unwrap(), None);
    let customer = store.customer(&acme()).await.unwrap();
    let suspended = CustomerSpec { suspended: true, ..CustomerSpec::default() };
    let customer = store.update_customer(&acme(), &customer.etag, suspended, once()).await.unwrap();
    // It is looked at, and work on it says why nothing is done.
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    assert!(work.frozen.as_ref().is_some_and(|why| why.contains("suspended")), "{:?}", work.frozen);
    store.commit(&claim, settle(&work, State::Ready, OperationOutcome::Ready)).await.unwrap();
    store.update_customer(&acme(), &customer.etag, CustomerSpec::default(), once()).await.unwrap();
    let work = store.load(&claim_one(&*store).await).await.unwrap();
    assert_eq!(work.frozen, None);
}

pub async fn of_a_suspended_customer_more_can_be_kept_and_nothing_changed<S: Store + CredentialStore>(store: Arc<S>) {
    let created = created(&*store, "acme", "prod").await.environment.unwrap();
    let name = created.name();
    let customer = store.customer(&acme()).await.unwrap();
    let suspended = CustomerSpec { suspended: true, ..CustomerSpec::default() };
    let customer = store.update_customer(&acme(), &customer.etag, suspended, once()).await.unwrap();
    let as_is = spec_of(&name);
    let change = async |spec: TenantSpec| {
        let placement = created.placement.clone();
        store.change(&name, Precondition::None, Change::Update { spec, placement }, once()).await
    };
    let renamed = TenantSpec { display_name: "Other".into(), ..as_is.clone() };
    assert_refused!(change(renamed.clone()).await, StoreError::NotInContract { .. });
    let tenant_name = name.tenant().unwrap();
    let ordered = (&renamed, &created.placement);
    let dry = store.check_contract(tenant_name, ordered, Some((&as_is, &created.placement))).await;
    assert_refused!(dry, StoreError::NotInContract { .. });
    let held = TenantSpec { deletion_protection: true, paused: true, ..as_is.clone() };
    change(held.clone()).await.unwrap();
    for loosened in [
        TenantSpec { deletion_protection: false, ..held.clone() },
        TenantSpec { paused: false, ..held.clone() },
        TenantSpec { labels: [("a".into(), "b".into())].into(), ..held.clone() },
    ] {
        assert_refused!(change(loosened).await, StoreError::NotInContract { .. });
    }
    // Nor are its passwords changed; a rotation that was refused leaves nothing behind.
    let of = (created.uid, &name);
    assert_refused!(store.credential_rotating(of, "files", "r1").await, StoreError::NotInContract { .. });
    let known = store.credentials(created.uid, &["files".into()], CredentialReading::Once).await.unwrap();
    assert!(known[0].is_readable);
    store.update_customer(&acme(), &customer.etag, CustomerSpec::default(), once()).await.unwrap();
    store.credential_rotating(of, "files", "r1").await.unwrap();
    change(TenantSpec { deletion_protection: false, ..held }).await.unwrap();
}
