//! What one principal may ask for, as its client sees it.

use std::{num::NonZeroU32, time::Duration};

use landlord_auth::policy::Policies;
use landlord_grpc::Limits;
use landlord_proto::v1;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    common::{PROD, order, reason},
    requests::World,
};

type Client = v1::tenant_service_client::TenantServiceClient<tonic::transport::Channel>;

async fn world(limits: Limits) -> (World, Client) {
    let world = World::with_limits(Policies::open(None).unwrap(), limits).await;
    let client = Client::new(world.channel.clone());
    (world, client)
}

fn by<M>(world: &World, name: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", world.bearer(name));
    request
}

/// How long a client that has requested too much must wait.
fn retry_delay(status: &Status) -> Duration {
    assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "LIMIT_REACHED"), "{status:?}");
    status.get_details_retry_info().unwrap().retry_delay.unwrap()
}

#[tokio::test]
async fn orders_are_counted_by_principal_and_dry_runs_are_none() {
    let (world, mut client) = world(Limits { creates_per_hour: NonZeroU32::new(3), ..Limits::default() }).await;
    for index in 0..10 {
        let dry = v1::CreateTenantRequest { validate_only: true, ..order("acme", &format!("t{index}")) };
        client.create_tenant(by(&world, "portal", dry)).await.unwrap();
    }
    for index in 0..3 {
        client.create_tenant(by(&world, "portal", order("acme", &format!("t{index}")))).await.unwrap();
    }
    let refused = client.create_tenant(by(&world, "portal", order("acme", "t3"))).await.unwrap_err();
    let delay = retry_delay(&refused);
    assert!(delay > Duration::from_secs(1_000) && delay <= Duration::from_secs(1_200), "{delay:?}");
    assert!(refused.message().contains("corp:portal may order 3 tenants and host clusters an hour"), "{refused:?}");
    // Reading goes on, and so do others.
    client.get_tenant(by(&world, "portal", v1::GetTenantRequest { name: PROD.into() })).await.unwrap();
    client.create_tenant(by(&world, "acme-portal", order("acme", "t3"))).await.unwrap();
}

#[tokio::test]
async fn requests_and_watches_are_counted_by_principal() {
    let limits =
        Limits { requests_per_second: NonZeroU32::new(20), streams_max: NonZeroU32::new(1), ..Limits::default() };
    let (world, mut client) = world(limits).await;
    let watch = || v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: String::new() };
    let first = client.watch_tenants(by(&world, "portal", watch())).await.unwrap();
    let refused = client.watch_tenants(by(&world, "portal", watch())).await.unwrap_err();
    assert!(retry_delay(&refused) > Duration::ZERO);
    client.watch_tenants(by(&world, "acme-portal", watch())).await.unwrap();
    drop(first);
    // The place is free once the daemon knows that the client is gone.
    let mut again = client.watch_tenants(by(&world, "portal", watch())).await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        again = client.watch_tenants(by(&world, "portal", watch())).await;
    }
    again.unwrap();
    let get = || v1::GetTenantRequest { name: PROD.into() };
    let mut refused = Vec::new();
    for _ in 0..100 {
        refused.extend(client.get_tenant(by(&world, "acme-user", get())).await.err());
    }
    let status = refused.first().expect("a hundred requests at once are more than twenty");
    assert!(retry_delay(status) < Duration::from_secs(1), "{status:?}");
    client.get_tenant(by(&world, "operator", get())).await.unwrap();
}
