//! The audit log: who did what to which resource, as values. How entries are chained is the business of whoever keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    CustomerId, Environment, HostClusterSpec, Owner, Timestamp,
    ports::{Caller, RequestContext},
};

/// Characters of a path and of a value that are kept of a change; of a longer one the beginning.
const VALUE_CHARS_MAX: usize = 200;
/// Fields that are kept of a change.
const CHANGES_MAX: usize = 100;
/// What stands for a value that may be a secret.
const REDACTED: &str = "(redacted)";
/// Fields whose values are never kept: they are an app's own, and may hold anything.
const SECRET_FIELDS: [&str; 1] = ["stackValues"];

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused: the caller may not.
    Denied,
    /// It was not even asked who may: nobody is known to have called.
    Unauthenticated,
}

impl Outcome {
    /// As the API calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::Denied => "DENIED",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Author {
    /// Name of the principal; `landlord`: the daemon itself.
    pub principal: String,
    /// How it has authenticated; empty: the daemon itself.
    pub method: String,
    /// Address with port, or `unix:` and the user id; empty: the daemon itself.
    pub address: String,
    /// What its client calls itself.
    pub user_agent: String,
    /// Of what the daemon does for an operation: whose request that was.
    pub origin: String,
    /// The rpc, or what the daemon does by itself.
    pub action: String,
    /// The client's own id of the request.
    pub request_id: String,
}

impl Author {
    /// Of what the daemon does by itself; `origin`: for whom.
    #[must_use]
    pub fn daemon(action: &str, origin: &str) -> Self {
        Self { principal: Caller::Daemon.to_string(), action: action.into(), origin: origin.into(), ..Self::default() }
    }
}

impl From<&RequestContext> for Author {
    fn from(request: &RequestContext) -> Self {
        let method = match &request.caller {
            Caller::Principal(principal) => principal.method.as_str(),
            Caller::Daemon | Caller::Anonymous { .. } => "",
        };
        Self {
            principal: request.caller.to_string(),
            method: method.into(),
            address: request.via.address.clone(),
            user_agent: request.via.user_agent.clone(),
            origin: String::new(),
            action: request.rpc.into(),
            request_id: request.client_request_id.clone(),
        }
    }
}

/// One field that changed. Values as JSON, cut where they are long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Path.
    pub field: String,
    /// Before; empty: it was not there.
    pub from: String,
    /// After; empty: it is not there.
    pub to: String,
}

/// What is recorded of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Who.
    #[serde(flatten)]
    pub author: Author,
    /// Resource name; empty: none.
    pub resource: String,
    /// Whose the resource is; empty: no customer's.
    pub customer: String,
    /// Resource name of the operation that it began or belongs to; empty: none.
    pub operation: String,
    /// Version before; empty: it was not there.
    pub etag_before: String,
    /// Version after; empty: it is not there, or is the same.
    pub etag_after: String,
    /// What changed.
    pub changes: Vec<FieldChange>,
    /// What came of it.
    pub outcome: Outcome,
    /// A sentence. No secrets.
    pub detail: String,
    /// How many actions of the same kind are recorded together.
    pub count: u64,
}

impl AuditRecord {
    /// Of one action, without a change.
    #[must_use]
    pub fn new(author: Author, resource: String, customer: Option<&CustomerId>, outcome: Outcome) -> Self {
        Self {
            author,
            resource,
            customer: customer.map(ToString::to_string).unwrap_or_default(),
            operation: String::new(),
            etag_before: String::new(),
            etag_after: String::new(),
            changes: Vec::new(),
            outcome,
            detail: String::new(),
            count: 1,
        }
    }

    /// Of a change of an environment: made, changed or removed. The versions are those of the records.
    #[must_use]
    pub fn of_environment(author: Author, before: Option<&Environment>, after: Option<&Environment>) -> Self {
        let Some(either) = after.or(before) else {
            return Self::new(author, String::new(), None, Outcome::Done);
        };
        let name = either.name();
        let fields = |environment: Option<&Environment>| environment.map(fields).unwrap_or_default();
        Self {
            operation: format!("operations/{}", either.operation),
            etag_before: before.map(|record| record.etag.clone()).unwrap_or_default(),
            etag_after: after.map(|record| record.etag.clone()).unwrap_or_default(),
            changes: changes(&fields(before), &fields(after)),
            ..Self::new(author, name.to_string(), name.customer(), Outcome::Done)
        }
    }
}

/// An entry as it is kept: its text is what is hashed, so the order of the fields is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Position: 1, 2, 3, …
    pub seq: i64,
    /// Hash of the entry before it.
    pub previous: String,
    /// When, by the store's clock.
    pub time: Timestamp,
    /// What.
    #[serde(flatten)]
    pub record: AuditRecord,
}

/// The fields of an environment that a request can change, by path.
fn fields(environment: &Environment) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let spec = match &environment.owner {
        Owner::Tenant(tenant) => serde_json::to_value(&tenant.spec).unwrap_or_default(),
        Owner::HostCluster(host) => of_host_cluster(&host.spec),
    };
    flatten("", &spec, &mut fields);
    let placement = &environment.placement;
    let revisions = serde_json::to_value(&placement.revisions).unwrap_or_default();
    flatten("placement.revisions", &revisions, &mut fields);
    let mut put = |field: &str, value: String| fields.insert(field.to_owned(), value);
    put("placement.class", placement.class.to_string());
    put("placement.region", placement.region.clone());
    put("placement.nodeCount", placement.node_count.to_string());
    put("desiredState", format!("{:?}", environment.desired_state));
    put("cancelRequested", environment.cancel_requested.to_string());
    fields
}

fn of_host_cluster(spec: &HostClusterSpec) -> Value {
    serde_json::json!({
        "labels": spec.labels,
        "class": spec.class,
        "region": spec.region,
        "node_count": spec.node_count,
        "deletion_protection": spec.deletion_protection,
        "tenants_max": spec.tenants_max,
        "cordoned": spec.cordoned,
        "adoption": spec.adoption,
    })
}

/// The leaves of a value by path, in the API's spelling, without those that are empty.
pub fn flatten(at: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                // Below the first level keys are the user's.
                let path = if at.is_empty() { camel(key) } else { format!("{at}.{key}") };
                flatten(&path, member, fields);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(fields.insert(at.to_owned(), text.clone())),
        other => drop(fields.insert(at.to_owned(), other.to_string())),
    }
}

/// `node_count` → `nodeCount`; what the API calls otherwise by its name there.
fn camel(name: &str) -> String {
    match name {
        "storage" => return "storageGib".into(),
        "class" => return "tenantClass".into(),
        _ => {}
    }
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        text + &head.to_ascii_uppercase() + rest
    })
}

/// What is different, with secrets redacted.
#[must_use]
pub fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<FieldChange> {
    let mut all: Vec<&String> = before.keys().chain(after.keys()).collect();
    all.sort();
    all.dedup();
    all.into_iter()
        .filter(|field| before.get(*field) != after.get(*field))
        .take(CHANGES_MAX)
        .map(|field| FieldChange {
            field: field.chars().take(VALUE_CHARS_MAX).collect(),
            from: shown(field, before.get(field)),
            to: shown(field, after.get(field)),
        })
        .collect()
}

fn shown(field: &str, value: Option<&String>) -> String {
    let Some(value) = value else { return String::new() };
    if SECRET_FIELDS.iter().any(|secret| field.split('.').next() == Some(*secret)) {
        return REDACTED.to_owned();
    }
    value.chars().take(VALUE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        flatten("", &value, &mut fields);
        fields
    }

    #[test]
    fn what_changed_is_recorded_and_secrets_are_not() {
        let before = fields(serde_json::json!({
            "display_name": "Acme", "labels": {"tier": "gold"}, "stack_values": {"chat": {"key": "hunter2"}}
        }));
        let after = fields(serde_json::json!({
            "display_name": "Acme", "labels": {"tier": "iron", "new": "x"}, "stack_values": {"chat": {"key": "hunter3"}}
        }));
        let changes = changes(&before, &after);
        let found: Vec<_> = changes.iter().map(|c| (c.field.as_str(), c.from.as_str(), c.to.as_str())).collect();
        let expected =
            [("labels.new", "", "x"), ("labels.tier", "gold", "iron"), ("stackValues.chat.key", REDACTED, REDACTED)];
        assert_eq!(found, expected);
        assert!(!format!("{changes:?}").contains("hunter"));
    }

    #[test]
    fn an_entry_comes_back_as_it_was() {
        let author = Author { principal: "corp:ann".into(), action: "CreateTenant".into(), ..Author::default() };
        let record = AuditRecord::new(author, "customers/acme/tenants/prod".into(), None, Outcome::Denied);
        let entry = AuditEntry { seq: 1, previous: "0".into(), time: Timestamp(5), record };
        let text = serde_json::to_string(&entry).unwrap();
        assert!(text.starts_with(r#"{"seq":1,"previous":"0","time":5,"principal":"corp:ann""#), "{text}");
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), entry);
    }
}
