//! Shared lives under kills, faults, throttling and panics: host cluster, tenants in it, and a neighbour who must not
//! notice.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use landlord_core::{EnvironmentName, Level, State, ports::TenantStore as _};
use landlord_provider_api::v1::ResourceKind;

use crate::{
    WORLDS,
    cloud::{Fault, Faults},
    name, no_faults, random_faults,
    shared::host,
    throttles_half,
    world::{Life, World},
};

/// Random lifecycles of one run.
const SEEDS: u64 = 60;
/// Between the boundaries at which the random ones are killed: a number that meets all parts of a life.
const KILL_STEP: u64 = 7;

/// A world over the end of its first daemon.
struct Story {
    world: World,
    life: Arc<Life>,
    faults: Faults,
    restarted: bool,
}

impl Story {
    async fn begin(life: Arc<Life>, faults: Faults) -> Self {
        let mut world = World::new(false).await;
        world.start(Arc::clone(&life), Arc::clone(&faults));
        Self { world, life, faults, restarted: false }
    }

    /// Waits for a state, with another daemon if the first one's life ends.
    async fn reach(&mut self, name: &EnvironmentName, wanted: Option<State>) {
        let over = tokio::select! {
            () = self.world.wait_for(name, wanted) => false,
            () = self.life.ended(), if !self.restarted => true,
        };
        if over {
            self.restarted = true;
            self.world.start_after(&self.life, Arc::clone(&self.faults)).await;
            self.world.wait_for(name, wanted).await;
        }
    }

    /// Nothing is left of these, and nothing was done wrong on the way; says how many boundaries the first life passed.
    async fn end(self, uids: &[String]) -> u64 {
        let cloud = &self.world.cloud;
        assert_eq!(cloud.violations(), Vec::<String>::new());
        for uid in uids {
            assert_eq!(cloud.objects(uid), [], "of {uid}");
            assert_eq!(cloud.namespaces(uid), Vec::<String>::new(), "in {uid}");
        }
        let steps = self.life.steps();
        self.world.stop_at_once();
        steps
    }
}

/// A host cluster, a tenant of each shared level beside a neighbour, and all of it gone.
async fn shared_life(life: Arc<Life>, faults: Faults) -> u64 {
    let mut story = Story::begin(life, faults).await;
    let shared = host("one");
    let neighbour: EnvironmentName = "customers/b/tenants/neighbour".parse().unwrap();
    let (space, pool) = (name("space"), name("pool"));
    let of_host = story.world.create_host_cluster("one", None).await;
    let of_neighbour = story.world.create_shared(&neighbour, Level::Namespace, false).await;
    let of_space = story.world.create_shared(&space, Level::Namespace, false).await;
    let of_pool = story.world.create_shared(&pool, Level::Node, false).await;
    for name in [&shared, &neighbour, &space, &pool] {
        story.reach(name, Some(State::Ready)).await;
    }
    let uids = [of_host, of_neighbour, of_space, of_pool].map(|operation| operation.uid.to_string());
    let [host_uid, neighbour_uid, space_uid, pool_uid] = &uids;
    let cloud = Arc::clone(&story.world.cloud);
    let mut inside = vec![neighbour_uid.clone(), space_uid.clone(), pool_uid.clone()];
    inside.sort();
    assert_eq!(cloud.namespaces(host_uid), inside);
    assert!(cloud.objects(pool_uid).contains(&ResourceKind::NodePool));
    assert!(!cloud.objects(space_uid).contains(&ResourceKind::NodePool));

    let before = [host_uid, neighbour_uid].map(|uid| (cloud.effects(uid), cloud.objects(uid)));
    assert!(story.world.is_in_use(&shared).await, "a host cluster could be removed under its tenants");
    story.world.delete(&pool).await;
    story.world.delete(&space).await;
    story.reach(&pool, None).await;
    story.reach(&space, None).await;
    assert_eq!(cloud.namespaces(host_uid), std::slice::from_ref(neighbour_uid));
    let after = [host_uid, neighbour_uid].map(|uid| (cloud.effects(uid), cloud.objects(uid)));
    assert_eq!(after, before, "host cluster or neighbour were touched");
    for name in [&shared, &neighbour] {
        assert_eq!(story.world.store.get(name).await.unwrap().status.state, State::Ready);
    }

    assert!(story.world.is_in_use(&shared).await, "a host cluster could be removed under its last tenant");
    story.world.delete(&neighbour).await;
    story.reach(&neighbour, None).await;
    story.world.delete(&shared).await;
    story.reach(&shared, None).await;
    story.end(&uids).await
}

/// A fleet that grows for a tenant, which changes its mind before there is anything.
async fn hasty_life(life: Arc<Life>, faults: Faults) -> u64 {
    let mut story = Story::begin(life, faults).await;
    let (hasty, patient) = (name("hasty"), name("patient"));
    let of_hasty = story.world.create_shared(&hasty, Level::Node, true).await;
    let of_patient = story.world.create_shared(&patient, Level::Namespace, true).await;
    let one = story.world.store.get(&patient).await.unwrap().tenant().unwrap().host.clone().unwrap();
    assert_eq!(
        story.world.store.get(&hasty).await.unwrap().tenant().unwrap().host,
        Some(one.clone()),
        "the fleet grew twice"
    );
    let shared = EnvironmentName::from(one.id.clone());
    story.world.delete(&hasty).await;
    assert!(story.world.is_in_use(&shared).await, "a host cluster could be removed under those who wait for it");
    story.reach(&patient, Some(State::Ready)).await;
    story.reach(&hasty, None).await;
    let patient_uid = of_patient.uid.to_string();
    assert_eq!(story.world.cloud.namespaces(&one.uid.to_string()), std::slice::from_ref(&patient_uid));
    story.world.delete(&patient).await;
    story.reach(&patient, None).await;
    story.world.delete(&shared).await;
    story.reach(&shared, None).await;
    story.end(&[one.uid.to_string(), of_hasty.uid.to_string(), patient_uid]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_boundary_of_a_shared_life_changes_nothing_in_the_end() {
    let boundaries = shared_life(Life::until(None), no_faults()).await;
    assert!(boundaries > 100, "{boundaries} boundaries are too few to be the whole life");
    stream::iter(0..boundaries)
        .for_each_concurrent(WORLDS, |boundary| async move {
            shared_life(Life::until(Some(boundary)), no_faults()).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_boundary_of_a_hasty_life_changes_nothing_in_the_end() {
    let boundaries = hasty_life(Life::until(None), no_faults()).await;
    assert!(boundaries > 60, "{boundaries} boundaries are too few to be the whole life");
    stream::iter(0..boundaries)
        .for_each_concurrent(WORLDS, |boundary| async move {
            hasty_life(Life::until(Some(boundary)), no_faults()).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_and_a_kill_only_delay_a_shared_life() {
    stream::iter(0..SEEDS)
        .for_each_concurrent(WORLDS, |seed| async move {
            shared_life(Life::until(Some(seed * KILL_STEP)), random_faults(seed)).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_and_panics_fail_nothing_of_a_shared_life() {
    shared_life(Life::until(None), throttles_half()).await;
    let panics: Faults = Arc::new(|_, call| (call % 9 == 5).then_some(Fault::Panics));
    shared_life(Life::until(None), panics).await;
}
