//! Objects of tenants that have no record: kept, taken over by one tenant, or removed like one.

use std::sync::Arc;

use landlord_core::{
    DesiredState, FoundObjects, Level, OperationKind, Placement, TenantUid,
    ports::{NewTenant, StoreError},
    stage::RemovedObject,
};
use uuid::Uuid;

use crate::{assert_refused, fixtures::*};

/// An orphan of the fixtures' provider.
async fn orphan<S: Store>(store: &S) -> TenantUid {
    let uid = TenantUid(Uuid::new_v4());
    let objects = vec![RemovedObject { r#type: "vpc".into(), id: "vpc-1".into(), name: String::new() }];
    let found = FoundObjects { uid, region: "eu-central-1".into(), objects };
    let report = store.compare_inventory(&placement().provider_key(), Some(vec![found])).await.unwrap();
    assert_eq!(report.orphans, [uid]);
    uid
}

fn adopting(tenant: &str, uid: TenantUid) -> NewTenant {
    NewTenant { adopt: Some(uid), ..new(&name("acme", tenant), keyed("adopt")) }
}

pub async fn an_orphan_becomes_one_tenants<S: Store>(store: Arc<S>) {
    let uid = orphan(&*store).await;
    assert_eq!(store.orphans().await.unwrap()[0].uid, uid);
    let elsewhere = Placement { credentials: "other".into(), ..placement() };
    let refused = store.create(NewTenant { placement: elsewhere, ..adopting("prod", uid) }).await;
    assert_refused!(&refused, StoreError::FailedPrecondition(_));
    assert!(refusal(refused).contains("is of fake/default"));
    // Whatever is in another region no record in this one would remove.
    let elsewhere = Placement { region: "eu-west-1".into(), ..placement() };
    let refused = store.create(NewTenant { placement: elsewhere, ..adopting("prod", uid) }).await;
    assert!(refusal(refused).contains("fake/default in eu-central-1"));
    assert_refused!(store.create(adopting("prod", TenantUid(Uuid::new_v4()))).await, StoreError::NotFound(_));
    let order = adopting("prod", uid);
    let adopted = store.create(order.clone()).await.unwrap();
    assert_eq!(adopted.environment.unwrap().uid, uid);
    assert!(store.create(order).await.unwrap().replayed);
    assert_eq!(store.orphans().await.unwrap(), []);
    assert_refused!(store.create(adopting("test", uid)).await, StoreError::NotFound(_));
    assert_eq!(claim_one(&*store).await.uid, uid);
}

pub async fn an_orphan_is_removed_as_a_tenant_is<S: Store>(store: Arc<S>) {
    let uid = orphan(&*store).await;
    let request = keyed("remove");
    let removal = store.delete_orphan(uid, false, request.clone()).await.unwrap();
    assert_eq!(removal.operation.kind, OperationKind::Delete);
    assert!(store.delete_orphan(uid, false, request).await.unwrap().replayed);
    assert_refused!(store.delete_orphan(uid, false, once()).await, StoreError::NotFound(_));
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    assert_eq!((work.environment.uid, work.environment.desired_state), (uid, DesiredState::Absent));
    assert_eq!(work.environment.placement.provider_key(), placement().provider_key());
}

pub async fn an_orphan_in_a_host_cluster_is_removed_there<S: Store>(store: Arc<S>) {
    let hosted = crate::hosting::host(&*store, "shared", 10).await;
    let uid = TenantUid(Uuid::new_v4());
    let id = format!("nodegroup/landlord-{}/landlord-t-{}", hosted.uid.0.simple(), uid.0.simple());
    let objects = vec![RemovedObject { r#type: "node-group".into(), id, name: String::new() }];
    let found = FoundObjects { uid, region: "eu-central-1".into(), objects };
    store.compare_inventory(&placement().provider_key(), Some(vec![found])).await.unwrap();
    let removal = store.delete_orphan(uid, false, once()).await.unwrap();
    let stand_in = removal.environment.unwrap();
    assert_eq!(stand_in.placement.level, Level::Node);
    assert_eq!(tenant_of(&stand_in).host.as_ref().map(|host| host.uid), Some(hosted.uid));
}
