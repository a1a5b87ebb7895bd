//! Contents of stacks and platforms, for the environments that name them.

use std::sync::Arc;

use landlord_core::{
    OperationOutcome, Placement, Precondition, State,
    environment::{Adoption, LastReady},
    ports::{
        Change, Commit, EnvironmentPatch, NewHostCluster, NewTenant, OperationEnd, Release, RevisionStore, StoreError,
    },
    revision::{CurrentRevisions, RevisionId, RevisionKey, RevisionKind},
};

use crate::{assert_refused, fixtures::*};

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

fn of_platform(digit: char) -> RevisionKey {
    RevisionKey { kind: RevisionKind::Platform, name: "edge".into(), id: id(digit) }
}

pub async fn a_host_cluster_names_what_it_runs_and_goes_back_to<S: Store + RevisionStore>(store: Arc<S>) {
    let placement = Placement { platform: "edge".parse().ok(), ..placement() };
    let new = |id: &str, adoption: Option<Adoption>| NewHostCluster {
        id: id.parse().unwrap(),
        spec: landlord_core::HostClusterSpec { adoption, ..host_spec(3) },
        placement: placement.clone(),
        request: once(),
    };
    let name = store.create_host_cluster(new("one", None)).await.unwrap().environment.unwrap().name();
    let current = |digit: char| CurrentRevisions {
        platforms: [("edge".parse().unwrap(), id(digit))].into(),
        ..CurrentRevisions::default()
    };
    make_ready(&*store).await;
    // READY before it named any: what it goes back to names what it runs, too.
    assert_eq!(store.pin_revisions(&current('a')).await.unwrap(), 1);
    let before = store.get(&name).await.unwrap();
    assert_eq!(before.placement.revisions.platform, Some(id('a')));
    assert_eq!(before.host_cluster().unwrap().last_ready.as_ref(), Some(&before.placement));
    let renew = async |digit: char| {
        let mut renewed = before.placement.clone();
        renewed.revisions.platform = Some(id(digit));
        store.change(&name, Precondition::None, Change::Renew { placement: renewed }, once()).await
    };

    // Given up: both are named until it is known which one stays.
    let operation = renew('b').await.unwrap().operation;
    assert_eq!(store.named_revisions().await.unwrap(), [of_platform('a'), of_platform('b')]);
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    assert_eq!((work.environment.generation, work.environment.placement.revisions.trial_generation), (2, Some(2)));
    let back = LastReady { spec: None, placement: before.placement.clone() };
    assert_eq!(work.environment.last_ready(), Some(back.clone()));
    let given_up = Commit {
        environment: EnvironmentPatch { revert: Some(back), ..EnvironmentPatch::default() },
        operation: Some(OperationEnd { id: operation.id, outcome: OperationOutcome::Failed { failure: failure() } }),
        release: Release::After(std::time::Duration::ZERO),
        ..Commit::default()
    };
    store.commit(&claim, given_up).await.unwrap();
    let seen = store.get(&name).await.unwrap();
    assert_eq!((seen.generation, &seen.placement), (3, &before.placement));
    assert_eq!(seen.host_cluster().unwrap().spec, host_spec(3));
    assert_eq!(store.named_revisions().await.unwrap(), [of_platform('a')]);
    let ended = store.operation(operation.id).await.unwrap().outcome;
    assert!(matches!(ended, Some(OperationOutcome::Failed { .. })), "{ended:?}");

    // Kept: that is what it goes back to from now on.
    make_ready(&*store).await;
    renew('c').await.unwrap();
    make_ready(&*store).await;
    let kept = store.get(&name).await.unwrap();
    assert_eq!((&kept.placement.revisions.platform, kept.placement.revisions.trial_generation), (&Some(id('c')), None));
    assert_eq!(kept.host_cluster().unwrap().last_ready.as_ref(), Some(&kept.placement));
    assert_eq!(store.named_revisions().await.unwrap(), [of_platform('c')]);

    let adopted =
        store.create_host_cluster(new("theirs", Some(Adoption::default()))).await.unwrap().environment.unwrap();
    let change = Change::Renew { placement: kept.placement };
    let refused = store.change(&adopted.name(), Precondition::None, change, once()).await;
    assert_refused!(refused, StoreError::FailedPrecondition(_));
}
