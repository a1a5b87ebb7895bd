//! Who has read which first credential.

use std::sync::Arc;

use landlord_core::{
    CredentialReading, OperationOutcome, State, TenantUid,
    audit::{AuditRecord, Author, Outcome},
    ports::{Caller, CredentialRecord, CredentialStore, EventQuery, EventScope},
};

use crate::fixtures::*;

fn names() -> Vec<String> {
    vec!["files".into(), "chat".into()]
}

async fn readable<S: Store + CredentialStore>(store: &S, uid: TenantUid, reading: CredentialReading) -> Vec<bool> {
    let records = store.credentials(uid, &names(), reading).await.unwrap();
    records.iter().map(|record| record.is_readable).collect()
}

fn used_by(principal: &str) -> AuditRecord {
    let author = Author { principal: principal.into(), ..Author::default() };
    AuditRecord::new(author, String::new(), None, Outcome::Done)
}

async fn seen<S: Store + CredentialStore>(store: &S, uid: TenantUid) -> Vec<CredentialRecord> {
    store.credentials(uid, &names(), CredentialReading::Once).await.unwrap()
}

pub async fn a_credential_is_given_as_its_class_says<S: Store + CredentialStore>(store: Arc<S>) {
    use CredentialReading::{Once, UntilUsed};
    created(&*store, "acme", "one").await;
    let name = name("acme", "one");
    let uid = store.get(&name).await.unwrap().uid;
    let of = (uid, &name);
    assert_eq!(readable(&*store, uid, Once).await, [true, true]);
    // Two at once: each is given to one of them.
    let (asked, by) = (seen(&*store, uid).await, Caller::Daemon);
    let (one, two) =
        tokio::join!(store.read_credentials(of, &asked, Once, &by), store.read_credentials(of, &asked, Once, &by));
    let mut given = [one.unwrap(), two.unwrap()];
    given.sort();
    assert_eq!(given, [Vec::new(), names()]);
    assert_eq!(readable(&*store, uid, Once).await, [false, false]);
    assert_eq!(readable(&*store, uid, UntilUsed).await, [true, true]);
    assert_eq!(store.read_credentials(of, &asked, UntilUsed, &by).await.unwrap(), names());
    let used = ["chat".to_owned()];
    for _ in 0..100 {
        store.credentials_used(of, &used, &by, used_by("ann")).await.unwrap();
        assert_eq!(store.read_credentials(of, &asked[..1], UntilUsed, &by).await.unwrap(), ["files"]);
    }
    assert_eq!(readable(&*store, uid, UntilUsed).await, [true, false]);
    // A rotation counts once, whoever repeats it.
    store.credential_rotated(of, "chat", "r1", &by).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [false, true]);
    let asked = seen(&*store, uid).await;
    assert_eq!(store.read_credentials(of, &asked, Once, &by).await.unwrap(), ["chat"]);
    store.credential_rotated(of, "chat", "r1", &by).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [false, false]);
    let query = EventQuery { scope: EventScope::Environment(name.clone()), limit: 100, ..EventQuery::default() };
    let events = store.events(&query).await.unwrap();
    let reasons: Vec<&str> = events.iter().skip(1).map(|event| event.event.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["CredentialsRead", "CredentialsUsed", "CredentialRotated", "CredentialsRead"],
        "whoever repeats a call makes no event by it"
    );
    let log = audit_log(&*store).await;
    let used: Vec<_> = log.iter().filter(|kept| kept.entry.record.author.principal == "ann").collect();
    assert_eq!(used.len(), 1);
    assert_eq!(used[0].entry.record.detail, "the credentials chat are in use");
    // What is known of it goes with the tenant.
    store.delete(&name, delete()).await.unwrap();
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let end = settle(&work, State::Deleting, OperationOutcome::Deleted { removed: Vec::new() });
    store.commit(&claim, landlord_core::ports::Commit { remove: true, ..end }).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [true, true]);
}

pub async fn nobody_reads_what_is_rotated_meanwhile<S: Store + CredentialStore>(store: Arc<S>) {
    use CredentialReading::Once;
    created(&*store, "acme", "two").await;
    let name = name("acme", "two");
    let uid = store.get(&name).await.unwrap().uid;
    let (of, by) = ((uid, &name), Caller::Daemon);
    // What was seen before a rotation is not given after it, nor while it runs.
    let before = seen(&*store, uid).await;
    store.credential_rotating(of, "files", "r1").await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [false, true]);
    assert_eq!(store.read_credentials(of, &before[..1], Once, &by).await.unwrap(), Vec::<String>::new());
    store.credential_rotated(of, "files", "r1", &by).await.unwrap();
    assert_eq!(store.read_credentials(of, &before[..1], Once, &by).await.unwrap(), Vec::<String>::new());
    assert_eq!(readable(&*store, uid, Once).await, [true, true]);
    let after = seen(&*store, uid).await;
    assert_eq!(store.read_credentials(of, &after[..1], Once, &by).await.unwrap(), ["files"]);
    // Repeated for one that has ended it changes nothing; one that left the old value neither.
    store.credential_rotating(of, "files", "r1").await.unwrap();
    store.credential_rotating(of, "files", "r2").await.unwrap();
    store.credential_not_rotated(of, "files", "r2", true).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [false, true]);
    // One that failed late may have left the new one.
    store.credential_rotating(of, "files", "r3").await.unwrap();
    store.credential_not_rotated(of, "files", "r2", false).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [false, true], "another rotation runs");
    store.credential_not_rotated(of, "files", "r3", false).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [true, true]);
}
