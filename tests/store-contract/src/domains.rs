//! Domains: each belongs to one tenant, with what lies below it.

use std::sync::Arc;

use futures::future::join_all;
use landlord_core::{
    EnvironmentName, TenantSpec,
    ports::{NewHostCluster, NewTenant, RequestContext, StoreError},
};

use crate::{assert_refused, fixtures::*};

fn order(name: &EnvironmentName, text: &str, request: RequestContext) -> NewTenant {
    NewTenant { spec: TenantSpec { domain: domain(text), ..spec() }, ..new(name, request) }
}

/// Observes and orders; both must say the same.
async fn try_order<S: Store>(store: &S, customer: &str, tenant: &str, text: &str) -> Result<(), StoreError> {
    let name = name(customer, tenant);
    let checked = store.check_domain(name.tenant().unwrap(), &domain(text)).await;
    let created = store.create(order(&name, text, once())).await.map(drop);
    let refused = |result: &Result<(), StoreError>| result.as_ref().err().map(ToString::to_string);
    assert_eq!(refused(&checked), refused(&created), "{text}");
    created
}

pub async fn a_domain_belongs_to_one_tenant<S: Store>(store: Arc<S>) {
    try_order(&*store, "acme", "first", "acme.example.com").await.unwrap();
    // Who orders, for what, and whether it is had.
    let cases = [
        ("bolt", "acme.example.com", false),
        ("acme", "acme.example.com", false),
        ("bolt", "files.acme.example.com", false),
        ("bolt", "a.b.c.acme.example.com", false),
        ("bolt", "example.com", false),
        ("acme", "files.acme.example.com", true),
        ("acme", "example.com", true),
        // `example.com` is acme's by now, and so is all below it.
        ("bolt", "bolt.example.com", false),
        ("bolt", "xexample.com", true),
        ("bolt", "example.com.org", true),
        ("bolt", "example.org", true),
        ("core", "core.example.net", true),
        ("bolt", "xcore.example.net", true),
        ("bolt", "core-x.example.net", true),
        ("bolt", "x-core.example.net", true),
        ("bolt", "example.net", false),
        ("core", "net.core", true),
    ];
    for (turn, (customer, text, had)) in cases.into_iter().enumerate() {
        let response = try_order(&*store, customer, &format!("t{turn}"), text).await;
        assert_eq!(response.is_ok(), had, "{customer} {text}: {response:?}");
        if !had {
            assert_refused!(response, StoreError::DomainTaken { .. });
        }
    }
    // A tenant does not stand in its own way.
    store.check_domain(name("acme", "first").tenant().unwrap(), &domain("acme.example.com")).await.unwrap();
    // Other spellings of the same name are no domains at all.
    for other in ["ACME.example.com", "acme.example.com."] {
        landlord_core::environment::Domain::try_from(other.to_owned()).unwrap_err();
    }
}

pub async fn what_is_refused_names_no_other_customer<S: Store>(store: Arc<S>) {
    try_order(&*store, "secretive", "hidden", "corp.example.com").await.unwrap();
    let cases = [
        ("corp.example.com", "the domain corp.example.com is taken, or lies above or below one that is; "),
        ("a.corp.example.com", "the domain a.corp.example.com is taken, or lies above or below one that is; "),
        ("example.com", "the domain example.com is taken, or lies above or below one that is; "),
    ];
    for (text, expected) in cases {
        let refused = try_order(&*store, "bolt", "prod", text).await;
        assert_refused!(&refused, StoreError::DomainTaken { tenant: None, .. });
        let message = refusal(refused);
        assert!(message.starts_with(expected) && message.contains("order a domain that no tenant has"), "{message}");
        let secret = ["secretive", "hidden"].iter().any(|word| message.contains(word));
        assert!(!secret && (text.contains("corp") || !message.contains("corp")), "{message}");
    }
    let own = try_order(&*store, "secretive", "second", "corp.example.com").await;
    assert!(refusal(own).contains("belongs to customers/secretive/tenants/hidden already"));
}

pub async fn a_domain_is_free_when_its_record_is_gone<S: Store>(store: Arc<S>) {
    let acme = name("acme", "prod");
    created(&*store, "acme", "prod").await;
    store.delete(&acme, delete()).await.unwrap();
    let taken = spec().domain;
    for _ in 0..2 {
        let early = try_order(&*store, "bolt", "prod", taken.as_str()).await;
        assert_refused!(early, StoreError::DomainTaken { .. });
    }
    make_gone(&*store).await;
    try_order(&*store, "bolt", "prod", taken.as_str()).await.unwrap();
}

pub async fn creates_at_once_let_one_have_a_domain<S: Store>(store: Arc<S>) {
    // The same, one above and one below: whoever comes first keeps all others out.
    let texts = ["acme.example.com", "example.com", "files.acme.example.com"];
    let calls = (0..30).map(|turn| {
        let name = name(&format!("c{turn}"), "prod");
        store.create(order(&name, texts[turn % texts.len()], once()))
    });
    let responses = join_all(calls).await;
    assert_eq!(responses.iter().filter(|response| response.is_ok()).count(), 1, "{responses:?}");
    for response in responses.into_iter().filter(Result::is_err) {
        assert_refused!(response, StoreError::DomainTaken { .. });
    }
}

pub async fn a_replay_and_a_host_cluster_take_no_domain<S: Store>(store: Arc<S>) {
    for id in ["one", "two"] {
        let id = id.parse().unwrap();
        let host = NewHostCluster { id, spec: host_spec(3), placement: placement(), request: once() };
        store.create_host_cluster(host).await.unwrap();
    }
    let (acme, request) = (name("acme", "prod"), keyed("same"));
    let first = store.create(new(&acme, request.clone())).await.unwrap();
    let again = store.create(new(&acme, request)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.operation.id, first.operation.id);
}
