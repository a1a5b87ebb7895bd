//! What is seen of tenants' answers: one daemon looks, and what it writes undoes nothing of the engine's.

use std::{sync::Arc, time::Duration};

use landlord_core::{
    Availability, AvailabilityChange, Condition, Environment, OperationOutcome, StageState, State, TenantUid,
    Timestamp, WhenUnavailable,
    environment::{CustomerSpec, VERIFY_FAILED},
    ports::{AvailabilityStore, Duty, EventQuery, EventScope, ProbeTarget, SeenAvailability},
};

use crate::fixtures::*;

const TTL: Duration = Duration::from_secs(120);

async fn targets<S: AvailabilityStore>(store: &S) -> Vec<ProbeTarget> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.probe_targets(after, 2).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = Some(last.uid);
        all.extend(page);
    }
}

fn seen(target: &ProbeTarget, change: Option<AvailabilityChange>, repair: bool) -> SeenAvailability {
    let available = change.map(|change| change != AvailabilityChange::Lost);
    let cause = if available == Some(false) { "chat: it answers 502".to_owned() } else { String::new() };
    let (beat_time, fresh_until) = (Timestamp(60_000), Timestamp(120_000));
    let availability = Availability { available, cause, beat_time, fresh_until, ..Availability::default() };
    SeenAvailability { uid: target.uid, name: target.name.clone(), availability, change, repair }
}

/// Messages of a tenant's events for one reason.
async fn events<S: Store>(store: &S, environment: &Environment, reason: &str) -> Vec<String> {
    let scope = EventScope::Environment(environment.name());
    let events = store.events(&EventQuery { scope, limit: 100, ..EventQuery::default() }).await.unwrap();
    events.into_iter().filter(|event| event.event.reason == reason).map(|event| event.event.message).collect()
}

pub async fn one_daemon_looks_until_it_gives_the_duty_back<S: Store + AvailabilityStore>(store: Arc<S>) {
    let claim = async |owner: &str, ttl| store.claim_duty(Duty::Probing, owner, ttl).await.unwrap();
    assert!(claim("one", TTL).await);
    assert!(claim("one", TTL).await, "it prolongs its own");
    assert!(!claim("two", TTL).await);
    assert!(!claim("two", Duration::ZERO).await);
    assert!(!claim("two", TTL).await, "nobody gives back what another one has");
    claim("one", Duration::ZERO).await;
    assert!(claim("two", TTL).await, "at once");
    assert!(!claim("one", TTL).await);
    // A lease that has ended is anybody's.
    assert!(claim("two", Duration::ZERO).await);
    assert!(claim("one", TTL).await);
}

pub async fn who_was_ready_is_looked_at_and_nobody_else<S: Store + AvailabilityStore>(store: Arc<S>) {
    for tenant in ["one", "two", "three"] {
        created(&*store, "acme", tenant).await;
        make_ready(&*store).await;
    }
    created(&*store, "acme", "young").await;
    store.delete(&name("acme", "three"), delete()).await.unwrap();
    let found = targets(&*store).await;
    let uids: Vec<TenantUid> = found.iter().map(|target| target.uid).collect();
    assert!(uids.is_sorted(), "pages follow each other");
    let mut names: Vec<String> = found.iter().map(|target| target.name.to_string()).collect();
    names.sort();
    assert_eq!(names, [name("acme", "one").to_string(), name("acme", "two").to_string()]);
    for target in &found {
        assert_eq!((target.when_unavailable, &target.failing), (WhenUnavailable::Report, &None));
        assert_eq!(target.availability, Availability::default());
    }
}

pub async fn what_is_seen_is_kept_by_who_has_the_duty<S: Store + AvailabilityStore>(store: Arc<S>) {
    created(&*store, "acme", "one").await;
    make_ready(&*store).await;
    let target = targets(&*store).await.remove(0);
    let first = seen(&target, Some(AvailabilityChange::First), false);
    assert!(!store.keep_availability("one", vec![first.clone()]).await.unwrap(), "nobody has the duty");
    let before = store.get(&name("acme", "one")).await.unwrap();
    assert_eq!(before.availability.clone().unwrap_or_default(), Availability::default());
    store.claim_duty(Duty::Probing, "one", TTL).await.unwrap();
    assert!(!store.keep_availability("two", vec![first.clone()]).await.unwrap());
    assert!(store.keep_availability("one", vec![first.clone()]).await.unwrap());
    let after = store.get(&name("acme", "one")).await.unwrap();
    assert_eq!(after.availability, Some(first.availability.clone()));
    assert_eq!(
        (after.status.clone(), after.etag.clone()),
        (before.status, before.etag),
        "it is no change of the tenant"
    );
    assert_eq!(events(&*store, &after, "Available").await, [format!("{} answers", target.name)]);
    let lost = seen(&target, Some(AvailabilityChange::Lost), false);
    assert!(store.keep_availability("one", vec![lost.clone()]).await.unwrap());
    let message = format!("{} does not answer: chat: it answers 502", target.name);
    assert_eq!(events(&*store, &after, "Unavailable").await, [message]);
    assert_eq!(store.next_due("a").await.unwrap(), None, "its class only reports");
    assert_eq!(targets(&*store).await[0].availability, lost.availability);
    // One that is being removed is nobody's to write.
    store.delete(&name("acme", "one"), delete()).await.unwrap();
    assert!(store.keep_availability("one", vec![seen(&target, Some(AvailabilityChange::Back), false)]).await.unwrap());
    assert_eq!(events(&*store, &after, "Available").await.len(), 1);
}

pub async fn what_its_checks_showed_is_what_it_fails_at<S: Store + AvailabilityStore>(store: Arc<S>) {
    let condition = |kind: &str, message: &str| Condition {
        r#type: kind.into(),
        status: true,
        reason: "Failing".into(),
        message: message.into(),
        transition_time: Timestamp(1),
    };
    let missing = condition(VERIFY_FAILED, "chat: the model is missing");
    let settled = async |id: &str, state: State, conditions: Vec<Condition>| {
        created(&*store, "acme", id).await;
        let claim = claim_one(&*store).await;
        let work = store.load(&claim).await.unwrap();
        let mut commit = settle(&work, state, OperationOutcome::Ready);
        // It was served before.
        commit.environment.mark_ready = true;
        commit.environment.status.as_mut().unwrap().conditions.extend(conditions);
        store.commit(&claim, commit).await.unwrap();
        let targets = targets(&*store).await;
        targets.into_iter().find(|target| target.name == name("acme", id)).unwrap().failing
    };
    let seen = settled("one", State::Ready, vec![missing.clone()]).await;
    assert_eq!(seen.as_deref(), Some("chat: the model is missing"));
    // Nobody verifies it for now: what was found last says nothing of how it is.
    let paused = vec![missing.clone(), condition("Paused", "")];
    assert_eq!(settled("two", State::Ready, paused).await, None);
    assert_eq!(settled("three", State::Failed, vec![missing]).await, None);
}

pub async fn who_is_lost_is_resynced_at_once_but_for_who_is_left_as_it_is<S: Store + AvailabilityStore>(store: Arc<S>) {
    created(&*store, "acme", "one").await;
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let done = record(landlord_core::Stage::Base, landlord_core::DesiredState::Present, StageState::Done);
    let mut commit = settle(&work, State::Ready, OperationOutcome::Ready);
    commit.stages = vec![landlord_core::StageRecord { poll_time: work.now.after(HOUR), ..done }];
    store.commit(&claim, commit).await.unwrap();
    assert_eq!(store.next_due("a").await.unwrap(), None);
    store.claim_duty(Duty::Probing, "one", TTL).await.unwrap();
    let target = targets(&*store).await.remove(0);
    let lost = || vec![seen(&target, Some(AvailabilityChange::Lost), true)];
    // Its customer is frozen: nothing would be done, and nobody hears that it is.
    let acme = "acme".parse().unwrap();
    let customer = store.customer(&acme).await.unwrap();
    let suspended = CustomerSpec { suspended: true, ..CustomerSpec::default() };
    let customer = store.update_customer(&acme, &customer.etag, suspended, once()).await.unwrap();
    make_ready(&*store).await;
    assert!(store.keep_availability("one", lost()).await.unwrap());
    assert_eq!(store.next_due("a").await.unwrap(), None);
    let environment = store.get(&name("acme", "one")).await.unwrap();
    let messages = events(&*store, &environment, "Unavailable").await;
    assert!(!messages[0].contains("resynced"), "{messages:?}");
    store.update_customer(&acme, &customer.etag, CustomerSpec::default(), once()).await.unwrap();
    make_ready(&*store).await;

    assert!(store.keep_availability("one", lost()).await.unwrap());
    assert_eq!(store.next_due("a").await.unwrap(), Some(Duration::ZERO));
    let messages = events(&*store, &environment, "Unavailable").await;
    assert!(messages[1].ends_with("; it is resynced"), "{messages:?}");
    let work = store.load(&claim_one(&*store).await).await.unwrap();
    assert!(work.stages.iter().all(|record| record.poll_time <= work.now), "{:?}", work.stages);
}
