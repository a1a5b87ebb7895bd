//! Records in the tenant's zone. ExternalDNS writes there too; metadata on each record set says
//! which are landlord's, and no other is touched.

use std::collections::BTreeSet;

use landlord_provider_api::{MARKER_ROLE, v1};
use landlord_provider_sdk::zones;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Zone, check_own, chosen, find};
use crate::{
    api::{self, Kind},
    arm::If,
    error::{Result, conflict, invalid},
    names::Call,
    object::Object,
    progress::{Outcome, ready},
    tags::{self, Tags},
};

/// Azure splits a TXT value into strings of so many bytes.
const TXT_LEN: usize = 255;

/// What is read of a record set, besides its values.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    metadata: Tags,
    #[serde(rename = "TTL")]
    ttl: i64,
}

impl Record {
    /// Whether it is this tenant's.
    pub(crate) fn is_ours(&self, scope: &v1::Scope) -> bool {
        tags::is_ours(scope, &self.metadata)
    }
}

/// A record set as found.
pub(crate) type Set = Object<Record>;

/// The condition that a record set is as it was read.
pub(super) fn unchanged(set: &Set) -> If<'_> {
    if set.etag().is_empty() { If::Always } else { If::Unchanged(set.etag()) }
}

/// A type of records: its resource type, the property that holds the values, and one value's
/// form.
struct Form {
    kind: &'static Kind,
    property: &'static str,
    value: fn(&str) -> Value,
}

fn form(kind: &str) -> Result<Form> {
    Ok(match kind {
        "A" => Form { kind: &api::RECORD_A, property: "ARecords", value: |v| json!({ "ipv4Address": v }) },
        "AAAA" => Form { kind: &api::RECORD_AAAA, property: "AAAARecords", value: |v| json!({ "ipv6Address": v }) },
        "CNAME" => Form { kind: &api::RECORD_CNAME, property: "CNAMERecord", value: |v| json!({ "cname": v }) },
        "TXT" => Form { kind: &api::RECORD_TXT, property: "TXTRecords", value: txt },
        other => return Err(invalid(format!("records of type {other} are not offered"))),
    })
}

fn txt(value: &str) -> Value {
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    let (mut strings, mut current) = (Vec::new(), String::new());
    for c in value.chars() {
        if current.len() + c.len_utf8() > TXT_LEN {
            strings.push(std::mem::take(&mut current));
        }
        current.push(c);
    }
    strings.push(current);
    json!({ "value": strings })
}

/// A record set as wanted.
struct Wanted {
    id: String,
    kind: &'static Kind,
    property: &'static str,
    values: Value,
    ttl: i64,
}

fn wanted(call: &Call<'_>, domain: &str, records: &[v1::DnsRecord]) -> Result<Vec<Wanted>> {
    let mut sets = Vec::new();
    for record in records {
        let name = zones::record_name(record, domain)?;
        let label = match name.strip_suffix(domain).unwrap_or_default() {
            "" => "@",
            rest => rest.trim_end_matches('.'),
        };
        let form = form(&record.r#type)?;
        let values: Vec<Value> = record.values.iter().map(|v| (form.value)(v)).collect();
        let is_alias = form.property == "CNAMERecord";
        if is_alias && values.len() > 1 {
            return Err(invalid(format!("the record {name} has {} values", values.len())));
        }
        sets.push(Wanted {
            id: format!("{}/{}/{label}", call.names.zone_id(domain), record.r#type),
            kind: form.kind,
            property: form.property,
            values: if is_alias { values[0].clone() } else { Value::Array(values) },
            ttl: i64::from(record.ttl_seconds.max(1)),
        });
    }
    Ok(sets)
}

/// Whether a set holds the same, in whatever order and spelling of a final dot.
fn same(present: &Set, wanted: &Wanted) -> bool {
    let texts = |value: &Value| -> BTreeSet<String> {
        let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        list.iter().map(|v| v.to_string().replace(".\"", "\"")).collect()
    };
    let values = present.document["properties"].get(wanted.property).cloned().unwrap_or_default();
    present.properties.ttl == wanted.ttl && texts(&values) == texts(&wanted.values)
}

/// All record sets of a zone.
async fn all(call: &Call<'_>, zone_id: &str) -> Result<Vec<Set>> {
    call.arm.list::<Record>(&api::RECORDS, &format!("{zone_id}/recordsets"), None).await
}

/// Makes exactly these records be landlord's in the zone: what is no longer wanted goes first,
/// since an alias tolerates nothing else of its name.
pub(crate) async fn ensure(call: &Call<'_>, zone: &v1::DnsZoneStatus, records: &[v1::DnsRecord]) -> Result<Outcome> {
    let domain = check_own(call, &zone.zone_id)?;
    if find(call, &domain).await?.is_none() {
        return Err(conflict(format!("DNS zone {domain} does not exist"), "retry from the zone's stage"));
    }
    let wanted = wanted(call, &domain, records)?;
    let present = all(call, &call.names.zone_id(&domain)).await?;
    let is = |set: &Set, wanted: &Wanted| set.id().eq_ignore_ascii_case(&wanted.id);
    for stale in present.iter().filter(|s| s.properties.is_ours(call.scope) && !wanted.iter().any(|w| is(s, w))) {
        delete_set(call, stale).await?;
    }
    for set in &wanted {
        let found = present.iter().find(|p| is(p, set));
        let condition = match found {
            Some(found) if !found.properties.is_ours(call.scope) => {
                return Err(tags::name_taken("record set", &set.id).into());
            }
            Some(found) if same(found, set) => continue,
            Some(found) => unchanged(found),
            None => If::Absent,
        };
        let mut properties = Map::new();
        properties.insert("TTL".to_owned(), json!(set.ttl));
        properties.insert("metadata".to_owned(), json!(tags::of(call.scope, "dns-record")));
        properties.insert(set.property.to_owned(), set.values.clone());
        call.arm.put(set.kind, &set.id, &json!({ "properties": properties }), condition).await?;
    }
    Ok(ready())
}

async fn delete_set(call: &Call<'_>, set: &Set) -> Result<()> {
    match api::of_type(set.kind()) {
        Some(kind) => call.arm.delete(kind, set.id()).await.map(drop),
        None => Err(invalid(format!("record sets of type {} are not landlord's", set.kind()))),
    }
}

/// The inventory's view.
pub(crate) fn owned(call: &Call<'_>, set: &Set) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: set.kind().to_owned(),
        id: set.id().to_owned(),
        name: set.name().to_owned(),
        role: set.properties.metadata.get(MARKER_ROLE).cloned().unwrap_or_default(),
        tenant_uid: call.scope.tenant_uid.clone(),
        region: call.scope.region.clone(),
    }
}

/// Landlord's records in one of the tenant's zones.
pub(crate) async fn listed(call: &Call<'_>, zone: &Zone) -> Result<Vec<Set>> {
    let mut sets = all(call, zone.id()).await?;
    sets.retain(|set| set.properties.is_ours(call.scope));
    Ok(sets)
}

/// Makes landlord's records be absent.
pub(crate) async fn delete(call: &Call<'_>, domain: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut removed = Vec::new();
    for zone in chosen(call, domain).await? {
        for set in listed(call, &zone).await? {
            delete_set(call, &set).await?;
            removed.push(owned(call, &set));
        }
    }
    Ok((Outcome::Gone, removed))
}

/// Observes.
pub(crate) async fn observe(call: &Call<'_>, domain: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut objects = Vec::new();
    for zone in chosen(call, domain).await? {
        objects.extend(listed(call, &zone).await?.iter().map(|set| owned(call, set)));
    }
    let outcome = if objects.is_empty() { Outcome::Gone } else { ready() };
    Ok((outcome, objects))
}

#[cfg(test)]
mod tests {
    use super::{Set, Wanted, form, same, txt};
    use crate::{api, object::Object};
    use serde_json::json;

    #[test]
    fn long_texts_are_split_and_quotes_are_not_part_of_them() {
        assert_eq!(txt("\"v=1\""), json!({ "value": ["v=1"] }));
        let value = txt(&"a".repeat(300));
        assert_eq!(value["value"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn order_and_final_dots_make_no_difference() {
        let set: Set =
            Object::read(json!({ "properties": { "TTL": 60, "CNAMERecord": { "cname": "lb.example.net." } } }))
                .expect("readable");
        let wanted = |ttl| Wanted {
            id: String::new(),
            kind: &api::RECORD_CNAME,
            property: "CNAMERecord",
            values: json!({ "cname": "lb.example.net" }),
            ttl,
        };
        assert!(same(&set, &wanted(60)) && !same(&set, &wanted(61)));
        assert!(form("MX").is_err());
    }
}
