//! One place in one cloud where tenants live one after the other: ordered, changed, cancelled, retried, deleted at random.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_proto::{
    google::longrunning::{CancelOperationRequest, operations_client::OperationsClient},
    v1::{CreateTenantRequest, DeleteTenantRequest, RetryTenantRequest, Tenant, UpdateTenantRequest, tenant::State},
};
use landlord_test_harness::Cloud;
use tonic::Code;

use super::{dice::Dice, portal::Portal, tally::Tally, verdict::Watch};

/// How often a tenant is inspected.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Retries of one tenant; more is no life.
const RETRIES_MAX: u32 = 5;
/// After an order that was refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);

/// What keeps a tenant apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// A cluster of its own.
    Cluster,
    /// Nodes of its own in a host cluster.
    Node,
    /// A namespace in a host cluster.
    Namespace,
}

impl Level {
    fn class(self, cloud: &Cloud) -> String {
        match self {
            Self::Cluster => cloud.bare_class(),
            Self::Node => cloud.bare_shared_class("node"),
            Self::Namespace => cloud.bare_shared_class("namespace"),
        }
    }
}

/// Where tenants live one after the other.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) cloud: &'static Cloud,
    pub(crate) level: Level,
    pub(crate) index: usize,
    pub(crate) portal: Portal,
    pub(crate) watch: Watch,
    pub(crate) tally: Arc<Tally>,
    pub(crate) timeout: Duration,
}

/// How a life goes between order and deletion.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Until it is READY, then changed.
    Updated,
    /// Cancelled on the way, and perhaps retried.
    Cancelled,
    /// Deleted on the way.
    Aborted,
    /// Until it is READY.
    Plain,
}

impl Slot {
    /// Lives until `until`; whoever lives then is taken down in order.
    pub(crate) async fn live(self, mut dice: Dice, until: Instant) {
        let mut number = 0_u32;
        while Instant::now() < until {
            number += 1;
            let id = format!("s{}n{number}", self.index);
            if let Err(error) = self.one(&id, &mut dice).await {
                // The tenant stays as it is, to be inspected; so does the slot.
                self.tally.violation("stuck", format!("{} {id}: {error:#}", self.place()));
                return;
            }
        }
    }

    fn place(&self) -> String {
        format!("{} {:?}", self.cloud.provider, self.level)
    }

    async fn one(&self, id: &str, dice: &mut Dice) -> Result<()> {
        let name = format!("customers/storm/tenants/{id}");
        let turn = dice.one(&[Turn::Plain, Turn::Updated, Turn::Updated, Turn::Cancelled, Turn::Aborted]);
        let turn = turn.unwrap_or(Turn::Plain);
        // Drawn before anything can fail, so that the seed alone decides.
        let (soon, again, ids) = (dice.between(50, 6_000), dice.percent(50), [(); 4].map(|()| dice.uuid()));
        let Some(uid) = self.create(id, &name, &ids[0]).await? else { return Ok(()) };
        let mut recreations = 0;
        match turn {
            Turn::Plain => self.until_ready(&name).await?,
            Turn::Updated => {
                self.until_ready(&name).await?;
                self.update(&name, &ids[1]).await?;
                if again {
                    tokio::time::sleep(soon).await;
                } else {
                    self.until_ready(&name).await?;
                }
            }
            Turn::Cancelled => {
                tokio::time::sleep(soon).await;
                let Some(stands) = self.cancel(&name).await? else {
                    return self.watch.life_ended(self.cloud, &name, &uid, recreations).await;
                };
                recreations += u32::from(stands);
                if again && self.retry(&name, &ids[2]).await? {
                    recreations += 1;
                    self.until_ready(&name).await?;
                }
            }
            Turn::Aborted => tokio::time::sleep(soon).await,
        }
        self.delete(&name, &uid, &ids[3]).await?;
        self.watch.life_ended(self.cloud, &name, &uid, recreations).await
    }

    /// Orders a tenant; gives its uid, or nothing if it was refused for want of room.
    async fn create(&self, id: &str, name: &str, request_id: &str) -> Result<Option<String>> {
        let request = CreateTenantRequest {
            adopt_uid: String::new(),
            parent: "customers/storm".into(),
            tenant_id: id.into(),
            tenant: Some(Tenant {
                tenant_class: self.level.class(self.cloud),
                domain: format!("{id}.storm.example.com"),
                storage_gib: 10,
                ..Tenant::default()
            }),
            request_id: request_id.to_owned(),
            validate_only: false,
        };
        let accepted = self
            .portal
            .call(|mut client| {
                let request = request.clone();
                async move { client.create_tenant(request).await }
            })
            .await;
        match accepted {
            Err(status) if status.code() == Code::ResourceExhausted => {
                self.tally.count("refused", self.place());
                tokio::time::sleep(REFUSED_PAUSE).await;
                return Ok(None);
            }
            other => other.with_context(|| format!("creating {name}"))?,
        };
        self.tally.count("created", self.place());
        match self.portal.tenant(name).await? {
            Some(tenant) => Ok(Some(tenant.uid)),
            None => {
                self.tally.violation("lost", format!("{name} was accepted and is not there"));
                bail!("{name} was accepted and is not there")
            }
        }
    }

    /// Waits until it is READY; what FAILED is retried.
    async fn until_ready(&self, name: &str) -> Result<()> {
        let mut retries = 0;
        let mut deadline = Instant::now() + self.timeout;
        loop {
            let Some(tenant) = self.portal.tenant(name).await? else {
                self.tally.violation("lost", format!("{name} is gone, and nobody deleted it"));
                bail!("{name} is gone, and nobody deleted it");
            };
            match tenant.state() {
                State::Ready => {
                    self.tally.count("READY", self.place());
                    return Ok(());
                }
                State::Failed if retries < RETRIES_MAX => {
                    retries += 1;
                    self.retry(name, &uuid::Uuid::new_v4().to_string()).await?;
                    deadline = Instant::now() + self.timeout;
                }
                _ => {}
            }
            if Instant::now() > deadline {
                bail!("not READY after {:?} and {retries} retries: {}", self.timeout, reported(&tenant));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// One node more, or another name where there are none.
    async fn update(&self, name: &str, request_id: &str) -> Result<()> {
        let (field, tenant) = match self.level {
            Level::Cluster | Level::Node => {
                ("node_count", Tenant { name: name.to_owned(), node_count: 2, ..Tenant::default() })
            }
            Level::Namespace => {
                ("display_name", Tenant { name: name.to_owned(), display_name: "storm".into(), ..Tenant::default() })
            }
        };
        let request = UpdateTenantRequest {
            tenant: Some(tenant),
            update_mask: Some(prost_types::FieldMask { paths: vec![field.to_owned()] }),
            request_id: request_id.to_owned(),
            validate_only: false,
        };
        self.portal
            .call(|mut client| {
                let request = request.clone();
                async move { client.update_tenant(request).await }
            })
            .await?;
        self.tally.count("updated", self.place());
        Ok(())
    }

    /// Cancels what runs and waits until nothing does; nothing if it was unwound to the end with its record, otherwise
    /// whether something may be made again because of it.
    async fn cancel(&self, name: &str) -> Result<Option<bool>> {
        let Some(tenant) = self.portal.tenant(name).await? else {
            self.tally.violation("lost", format!("{name} is gone, and nobody deleted it"));
            bail!("{name} is gone, and nobody deleted it")
        };
        let is_creating = matches!(tenant.state(), State::Pending | State::Provisioning);
        let request = CancelOperationRequest { name: tenant.latest_operation };
        let channel = self.portal.channel().await;
        if let Ok(channel) = channel {
            // Whether it was still received, or there was still something to cancel, does not matter here.
            let _ = OperationsClient::new(channel).cancel_operation(request).await;
        }
        self.tally.count("cancelled", self.place());
        let deadline = Instant::now() + self.timeout;
        loop {
            let Some(tenant) = self.portal.tenant(name).await? else {
                if is_creating {
                    self.tally.count("unwound", self.place());
                    return Ok(None);
                }
                self.tally.violation("lost", format!("{name} is gone: what was cancelled was no create"));
                bail!("{name} is gone: what was cancelled was no create");
            };
            match tenant.state() {
                State::Failed | State::Ready => return Ok(Some(true)),
                _ if Instant::now() > deadline => bail!("cancelled, and still at it: {}", reported(&tenant)),
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Requests another try; returns whether one was begun.
    async fn retry(&self, name: &str, request_id: &str) -> Result<bool> {
        let request = RetryTenantRequest {
            name: name.to_owned(),
            request_id: request_id.to_owned(),
            ..RetryTenantRequest::default()
        };
        match self
            .portal
            .call(|mut client| {
                let request = request.clone();
                async move { client.retry_tenant(request).await }
            })
            .await
        {
            Ok(_) => {
                self.tally.count("retried", self.place());
                Ok(true)
            }
            // It is no longer FAILED.
            Err(status) if status.code() == Code::FailedPrecondition => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    async fn delete(&self, name: &str, uid: &str, request_id: &str) -> Result<()> {
        let request = DeleteTenantRequest {
            name: name.to_owned(),
            request_id: request_id.to_owned(),
            ..DeleteTenantRequest::default()
        };
        match self
            .portal
            .call(|mut client| {
                let request = request.clone();
                async move { client.delete_tenant(request).await }
            })
            .await
        {
            Ok(_) => {}
            // A repeated request may come when the first has done its work.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status.into()),
        }
        let mut deadline = Instant::now() + self.timeout;
        let mut retries = 0;
        while let Some(tenant) = self.portal.tenant(name).await?.filter(|tenant| tenant.uid == uid) {
            if tenant.state() == State::Failed && retries < RETRIES_MAX {
                retries += 1;
                self.retry(name, &uuid::Uuid::new_v4().to_string()).await?;
                deadline = Instant::now() + self.timeout;
            }
            if Instant::now() > deadline {
                bail!("not gone after {:?} and {retries} retries: {}", self.timeout, reported(&tenant));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.tally.count("gone", self.place());
        Ok(())
    }
}

/// State and what it says of itself.
fn reported(tenant: &Tenant) -> String {
    let conditions = tenant.conditions.iter().filter(|condition| !condition.message.is_empty());
    let conditions: Vec<String> =
        conditions.map(|c| format!("{}={} {}: {}", c.r#type, c.status, c.reason, c.message)).collect();
    format!("{} {} {}", tenant.uid, tenant.state().as_str_name(), conditions.join("; "))
}
