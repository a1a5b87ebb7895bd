//! Who did what, as the store records it.

use std::sync::Arc;

use futures::future::join_all;
use landlord_audit::SigningKey;
use landlord_core::{
    DesiredState, OperationOutcome, Precondition, Stage, StageState, State,
    access::{AuthMethod, Principal},
    audit::{AuditRecord, Author, Outcome},
    ports::{
        AuditEnd, AuditQuery, Caller, Commit, DeleteRequest, EventKind, HeadSigner, KeptEntry, NewEvent, NewTenant,
        RequestContext, StoreError, Via,
    },
};

use crate::{assert_refused, fixtures::*};

/// A request of somebody.
fn of(principal: &str, rpc: &'static str) -> RequestContext {
    let principal = Principal {
        name: principal.into(),
        groups: [].into(),
        customer: None,
        method: AuthMethod::Token,
        expire_time: None,
    };
    RequestContext {
        caller: Caller::Principal(principal),
        via: Via::new("192.0.2.7:4711".into(), "portal/1"),
        rpc,
        client_request_id: "the-clients-own".into(),
        ..keyed(rpc)
    }
}

fn summary(kept: &KeptEntry) -> (String, String, String) {
    let record = &kept.entry.record;
    (record.author.principal.clone(), record.author.action.clone(), record.resource.clone())
}

pub async fn every_change_is_recorded_with_who_and_what<S: Store>(store: Arc<S>) {
    let acme = name("acme", "prod");
    let created = store.create(new(&acme, of("corp:ann", "CreateTenant"))).await.unwrap();
    let updated = store
        .change(&acme, Precondition::None, update(larger()), of("corp:bob", "UpdateTenant"))
        .await
        .unwrap()
        .environment
        .unwrap();
    let running = updated.operation;
    store.cancel(running, of("corp:eve", "CancelOperation")).await.unwrap();
    let request = of("corp:dan", "DeleteTenant");
    store.delete(&acme, DeleteRequest { request, ..delete() }).await.unwrap();
    let log = audit_log(&*store).await;
    let name = acme.to_string();
    let expected = [
        ("corp:ann", "CreateTenant"),
        ("corp:bob", "UpdateTenant"),
        ("corp:eve", "CancelOperation"),
        ("corp:dan", "DeleteTenant"),
    ];
    let expected = expected.map(|(who, what)| (who.to_owned(), what.to_owned(), name.clone()));
    // The first order made the customer, too.
    assert_eq!(summary(&log[0]), ("corp:ann".into(), "CreateTenant".into(), "customers/acme".into()));
    let log = &log[1..];
    assert_eq!(log.iter().map(summary).collect::<Vec<_>>(), expected);
    let record = &log[0].entry.record;
    let etag = created.environment.unwrap().etag;
    assert_eq!((record.etag_before.as_str(), &record.etag_after), ("", &etag));
    assert_eq!(record.operation, format!("operations/{}", created.operation.id));
    let author = &record.author;
    assert_eq!((author.method.as_str(), author.address.as_str()), ("TOKEN", "192.0.2.7:4711"));
    assert_eq!((author.user_agent.as_str(), author.request_id.as_str()), ("portal/1", "the-clients-own"));
    let record = &log[1].entry.record;
    assert_eq!((&record.etag_before, &record.etag_after), (&etag, &updated.etag));
    let changes: Vec<_> = record.changes.iter().map(|c| (c.field.as_str(), c.from.as_str(), c.to.as_str())).collect();
    assert_eq!(changes, [("storageGib", "10", "20")]);
    assert!(log.windows(2).all(|pair| pair[0].entry.time <= pair[1].entry.time));
    let of_others = AuditQuery { customer: "globex".parse().ok(), limit: 10, ..AuditQuery::default() };
    assert!(store.entries(&of_others).await.unwrap().is_empty());
    let own = AuditQuery { customer: "acme".parse().ok(), since: Some(log[0].entry.time), limit: 2, after_seq: 2 };
    assert_eq!(store.entries(&own).await.unwrap(), log[1..3]);
}

pub async fn what_is_refused_or_repeated_is_no_change<S: Store>(store: Arc<S>) {
    let acme = name("acme", "prod");
    let request = of("corp:ann", "CreateTenant");
    store.create(new(&acme, request.clone())).await.unwrap();
    assert!(store.create(new(&acme, request)).await.unwrap().replayed);
    assert_refused!(store.create(new(&acme, once())).await, StoreError::AlreadyExists(_));
    assert_refused!(
        store.change(&acme, Precondition::of_etag("old"), update(larger()), once()).await,
        StoreError::EtagMismatch { .. }
    );
    let log = audit_log(&*store).await;
    assert_eq!(log.len(), 2, "the customer and the tenant: {log:?}");
}

pub async fn the_engines_work_names_whose_request_it_is<S: Store>(store: Arc<S>) {
    let acme = name("acme", "prod");
    let created = store.create(new(&acme, of("corp:ann", "CreateTenant"))).await.unwrap();
    let claim = claim_one(&*store).await;
    let started = NewEvent { stage: "network".into(), ..event(EventKind::Stage, "StageStarted") };
    let stages = vec![record(Stage::Network, DesiredState::Present, StageState::Running)];
    store.commit(&claim, Commit { stages, events: vec![started], ..Commit::default() }).await.unwrap();
    // A look that changes nothing is no entry.
    store.commit(&claim, Commit::default()).await.unwrap();
    let work = store.load(&claim).await.unwrap();
    store.commit(&claim, settle(&work, State::Ready, OperationOutcome::Ready)).await.unwrap();
    let request = of("corp:dan", "DeleteTenant");
    store.delete(&acme, DeleteRequest { request, ..delete() }).await.unwrap();
    make_gone(&*store).await;
    let log = audit_log(&*store).await;
    let reported: Vec<_> = log
        .iter()
        .map(|kept| {
            let record = &kept.entry.record;
            (record.author.principal.as_str(), record.author.origin.as_str(), record.detail.as_str())
        })
        .collect();
    let expected = [
        ("corp:ann", "", ""),
        ("corp:ann", "", ""),
        ("landlord", "corp:ann", "StageStarted network"),
        ("landlord", "corp:ann", "operation ended: READY"),
        ("corp:dan", "", ""),
        ("landlord", "corp:dan", "operation ended: DELETED"),
    ];
    assert_eq!(reported, expected);
    assert_eq!(log[2].entry.record.operation, format!("operations/{}", created.operation.id));
    assert_eq!(log[5].entry.record.etag_after, "", "it is gone");
}

pub async fn records_at_once_are_one_chain<S: Store>(store: Arc<S>) {
    let denial = |index: usize| {
        let author = Author { principal: format!("p{index}"), ..Author::default() };
        AuditRecord::new(author, "customers/acme".into(), None, Outcome::Denied)
    };
    let calls = (0..40).map(|index| {
        let store = Arc::clone(&store);
        async move {
            if index % 2 == 0 {
                store.record(vec![denial(index), denial(index)]).await.unwrap();
            } else {
                created(&*store, "acme", &format!("t{index}")).await;
            }
        }
    });
    join_all(calls).await;
    let log = audit_log(&*store).await;
    assert_eq!(log.len(), 61);
    assert_eq!(log.last().unwrap().entry.seq, 61);
}

#[derive(Debug)]
struct Key(SigningKey);

impl HeadSigner for Key {
    fn key_id(&self) -> &str {
        self.0.id()
    }

    fn sign(&self, seq: i64, hash: &str) -> String {
        self.0.sign(seq, hash)
    }

    fn sign_pruning(&self, seq: i64, hash: &str) -> String {
        self.0.sign_pruning(seq, hash)
    }
}

/// Of no other use than this test's.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIL3QlMDGfnr0NgMuTfET+4fkND6wM43sm+OoKfWM4SSv\n\
                   -----END PRIVATE KEY-----\n";

pub async fn heads_are_signed_as_the_log_grows<S: Store>(store: Arc<S>) {
    let key = || SigningKey::from_pem(KEY).unwrap();
    store.sign_audit(Arc::new(Key(key())));
    let author = || Author::daemon("Test", "");
    for _ in 0..25 {
        let records = (0..10).map(|_| AuditRecord::new(author(), String::new(), None, Outcome::Done));
        store.record(records.collect()).await.unwrap();
    }
    let log = audit_log(&*store).await;
    let heads: Vec<i64> =
        log.iter().filter(|kept| !kept.head_signature.is_empty()).map(|kept| kept.entry.seq).collect();
    // The first at once: none had been signed for long.
    assert_eq!(heads, [10, 110, 210]);
    assert_eq!(signed(log), 210);
}

/// The last entry that a head vouches for, of a log that is whole.
fn signed(log: Vec<KeptEntry>) -> i64 {
    verified(log).signed
}

/// What holds of a log, whose prunings must be signed.
fn verified(log: Vec<KeptEntry>) -> landlord_audit::Verified {
    let mut verifier = landlord_audit::Verifier::new(vec![SigningKey::from_pem(KEY).unwrap().public()]);
    for kept in log {
        let line = landlord_audit::Line {
            entry: kept.text,
            hash: kept.hash,
            head_key_id: kept.head_key_id,
            head_signature: kept.head_signature,
        };
        verifier.take(&line).unwrap();
    }
    verifier.end(None).unwrap()
}

pub async fn what_is_undone_is_signed_by_no_head<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    store.sign_audit(Arc::new(Key(SigningKey::from_pem(KEY).unwrap())));
    // Its customer is entered before its domain is found to be taken: all of it is undone, when a head is due.
    let taken = NewTenant { spec: spec_of(&name("acme", "prod")), ..new(&name("bolt", "prod"), once()) };
    assert_refused!(store.create(taken).await, StoreError::DomainTaken { .. });
    for tenant in 0..3 {
        created(&*store, "acme", &format!("t{tenant}")).await;
    }
    let log = audit_log(&*store).await;
    let last = log.last().unwrap().entry.seq;
    assert!((1..=last).contains(&signed(log)), "{last}");
}

pub async fn what_is_pruned_is_recorded<S: Store>(store: Arc<S>) {
    for tenant in 0..5 {
        created(&*store, "acme", &format!("t{tenant}")).await;
    }
    assert!(store.audit_older_than(HOUR, 10).await.unwrap().is_empty());
    let old = store.audit_older_than(std::time::Duration::ZERO, 3).await.unwrap();
    let end = AuditEnd { seq: old[2].entry.seq, hash: old[2].hash.clone() };
    let wrong = AuditEnd { hash: "0".into(), ..end.clone() };
    assert_refused!(store.prune_audit(&wrong, "file").await, StoreError::FailedPrecondition(_));
    assert_eq!(audit_log(&*store).await.len(), 6);
    store.sign_audit(Arc::new(Key(SigningKey::from_pem(KEY).unwrap())));
    store.prune_audit(&end, "audit-1-3.jsonl").await.unwrap();
    // Verified from entry 4 on: the last one says that three were pruned.
    let log = audit_log(&*store).await;
    assert_eq!(log.iter().map(|kept| kept.entry.seq).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert!(log[3].entry.record.detail.contains("audit-1-3.jsonl"));
    let pruned = verified(log).pruned.unwrap();
    assert_eq!((pruned.through, pruned.entry, pruned.signed), (3, 7, true));
    assert_refused!(store.prune_audit(&end, "again").await, StoreError::FailedPrecondition(_));
}
