//! Contents of stacks and platforms, for the environments that name them.

use std::sync::Arc;

use landlord_core::{
    OperationOutcome, Placement, Precondition, State,
    ports::{Change, NewTenant, RevisionStore},
    revision::{CurrentRevisions, RevisionId, RevisionKey, RevisionKind},
};

use crate::fixtures::*;

fn id(digit: char) -> RevisionId {
    RevisionId::of_digest(&digit.to_string().repeat(64)).unwrap()
}

fn key(digit: char) -> RevisionKey {
    RevisionKey { kind: RevisionKind::Stack, name: "desk".into(), id: id(digit) }
}

pub async fn revisions_are_kept_for_who_names_them<S: Store + RevisionStore>(store: Arc<S>) {
    let content = vec![0_u8, 159, 146, 150];
    store.keep_revisions(vec![(key('a'), content.clone())]).await.unwrap();
    store.keep_revisions(vec![(key('a'), Vec::new()), (key('b'), vec![1])]).await.unwrap();
    assert_eq!(store.revision(&key('a')).await.unwrap(), Some(content), "what is kept stays");
    assert_eq!(store.revision(&key('c')).await.unwrap(), None);
    let name = name("acme", "one");
    let placement = Placement { stack: "desk".parse().ok(), ..placement() };
    store.create(NewTenant { placement, ..new(&name, once()) }).await.unwrap();
    let etag = store.get(&name).await.unwrap().etag;
    assert_eq!(store.named_revisions().await.unwrap(), []);
    let current = |digit: char| CurrentRevisions {
        stacks: [("desk".parse().unwrap(), id(digit))].into(),
        ..CurrentRevisions::default()
    };
    // Whoever names none names the one that it runs, once and for good.
    assert_eq!(store.pin_revisions(&current('a')).await.unwrap(), 1);
    assert_eq!(store.pin_revisions(&current('b')).await.unwrap(), 0);
    assert_eq!(store.named_revisions().await.unwrap(), [key('a')]);
    let tenant = store.get(&name).await.unwrap();
    assert_eq!((tenant.etag, tenant.generation), (etag, 1), "nothing of it is work");
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    store.commit(&claim, settle(&work, State::Ready, OperationOutcome::Ready)).await.unwrap();
    // On trial both are named: the new one, and that to which the tenant may go back.
    let mut renewed = tenant.placement;
    renewed.revisions.stack = Some(id('b'));
    store.change(&name, Precondition::None, Change::Renew { placement: renewed }, once()).await.unwrap();
    assert_eq!(store.named_revisions().await.unwrap(), [key('a'), key('b')]);
    let tenant = store.get(&name).await.unwrap();
    assert_eq!((tenant.generation, tenant.placement.revisions.trial_generation), (2, Some(2)));
}
