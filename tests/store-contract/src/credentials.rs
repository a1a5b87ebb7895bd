//! Who has read which first credential.

use std::sync::Arc;

use landlord_core::{
    CredentialReading, OperationOutcome, State, TenantUid,
    ports::{Caller, CredentialStore, EventQuery, EventScope},
};

use crate::fixtures::*;

fn names() -> Vec<String> {
    vec!["files".into(), "chat".into()]
}

async fn readable<S: Store + CredentialStore>(store: &S, uid: TenantUid, reading: CredentialReading) -> Vec<bool> {
    let records = store.credentials(uid, &names(), reading).await.unwrap();
    records.iter().map(|record| record.is_readable).collect()
}

pub async fn a_credential_is_given_as_its_class_says<S: Store + CredentialStore>(store: Arc<S>) {
    use CredentialReading::{Once, UntilUsed};
    created(&*store, "acme", "one").await;
    let name = name("acme", "one");
    let uid = store.get(&name).await.unwrap().uid;
    let of = (uid, &name);
    assert_eq!(readable(&*store, uid, Once).await, [true, true]);
    // Two at once: each is given to one of them.
    let (asked, by) = (names(), Caller::Daemon);
    let (one, two) =
        tokio::join!(store.read_credentials(of, &asked, Once, &by), store.read_credentials(of, &asked, Once, &by));
    let mut given = [one.unwrap(), two.unwrap()];
    given.sort();
    assert_eq!(given, [Vec::new(), names()]);
    assert_eq!(readable(&*store, uid, Once).await, [false, false]);
    assert_eq!(readable(&*store, uid, UntilUsed).await, [true, true]);
    assert_eq!(store.read_credentials(of, &names(), UntilUsed, &by).await.unwrap(), names());
    store.credentials_used(of, &["chat".to_owned()], &by).await.unwrap();
    assert_eq!(readable(&*store, uid, UntilUsed).await, [true, false]);
    // A rotation counts once, whoever repeats it.
    store.credential_rotated(of, "chat", "r1", &by).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [false, true]);
    assert_eq!(store.read_credentials(of, &names(), Once, &by).await.unwrap(), ["chat"]);
    store.credential_rotated(of, "chat", "r1", &by).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [false, false]);
    let query = EventQuery { scope: EventScope::Environment(name.clone()), limit: 100, ..EventQuery::default() };
    let events = store.events(&query).await.unwrap();
    let reasons: Vec<&str> = events.iter().skip(1).map(|event| event.event.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["CredentialsRead", "CredentialsRead", "CredentialsUsed", "CredentialRotated", "CredentialsRead"]
    );
    // What is known of it goes with the tenant.
    store.delete(&name, delete()).await.unwrap();
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let end = settle(&work, State::Deleting, OperationOutcome::Deleted { removed: Vec::new() });
    store.commit(&claim, landlord_core::ports::Commit { remove: true, ..end }).await.unwrap();
    assert_eq!(readable(&*store, uid, Once).await, [true, true]);
}
