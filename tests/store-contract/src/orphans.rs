//! Objects of tenants that have no record: kept, taken over by one tenant, or removed like one.

use std::sync::Arc;

use landlord_core::{
    DesiredState, FoundInHost, FoundObjects, HostedKind, Level, OperationKind, Placement, TenantUid,
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
    // A dry run refuses the same in the same words.
    let checked = store.check_adoption(uid, &Placement { region: "eu-west-1".into(), ..placement() }, None).await;
    assert!(refusal(checked).contains("fake/default in eu-central-1"));
    store.check_adoption(uid, &placement(), None).await.unwrap();
    assert_refused!(store.check_adoption(TenantUid(Uuid::new_v4()), &placement(), None).await, StoreError::NotFound(_));
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

pub async fn a_namespace_without_a_record_is_listed_until_it_is_gone<S: Store>(store: Arc<S>) {
    let hosted = crate::hosting::host(&*store, "shared", 10).await;
    let due = store.hosts_due().await.unwrap();
    assert!(due.known.contains(&hosted.uid));
    let view = store.host_of(&hosted).await.unwrap().unwrap();
    let uid = TenantUid(Uuid::new_v4());
    let seen = |uid| FoundInHost { uid, kind: HostedKind::Namespace, name: "t-lost".into() };
    // Whoever has a record by now is no orphan.
    let found = vec![seen(uid), seen(hosted.uid)];
    assert_eq!(store.compare_host(&view, found).await.unwrap(), [uid]);
    assert_eq!(store.compare_host(&view, vec![seen(uid)]).await.unwrap(), [], "it is known by now");
    // What its provider lists is kept beside it, and takes nothing off the list.
    let pool = RemovedObject { r#type: "node-group".into(), id: "pool".into(), name: String::new() };
    let found = FoundObjects { uid, region: "eu-central-1".into(), objects: vec![pool] };
    store.compare_inventory(&placement().provider_key(), Some(vec![found])).await.unwrap();
    let listed = store.orphans().await.unwrap();
    let ids: Vec<&str> = listed[0].objects.iter().map(|object| object.id.as_str()).collect();
    assert_eq!((listed.len(), ids), (1, vec!["pool", "hostClusters/shared/namespaces/t-lost"]));
    // It is where its namespace is: no tenant elsewhere can take it over.
    let refused = store.check_adoption(uid, &placement(), None).await;
    assert!(refusal(refused).contains("is in hostClusters/shared, and the tenant would be in a cluster of its own"));
    store.check_adoption(uid, &placement(), Some(&view.host)).await.unwrap();
    // The pool that a provisioner there makes machines for is listed beside it, and alone where a forced removal left nothing else.
    let machines = |uid| FoundInHost { uid, kind: HostedKind::NodePool, name: "landlord-t-lost".into() };
    store.compare_host(&view, vec![seen(uid), machines(uid)]).await.unwrap();
    assert_eq!(store.orphans().await.unwrap()[0].objects.len(), 3);
    store.compare_host(&view, vec![machines(uid)]).await.unwrap();
    let left = store.orphans().await.unwrap().remove(0);
    let ids: Vec<&str> = left.objects.iter().map(|object| object.id.as_str()).collect();
    assert_eq!(ids, ["pool", "hostClusters/shared/nodepools/landlord-t-lost"]);
    store.check_adoption(uid, &placement(), Some(&view.host)).await.unwrap();
    store.compare_host(&view, Vec::new()).await.unwrap();
    assert_eq!(store.orphans().await.unwrap()[0].objects.len(), 1);
}
