//! What receivers get: events of the store as CloudEvents 1.0 in JSON.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use landlord_core::{
    Timestamp,
    ports::{Event, EventKind, NewEvent},
};
use serde_json::{Value, json};

/// What an event is about. The words are promised to receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// A create, change, retry or delete was accepted.
    Accepted,
    /// A stage began, went on, failed an attempt or ended.
    StageChanged,
    /// What was built is no longer as it was ordered; it is being repaired.
    Drifted,
    /// The tenant is READY.
    Ready,
    /// A stage gave up.
    Failed,
    /// A certificate of the tenant's ends soon, and nobody renews it.
    CertificateExpiring,
    /// Anything else of the tenant's record changed: cancelled, paused, held.
    Updated,
    /// The tenant is gone, and nothing is left of it.
    Deleted,
}

impl EventType {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Accepted,
        Self::StageChanged,
        Self::Drifted,
        Self::Ready,
        Self::Failed,
        Self::CertificateExpiring,
        Self::Updated,
        Self::Deleted,
    ];

    /// As receivers know it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "dev.landlord.tenant.accepted",
            Self::StageChanged => "dev.landlord.tenant.stage_changed",
            Self::Drifted => "dev.landlord.tenant.drifted",
            Self::Ready => "dev.landlord.tenant.ready",
            Self::Failed => "dev.landlord.tenant.failed",
            Self::CertificateExpiring => "dev.landlord.tenant.certificate_expiring",
            Self::Updated => "dev.landlord.tenant.updated",
            Self::Deleted => "dev.landlord.tenant.deleted",
        }
    }

    /// The type of a name; `None`: there is no such type.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == name)
    }

    pub(crate) fn of(event: &NewEvent) -> Self {
        match (event.kind, event.reason.as_str()) {
            (EventKind::Removed, _) => Self::Deleted,
            (EventKind::Stage, "StageDrifted") => Self::Drifted,
            (EventKind::Stage, _) => Self::StageChanged,
            (EventKind::Tenant, "Ready") => Self::Ready,
            (EventKind::Tenant, "Failed") => Self::Failed,
            (EventKind::Tenant, "CertificateExpiring") => Self::CertificateExpiring,
            (EventKind::Operation, reason) if reason.ends_with("Accepted") => Self::Accepted,
            (EventKind::Tenant | EventKind::Operation, _) => Self::Updated,
        }
    }
}

/// Of a test delivery; no event of the store has it.
pub(crate) const TEST_TYPE: &str = "dev.landlord.webhook.test";

/// The place that events come from: receivers of several installations tell them apart by it.
pub(crate) fn source(installation: &str) -> String {
    format!("//landlord.dev/installations/{installation}")
}

/// The body for an event.
pub(crate) fn body(source: &str, id: &str, event: &Event) -> String {
    let NewEvent { kind: _, stage, reason, message, progress: _ } = &event.event;
    let tenant = event.name.to_string();
    let data =
        json!({ "tenant": tenant, "uid": event.uid.to_string(), "stage": stage, "reason": reason, "message": message });
    envelope((source, id), EventType::of(&event.event).as_str(), &tenant, event.time, &data)
}

/// The body of a test delivery.
pub(crate) fn test_body(source: &str, id: &str, webhook: &str, now: Timestamp) -> String {
    let data = json!({ "message": "a test of this webhook" });
    envelope((source, id), TEST_TYPE, &format!("webhooks/{webhook}"), now, &data)
}

/// CloudEvents 1.0 as JSON. <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
fn envelope((source, id): (&str, &str), r#type: &str, subject: &str, time: Timestamp, data: &Value) -> String {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": r#type,
        "subject": subject,
        "time": time.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_type() {
        let cases = [
            (EventKind::Operation, "CreateAccepted", EventType::Accepted),
            (EventKind::Operation, "DeleteAccepted", EventType::Accepted),
            (EventKind::Operation, "CancelRequested", EventType::Updated),
            (EventKind::Stage, "StageStarted", EventType::StageChanged),
            (EventKind::Stage, "StageDrifted", EventType::Drifted),
            (EventKind::Tenant, "Ready", EventType::Ready),
            (EventKind::Tenant, "DiskNearlyFull", EventType::Updated),
            (EventKind::Tenant, "Failed", EventType::Failed),
            (EventKind::Tenant, "CertificateExpiring", EventType::CertificateExpiring),
            (EventKind::Tenant, "Paused", EventType::Updated),
            (EventKind::Removed, "Removed", EventType::Deleted),
        ];
        for (kind, reason, expected) in cases {
            let event =
                NewEvent { kind, stage: String::new(), reason: reason.into(), message: String::new(), progress: None };
            assert_eq!(EventType::of(&event), expected, "{reason}");
        }
        for known in EventType::ALL {
            assert_eq!(EventType::of_name(known.as_str()), Some(*known));
        }
        assert_eq!(EventType::of_name("dev.landlord.tenant.unknown"), None);
    }
}
