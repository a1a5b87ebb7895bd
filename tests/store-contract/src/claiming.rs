//! Claims: order, fairness, leases and fences.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use landlord_core::{
    DesiredState, OperationOutcome, Placement, Precondition, Stage, StageState, State, TenantUid,
    environment::LastReady,
    ports::{Claim, Commit, DaemonStore, EnvironmentPatch, EventKind, NewTenant, Release, StoreError},
};

use crate::{assert_refused, fixtures::*};

/// Names of the claimed tenants, in the order of the claims.
async fn names<S: Store>(store: &S, claims: &[Claim]) -> Vec<String> {
    let mut names = Vec::new();
    for claim in claims {
        names.push(store.load(claim).await.unwrap().environment.name().id().to_owned());
    }
    names
}

pub async fn deletes_before_changes_before_resyncs<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "resync").await;
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let mut commit = settle(&work, State::Ready, OperationOutcome::Ready);
    commit.release = Release::After(Duration::ZERO);
    store.commit(&claim, commit).await.unwrap();
    created(&*store, "acme", "create").await;
    created(&*store, "acme", "delete").await;
    store.delete(&name("acme", "delete"), delete()).await.unwrap();
    let claims = store.claim("a", 10, LEASE).await.unwrap();
    assert_eq!(names(&*store, &claims).await, ["delete", "create", "resync"]);
}

pub async fn customers_take_turns<S: Store>(store: Arc<S>) {
    for tenant in ["one", "two", "three", "four"] {
        created(&*store, "big", tenant).await;
    }
    created(&*store, "small", "only").await;
    let claims = store.claim("a", 2, LEASE).await.unwrap();
    let mut first = names(&*store, &claims).await;
    first.sort_unstable();
    assert_eq!(first, ["one", "only"]);
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap().len(), 3);
}

pub async fn owners_never_share_a_tenant<S: Store>(store: Arc<S>) {
    for tenant in 0..40 {
        created(&*store, &format!("c{}", tenant % 7), &format!("t{tenant}")).await;
    }
    // Enough turns for either of them: one of the two gets the account.
    let claims = (0..40).map(|turn| {
        let store = Arc::clone(&store);
        async move { store.claim(if turn % 2 == 0 { "a" } else { "b" }, 3, LEASE).await.unwrap() }
    });
    let claims: Vec<Claim> = join_all(claims).await.into_iter().flatten().collect();
    let uids: BTreeSet<TenantUid> = claims.iter().map(|claim| claim.uid).collect();
    assert_eq!((claims.len(), uids.len()), (40, 40));
}

pub async fn a_lease_keeps_others_out_until_it_is_over<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let first = store.claim("a", 10, LEASE).await.unwrap();
    assert_eq!(store.claim("b", 10, LEASE).await.unwrap(), []);
    // A lease that ends now is over.
    store.renew(&first[0], Duration::ZERO).await.unwrap();
    let second = store.claim("b", 10, LEASE).await.unwrap();
    assert_eq!((second[0].uid, second[0].owner.as_str()), (first[0].uid, "b"));
    assert!(second[0].fence > first[0].fence);
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
}

pub async fn an_account_is_worked_on_by_one_owner<S: Store>(store: Arc<S>) {
    let in_account = |tenant: &str, account: &str| {
        let order = new(&name("acme", tenant), once());
        let placement = Placement { account: account.into(), ..placement() };
        NewTenant { placement, ..order }
    };
    for (tenant, account) in [("one", "1"), ("two", "1")] {
        store.create(in_account(tenant, account)).await.unwrap();
    }
    let first = store.claim("a", 1, LEASE).await.unwrap();
    assert_eq!(names(&*store, &first).await, ["one"]);
    // The other is due, and nobody's: still its calls are made by who has the account.
    assert_eq!(store.claim("b", 10, LEASE).await.unwrap(), []);
    // It is another's when that lease ends, if it does.
    let wait = store.next_due("b").await.unwrap().unwrap();
    assert!(wait > LEASE / 2 && wait <= LEASE, "{wait:?}");
    assert_eq!(store.next_due("a").await.unwrap(), Some(Duration::ZERO));
    store.create(in_account("elsewhere", "2")).await.unwrap();
    let other = store.claim("b", 10, LEASE).await.unwrap();
    assert_eq!(names(&*store, &other).await, ["elsewhere"]);
    // Without work the account is kept for a lease after the last.
    store.commit(&first[0], Commit { release: Release::After(Duration::ZERO), ..Commit::default() }).await.unwrap();
    assert_eq!(store.claim("b", 10, LEASE).await.unwrap(), []);
    let again = store.claim("a", 10, Duration::ZERO).await.unwrap();
    assert_eq!(again.len(), 2);
    // That lease is over: the account goes to who claims next.
    let taken = store.claim("b", 1, LEASE).await.unwrap();
    assert_eq!(taken.len(), 1);
    // Nor does whoever had it go on with the rest, which nobody has claimed: there would be two who call it.
    let rest = again.iter().find(|claim| claim.uid != taken[0].uid).unwrap();
    let renewed = store.renew(rest, LEASE).await;
    assert!(matches!(renewed, Err(StoreError::FenceLost(uid)) if uid == rest.uid), "{renewed:?}");
    assert_eq!(store.claim("b", 10, LEASE).await.unwrap().len(), 1);
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
}

/// Whoever claims an account learns since when nobody called it, if that was another: of the two only.
pub async fn an_account_is_taken_over_with_the_time_it_was_left_alone<S: Store + DaemonStore>(store: Arc<S>) {
    let idle = Duration::from_millis(30);
    created(&*store, "acme", "prod").await;
    let claim = async |owner: &str| store.claim(owner, 10, LEASE).await.unwrap().pop().unwrap();
    let free = async |claim: &Claim| {
        let release = Release::After(Duration::ZERO);
        store.commit(claim, Commit { release, ..Commit::default() }).await.unwrap();
    };
    let first = claim("a").await;
    assert_eq!(first.taken_over, None, "nobody had it before");
    free(&first).await;
    let again = claim("a").await;
    assert_eq!(again.taken_over, None, "it is its own");
    free(&again).await;
    store.leave("a").await.unwrap();
    tokio::time::sleep(idle).await;
    let other = claim("b").await.taken_over.expect("it was the first's");
    assert!(other.account.ends_with("/111122223333"), "{other:?}");
    assert!(other.free_for >= idle && other.free_for < LEASE, "{other:?}");
}

/// Everything that a claim without right could write.
fn everything() -> Commit {
    Commit {
        stages: vec![record(Stage::Network, DesiredState::Present, StageState::Done)],
        environment: EnvironmentPatch {
            desired_state: Some(DesiredState::Absent),
            revert: Some(LastReady { spec: Some(larger()), placement: placement() }),
            mark_ready: true,
            ..EnvironmentPatch::default()
        },
        events: vec![event(EventKind::Stage, "StageDone")],
        release: Release::After(Duration::ZERO),
        ..Commit::default()
    }
}

async fn writes_nothing<S: Store>(store: &S, claim: &Claim) {
    let acme = name("acme", "prod");
    let before = (store.get(&acme).await.unwrap(), store.newest_event().await.unwrap());
    let operation = store.operation(before.0.operation).await.unwrap();
    let mut removal = everything();
    removal.remove = true;
    for commit in [everything(), removal, Commit::default()] {
        let refused = store.commit(claim, commit).await;
        assert_refused!(refused, StoreError::FenceLost(_));
    }
    assert_refused!(store.renew(claim, LEASE).await, StoreError::FenceLost(_));
    assert_refused!(store.load(claim).await, StoreError::FenceLost(_));
    let after = (store.get(&acme).await.unwrap(), store.newest_event().await.unwrap());
    assert_eq!(after, before);
    assert_eq!(store.operation(operation.id).await.unwrap(), operation);
}

pub async fn a_lost_claim_writes_nothing<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let lost = store.claim("a", 1, Duration::ZERO).await.unwrap();
    let held = store.claim("b", 1, LEASE).await.unwrap();
    writes_nothing(&*store, &lost[0]).await;
    // Neither does the right owner with an old fence, nor another with the right fence.
    let old = Claim { fence: held[0].fence - 1, ..held[0].clone() };
    writes_nothing(&*store, &old).await;
    let foreign = Claim { owner: "a".into(), ..held[0].clone() };
    writes_nothing(&*store, &foreign).await;
    store.load(&held[0]).await.unwrap();
}

pub async fn a_claim_given_back_writes_nothing<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let release = Commit { release: Release::After(HOUR), ..Commit::default() };
    store.commit(&claim, release).await.unwrap();
    writes_nothing(&*store, &claim).await;
}

pub async fn recovered_leases_are_due_and_their_claims_void<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    created(&*store, "acme", "rests").await;
    let claims = store.claim("a", 10, LEASE).await.unwrap();
    let rest = Commit { release: Release::UntilChanged, ..Commit::default() };
    let rests = names(&*store, &claims).await.iter().position(|name| name == "rests").unwrap();
    store.commit(&claims[rests], rest).await.unwrap();
    // A store with several daemons recovers none: their leases run out by themselves.
    if store.recover_leases().await.unwrap() == 0 {
        return;
    }
    let again = claim_one(&*store).await;
    assert_eq!(again.uid, claims[1 - rests].uid);
    writes_nothing(&*store, &claims[1 - rests]).await;
    assert_eq!(store.recover_leases().await.unwrap(), 1);
    assert_refused!(store.load(&again).await, StoreError::FenceLost(_));
}

pub async fn next_due_follows_what_is_due<S: Store>(store: Arc<S>) {
    assert_eq!(store.next_due("a").await.unwrap(), None);
    created(&*store, "acme", "prod").await;
    assert_eq!(store.next_due("a").await.unwrap(), Some(Duration::ZERO));
    // Claimed: the next to be due is its lease's end.
    let claim = claim_one(&*store).await;
    let wait = store.next_due("a").await.unwrap().unwrap();
    assert!(wait <= LEASE && wait > Duration::ZERO, "{wait:?}");
    let released = |release| Commit { release, ..Commit::default() };
    store.commit(&claim, released(Release::After(HOUR))).await.unwrap();
    let wait = store.next_due("a").await.unwrap().unwrap();
    assert!(wait <= HOUR && wait > LEASE, "{wait:?}");
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
    store.cancel(store.get(&name("acme", "prod")).await.unwrap().operation, once()).await.unwrap();
    assert_eq!(store.next_due("a").await.unwrap(), Some(Duration::ZERO));
    let claim = claim_one(&*store).await;
    store.commit(&claim, released(Release::UntilChanged)).await.unwrap();
    assert_eq!(store.next_due("a").await.unwrap(), None);
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
}

pub async fn changes_during_a_lease_wait_for_its_end<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    store.cancel(made.operation.id, once()).await.unwrap();
    store.change(&name("acme", "prod"), Precondition::None, update(larger()), once()).await.unwrap();
    store.delete(&name("acme", "prod"), delete()).await.unwrap();
    assert_eq!(store.claim("b", 10, LEASE).await.unwrap(), []);
    // No hint is sent for what can't be claimed.
    assert!(store.next_due("a").await.unwrap().unwrap() > Duration::ZERO);
    store.renew(&claim, Duration::ZERO).await.unwrap();
    assert_eq!(store.claim("b", 10, LEASE).await.unwrap().len(), 1);
}

pub async fn nothing_is_due_later_than_anything_waits<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "one").await;
    let claim = claim_one(&*store).await;
    let release = Release::After(Duration::from_secs(86_400));
    store.commit(&claim, Commit { release, ..Commit::default() }).await.unwrap();
    assert_eq!(store.clamp_dues(Duration::from_secs(2 * 86_400)).await.unwrap(), 0);
    assert!(store.claim("a", 1, LEASE).await.unwrap().is_empty());
    assert_eq!(store.clamp_dues(Duration::from_secs(3_600)).await.unwrap(), 1);
    assert_eq!(store.claim("a", 1, LEASE).await.unwrap().len(), 1);
}
