//! WebhookService: how far the webhooks are; replays and tests.

use landlord_core::{
    Violations,
    access::{Action, Resource},
    audit::{AuditRecord, Outcome},
    ports::{HeldTenant, ParkedEvent, StoreError, WebhookView},
};
use landlord_proto::v1;
use tonic::{Request, Response, Status};

use crate::{
    access::Access,
    convert,
    error::{Error, violation},
    list::{
        filter::{Field, Value},
        in_memory::{InMemory, Wanted},
        scan::Item,
    },
    ports::Ports,
};

/// Fields that a filter or an order can name.
const FIELDS: [Field; 4] = [Field::text("name"), Field::text("url"), Field::text("state"), Field::text("error")];

/// WebhookService.
pub(crate) struct WebhookList {
    pub(crate) ports: Ports,
}

impl Item for v1::Webhook {
    fn position(&self) -> String {
        self.name.clone()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "name" => Value::text(self.name.as_str()),
            "url" => Value::text(self.url.as_str()),
            "state" => Value::text(self.state().as_str_name()),
            "error" => Value::text(self.error.as_str()),
            _ => Value::Absent,
        }
    }
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn attempts(attempts: u32) -> i32 {
    i32::try_from(attempts).unwrap_or(i32::MAX)
}

fn parked((event_id, event): (String, ParkedEvent)) -> v1::webhook::ParkedEvent {
    v1::webhook::ParkedEvent {
        event_id,
        event_type: event.event_type,
        tenant: event.tenant.to_string(),
        event_time: Some(convert::timestamp(event.event_time)),
        park_time: Some(convert::timestamp(event.park_time)),
        attempt_count: attempts(event.attempts),
        error: event.error,
    }
}

fn webhook(view: WebhookView) -> v1::Webhook {
    let base = v1::Webhook {
        name: format!("webhooks/{}", view.name),
        url: view.url,
        event_types: view.event_types,
        customers: view.customers.iter().map(|id| format!("customers/{id}")).collect(),
        state: v1::webhook::State::Pending.into(),
        ..v1::Webhook::default()
    };
    let Some((state, held_ids)) = view.state else { return base };
    // Without a tenant that waits for another attempt: nothing can be sent, or what was not taken was given up.
    let retrying = state.held.iter().any(|held| held.attempts > 0) || !state.error.is_empty();
    let held = |(held, event_id): (HeldTenant, String)| v1::webhook::HeldTenant {
        tenant: held.tenant.to_string(),
        event_id,
        attempt_count: attempts(held.attempts),
        next_attempt_time: Some(convert::timestamp(held.next_time)),
        error: held.error,
    };
    v1::Webhook {
        state: if retrying { v1::webhook::State::Retrying } else { v1::webhook::State::Delivering }.into(),
        failing_since_time: state.failing_since.map(convert::timestamp),
        error: state.error,
        delivery_time: state.delivery_time.map(convert::timestamp),
        delivered_count: count(state.delivered_count),
        held_tenants: state.held.into_iter().zip(held_ids).filter(|(held, _)| held.attempts > 0).map(held).collect(),
        parked_count: count(state.parked_count),
        parked_events: view.parked.into_iter().map(parked).collect(),
        missed_count: count(state.missed_count),
        daemon: state.daemon.map(|id| format!("daemons/{id}")).unwrap_or_default(),
        ..base
    }
}

/// The id in a resource name.
fn id(name: &str) -> Result<&str, Error> {
    Ok(name.strip_prefix("webhooks/").ok_or_else(|| StoreError::NotFound(name.to_owned()))?)
}

impl WebhookList {
    async fn all(&self) -> Result<Vec<v1::Webhook>, StoreError> {
        Ok(self.ports.webhooks.webhooks().await?.into_iter().map(webhook).collect())
    }

    async fn list(&self, request: &v1::ListWebhooksRequest) -> Result<v1::ListWebhooksResponse, Error> {
        let wanted = Wanted {
            filter: &request.filter,
            order_by: &request.order_by,
            size: request.page_size,
            token: &request.page_token,
        };
        let list = InMemory::parse("webhooks", &FIELDS, wanted, &self.ports.tokens)?;
        let webhooks = self.all().await?;
        let (webhooks, next_page_token) = list.page(&webhooks).await?;
        Ok(v1::ListWebhooksResponse { webhooks, next_page_token })
    }

    async fn get(&self, name: &str) -> Result<v1::Webhook, Error> {
        let found = self.all().await?.into_iter().find(|webhook| webhook.name == name);
        Ok(found.ok_or_else(|| StoreError::NotFound(name.to_owned()))?)
    }

    async fn replay(&self, access: &Access, request: &v1::ReplayWebhookRequest) -> Result<v1::Webhook, Error> {
        let Some(position) = self.ports.webhooks.position(&request.event_id) else {
            let description = "is no id of an event of this installation; take the header webhook-id of a delivery";
            return Err(Violations(vec![violation("event_id", description)]).into());
        };
        let name = id(&request.name)?;
        // Whoever may not know it gets no further; what does not exist is not recorded as replayed.
        self.get(&request.name).await?;
        self.record(
            access,
            Action::ReplayWebhook,
            format!("delivers {} again from {}", request.name, request.event_id),
        )
        .await?;
        self.ports.webhooks.replay(name, position).await?;
        self.get(&request.name).await
    }

    /// Keeps in the audit log who asks for this, before it is done.
    async fn record(&self, access: &Access, action: Action, detail: String) -> Result<(), Error> {
        let record = access.record(action, &Resource::Installation, Outcome::Done);
        Ok(self.ports.audit.record(vec![AuditRecord { detail, ..record }]).await?)
    }

    async fn test(&self, access: &Access, name: &str) -> Result<v1::TestWebhookResponse, Error> {
        self.get(name).await?;
        self.record(access, Action::TestWebhook, format!("sends a test to {name}")).await?;
        let test = self.ports.webhooks.test(id(name)?).await?;
        Ok(v1::TestWebhookResponse {
            event_id: test.event_id,
            delivered: test.error.is_empty(),
            http_status: test.status.map_or(0, i32::from),
            error: test.error,
            response_duration: test.duration.try_into().ok(),
        })
    }
}

#[tonic::async_trait]
impl v1::webhook_service_server::WebhookService for WebhookList {
    async fn list_webhooks(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksResponse>, Status> {
        Access::of(request.extensions())?.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.list(request.get_ref()).await?))
    }

    async fn get_webhook(&self, request: Request<v1::GetWebhookRequest>) -> Result<Response<v1::Webhook>, Status> {
        Access::of(request.extensions())?.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.get(&request.get_ref().name).await?))
    }

    async fn replay_webhook(
        &self,
        request: Request<v1::ReplayWebhookRequest>,
    ) -> Result<Response<v1::Webhook>, Status> {
        let access = Access::of(request.extensions())?;
        access.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.replay(&access, request.get_ref()).await?))
    }

    async fn test_webhook(
        &self,
        request: Request<v1::TestWebhookRequest>,
    ) -> Result<Response<v1::TestWebhookResponse>, Status> {
        let access = Access::of(request.extensions())?;
        access.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.test(&access, &request.get_ref().name).await?))
    }
}
