//! The NS record in a parent zone that points to a tenant's zone. It carries the markers as
//! metadata; one without them is a foreign and left alone.

use landlord_provider_api::v1;
use serde_json::{Value, json};

use super::records::{self, Record};
use crate::{api, arm::If, error::Result, names::Call, object::Object, tags};

/// How long a resolver may keep the delegation, seconds.
const TTL_S: i64 = 300;

/// Id of the record; the parent's domain is a suffix of the zone's.
fn id((parent, parent_id): (&str, &str), domain: &str) -> String {
    let label = domain.strip_suffix(parent).unwrap_or(domain).trim_end_matches('.');
    format!("{parent_id}/NS/{label}")
}

async fn find(call: &Call<'_>, parent: (&str, &str), domain: &str) -> Result<Option<Object<Record>>> {
    call.arm.get::<Record>(&api::RECORD_NS, &id(parent, domain)).await
}

fn servers(record: &Object<Record>) -> Vec<String> {
    let list = record.document.pointer("/properties/NSRecords").and_then(Value::as_array);
    let mut names: Vec<String> =
        list.into_iter().flatten().filter_map(|r| r["nsdname"].as_str()).map(super::normal).collect();
    names.sort();
    names
}

/// Makes the parent point to these servers.
pub(super) async fn ensure(call: &Call<'_>, parent: (&str, &str), domain: &str, wanted: &[String]) -> Result<()> {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let present = find(call, parent, domain).await?;
    let condition = match &present {
        Some(record) if !record.properties.is_ours(call.scope) => {
            return Err(tags::name_taken("delegation", domain).into());
        }
        Some(record) if servers(record) == wanted => return Ok(()),
        Some(record) => records::unchanged(record),
        None => If::Absent,
    };
    let list: Vec<Value> = wanted.iter().map(|s| json!({ "nsdname": format!("{s}.") })).collect();
    let body = json!({ "properties": {
        "TTL": TTL_S,
        "metadata": tags::of(call.scope, "delegation"),
        "NSRecords": list,
    }});
    call.arm.put(&api::RECORD_NS, &id(parent, domain), &body, condition).await.map(drop)
}

/// Takes the delegation away if it is ours.
pub(super) async fn delete(call: &Call<'_>, parent: (&str, &str), domain: &str) -> Result<Option<v1::OwnedObject>> {
    let found = find(call, parent, domain).await?.filter(|r| r.properties.is_ours(call.scope));
    let Some(record) = found else { return Ok(None) };
    let removed = records::owned(call, &record);
    call.arm.delete(&api::RECORD_NS, &id(parent, domain)).await?;
    Ok(Some(removed))
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn the_record_is_named_relative_to_the_parent() {
        assert_eq!(id(("example.com", "/z"), "acme.eu.example.com"), "/z/NS/acme.eu");
    }
}
