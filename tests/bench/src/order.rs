//! Orders tenants over the API and waits for them. Times are the daemon's own: from acceptance to the condition Ready.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_proto::v1::{
    CreateTenantRequest, DeleteTenantRequest, ListTenantsRequest, Tenant, tenant::State,
    tenant_service_client::TenantServiceClient,
};
use landlord_test_harness::{World, client};
use serde_json::Value;
use tonic::transport::Channel;

use crate::say;

/// The customer whose tenants they are.
pub(crate) const CUSTOMER: &str = "bench";
/// An observation of a thousand tenants is work for the daemon: few observations, since times are not taken from them.
const OBSERVE_INTERVAL: Duration = Duration::from_millis(500);
/// Of one page; all of them fit.
const PAGE_SIZE: i32 = 1_000;

type Client = TenantServiceClient<Channel>;

/// A request for a tenant of a class.
pub(crate) fn request(class: &str, id: &str, paused: bool) -> CreateTenantRequest {
    CreateTenantRequest {
        adopt_uid: String::new(),
        parent: format!("customers/{CUSTOMER}"),
        tenant_id: id.into(),
        tenant: Some(Tenant {
            tenant_class: class.into(),
            domain: format!("{id}.example.com"),
            storage_gib: 10,
            paused,
            ..Tenant::default()
        }),
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only: false,
    }
}

/// A tenant that is READY.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Its namespace on a host cluster; empty on its own cluster.
    pub(crate) namespace: String,
    /// From acceptance to READY.
    pub(crate) took_ms: f64,
}

/// Orders `count` tenants at once and waits until all are READY; `observe` is called now and then meanwhile.
pub(crate) async fn ready(
    world: &World,
    class: &str,
    prefix: &str,
    count: usize,
    timeout: Duration,
    mut observe: impl FnMut(),
) -> Result<Vec<Ready>> {
    let mut client = Client::new(client::connect(&world.socket()).await?);
    for index in 0..count {
        client.create_tenant(request(class, &format!("{prefix}{index}"), false)).await?;
    }
    let all = until(&mut client, timeout, |all| {
        observe();
        if let Some(failed) = all.iter().find(|tenant| tenant.state() == State::Failed) {
            bail!("{} failed: {:?}", failed.name, failed.conditions);
        }
        Ok(all.iter().all(|tenant| tenant.state() == State::Ready))
    });
    all.await?.iter().filter(|tenant| id(tenant).starts_with(prefix)).map(measured).collect()
}

/// Deletes the tenants whose ids begin with `prefix` and waits until they are gone.
pub(crate) async fn remove(world: &World, prefix: &str, timeout: Duration) -> Result<()> {
    let mut client = Client::new(client::connect(&world.socket()).await?);
    for tenant in list(&mut client).await?.into_iter().filter(|tenant| id(tenant).starts_with(prefix)) {
        let request_id = uuid::Uuid::new_v4().to_string();
        client
            .delete_tenant(DeleteTenantRequest { name: tenant.name, request_id, ..DeleteTenantRequest::default() })
            .await?;
    }
    until(&mut client, timeout, |all| Ok(!all.iter().any(|tenant| id(tenant).starts_with(prefix)))).await.map(drop)
}

fn id(tenant: &Tenant) -> &str {
    tenant.name.rsplit('/').next().unwrap_or_default()
}

/// All tenants.
pub(crate) async fn list(client: &mut Client) -> Result<Vec<Tenant>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTenantsRequest {
            parent: "customers/-".into(),
            page_size: PAGE_SIZE,
            page_token,
            ..ListTenantsRequest::default()
        };
        let page = client.list_tenants(request).await?.into_inner();
        all.extend(page.tenants);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn until(
    client: &mut Client,
    timeout: Duration,
    mut done: impl FnMut(&[Tenant]) -> Result<bool>,
) -> Result<Vec<Tenant>> {
    let deadline = Instant::now() + timeout;
    loop {
        let all = list(client).await?;
        if done(&all)? {
            return Ok(all);
        }
        if Instant::now() > deadline {
            let late = all.iter().find(|tenant| tenant.state() != State::Ready);
            bail!("not all of {} tenants are done after {timeout:?}; one of them: {late:#?}", all.len());
        }
        tokio::time::sleep(OBSERVE_INTERVAL).await;
    }
}

fn measured(tenant: &Tenant) -> Result<Ready> {
    let millis = |time: &prost_types::Timestamp| time.seconds * 1_000 + i64::from(time.nanos / 1_000_000);
    let ready = tenant.conditions.iter().find(|condition| condition.r#type == "Ready");
    let ready = ready.and_then(|condition| condition.last_transition_time.as_ref()).map(millis);
    let accepted = tenant.create_time.as_ref().map(millis);
    let took = ready.zip(accepted).map(|(ready, accepted)| ready - accepted).context("no times")?;
    let isolation = tenant.placement.as_ref().and_then(|placement| placement.isolation.as_ref());
    #[expect(clippy::cast_precision_loss, reason = "minutes in milliseconds")]
    let took_ms = took as f64;
    Ok(Ready {
        name: tenant.name.clone(),
        uid: tenant.uid.clone(),
        namespace: isolation.map(|isolation| isolation.namespace.clone()).unwrap_or_default(),
        took_ms,
    })
}

/// Waits for what a closure finds.
pub(crate) async fn eventually<T, F>(what: &str, timeout: Duration, mut find: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = find().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("not within {timeout:?}: {what}");
        }
        tokio::time::sleep(OBSERVE_INTERVAL).await;
    }
}

/// What happened and how long after the first event.
pub(crate) fn explained(events: &[Value]) -> Result<()> {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let time = |event: &Value| text(event, "eventTime").parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    let Some(first) = events.first().map(time).transpose()? else { return Ok(()) };
    for event in events {
        say(&format!("    {:>7} ms {}", time(event)? - first, text(event, "message")));
    }
    Ok(())
}
