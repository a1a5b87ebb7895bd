//! What a GET of a zone or record set shows beside its body.

use crate::{kind::AzureKind, principal, resource};
use cloudsim_core::{ctx::Ctx, object::Object};
use serde_json::{Value, json};

/// Adds what only a GET shows.
pub(crate) fn add(ctx: &mut Ctx<'_>, object: &Object, kind: AzureKind, body: &mut Value) {
    body["etag"] = object.text("etag").into();
    if kind == AzureKind::DnsRecordSet {
        add_to_record(object, body);
        return;
    }
    let records = resource::children_of(ctx, object, AzureKind::DnsRecordSet).len();
    if let Some(properties) = body["properties"].as_object_mut() {
        // A zone has no such state.
        properties.remove("provisioningState");
        properties.insert("zoneType".to_owned(), "Public".into());
        properties.insert("maxNumberOfRecordSets".to_owned(), 10_000.into());
        properties.insert("maxNumberOfRecordsPerRecordSet".to_owned(), Value::Null);
        properties.insert("numberOfRecordSets".to_owned(), records.into());
        properties.insert("nameServers".to_owned(), json!(name_servers(object)));
    }
}

/// The four name servers of a zone.
pub(super) fn name_servers(zone: &Object) -> Vec<String> {
    let number = principal::guid_of(&zone.id).bytes().map(u32::from).sum::<u32>() % 9 + 1;
    let top = ["com", "net", "org", "info"];
    (1..=4).zip(top).map(|(n, tld)| format!("ns{n}-{number:02}.azure-dns.{tld}.")).collect()
}

fn add_to_record(object: &Object, body: &mut Value) {
    let (kind, zone) = (object.text("record_type"), object.text("zone"));
    body["type"] = format!("Microsoft.Network/dnszones/{kind}").into();
    let name = object.name.as_deref().unwrap_or_default();
    let fqdn = if name == "@" { format!("{zone}.") } else { format!("{name}.{zone}.") };
    body["properties"]["fqdn"] = fqdn.into();
    body["properties"]["targetResource"] = json!({});
}
