//! AuditService: who did what.

use landlord_core::{
    Timestamp,
    access::Resource,
    ports::{AuditQuery, KeptEntry, Page},
};
use landlord_proto::v1;
use tonic::{Request, Response, Status};

use crate::{
    access::Access,
    convert,
    error::Error,
    list::{
        filter::{self, Field, Kind, Value},
        order::Order,
        page,
        scan::{Item, Scan},
    },
    ports::Ports,
};

const CUSTOMER: Field = Field::text("customer");
const EVENT_TIME: Field = Field::new("event_time", Kind::Time);

/// Fields that a filter can name.
const FIELDS: [Field; 14] = [
    Field::text("principal"),
    Field::text("method"),
    Field::text("address"),
    Field::text("user_agent"),
    Field::text("origin"),
    Field::text("action"),
    Field::text("resource"),
    CUSTOMER,
    Field::text("operation"),
    Field::text("request_id"),
    Field::text("outcome"),
    Field::text("detail"),
    Field::new("sequence", Kind::Number),
    EVENT_TIME,
];

/// AuditService.
pub(crate) struct Audit {
    pub(crate) ports: Ports,
}

impl Item for KeptEntry {
    fn position(&self) -> String {
        self.entry.seq.to_string()
    }

    fn value(&self, field: &str) -> Value<'_> {
        let record = &self.entry.record;
        match field {
            "principal" => Value::text(record.author.principal.as_str()),
            "method" => Value::text(record.author.method.as_str()),
            "address" => Value::text(record.author.address.as_str()),
            "user_agent" => Value::text(record.author.user_agent.as_str()),
            "origin" => Value::text(record.author.origin.as_str()),
            "action" => Value::text(record.author.action.as_str()),
            "resource" => Value::text(record.resource.as_str()),
            "customer" => Value::text(record.customer.as_str()),
            "operation" => Value::text(record.operation.as_str()),
            "request_id" => Value::text(record.author.request_id.as_str()),
            "outcome" => Value::text(record.outcome.as_str()),
            "detail" => Value::text(record.detail.as_str()),
            "sequence" => Value::Number(self.entry.seq),
            "event_time" => Value::Time(self.entry.time.0),
            _ => Value::Absent,
        }
    }
}

impl Audit {
    async fn list(
        &self,
        access: &Access,
        request: &v1::ListAuditEventsRequest,
    ) -> Result<v1::ListAuditEventsResponse, Error> {
        let filter = filter::parse(&request.filter, &FIELDS)?;
        let own = access.principal().customer.clone();
        let asked = filter.text(&CUSTOMER).and_then(|id| id.parse().ok());
        let query = AuditQuery {
            since: filter.since(&EVENT_TIME).map(Timestamp),
            // Whoever acts for a customer is shown nothing of another, whatever policies say.
            customer: own.clone().or(asked),
            ..AuditQuery::default()
        };
        let of = own.as_ref().map(ToString::to_string).unwrap_or_default();
        let scope = format!("audit {of} {}", request.filter);
        let tokens = &self.ports.tokens;
        let page = page::Request { scope: &scope, size: request.page_size, token: &request.page_token, tokens };
        let read = |after: Option<String>, limit: u32| {
            let after_seq = after.and_then(|seq| seq.parse().ok()).unwrap_or(0);
            let query = AuditQuery { after_seq, limit, ..query.clone() };
            async move {
                let items = self.ports.audit.entries(&query).await?;
                let next = items.last().filter(|_| items.len() >= limit as usize).map(Item::position);
                Ok(Page { items, next })
            }
        };
        // Before the page, so that the last page reaches it.
        let end = match own {
            None => self.ports.audit.audit_end().await?,
            Some(_) => Default::default(),
        };
        let (entries, next_page_token) = Scan { filter: &filter, order: &Order::default(), page }.page(read).await?;
        Ok(v1::ListAuditEventsResponse {
            audit_events: entries.into_iter().map(event).collect(),
            next_page_token,
            end_sequence: end.seq,
            end_hash: end.hash,
        })
    }
}

fn event(kept: KeptEntry) -> v1::AuditEvent {
    let record = kept.entry.record;
    let author = record.author;
    let change = |change: landlord_core::audit::FieldChange| v1::FieldChange {
        field: change.field,
        from: change.from,
        to: change.to,
    };
    v1::AuditEvent {
        name: format!("auditEvents/{}", kept.entry.seq),
        sequence: kept.entry.seq,
        event_time: Some(convert::timestamp(kept.entry.time)),
        principal: author.principal,
        method: author.method,
        address: author.address,
        user_agent: author.user_agent,
        origin: author.origin,
        action: author.action,
        resource: record.resource,
        operation: record.operation,
        request_id: author.request_id,
        etag_before: record.etag_before,
        etag_after: record.etag_after,
        changes: record.changes.into_iter().map(change).collect(),
        outcome: record.outcome.as_str().into(),
        detail: record.detail,
        event_count: i64::try_from(record.count).unwrap_or(i64::MAX),
        entry: kept.text,
        hash: kept.hash,
        head_key_id: kept.head_key_id,
        head_signature: kept.head_signature,
    }
}

#[tonic::async_trait]
impl v1::audit_service_server::AuditService for Audit {
    async fn list_audit_events(
        &self,
        request: Request<v1::ListAuditEventsRequest>,
    ) -> Result<Response<v1::ListAuditEventsResponse>, Status> {
        let access = Access::of(request.extensions())?;
        access.check(&Resource::Installation).map_err(Error::from)?;
        Ok(Response::new(self.list(&access, request.get_ref()).await?))
    }
}
