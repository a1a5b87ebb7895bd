//! Records in the tenant's zone. ExternalDNS may write there too, so a TXT record at
//! `_landlord.<domain>` lists which ones are landlord's; it changes in the same atomic batch.

use std::collections::BTreeSet;

use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, HostedZone, ResourceRecord, ResourceRecordSet, RrType,
};
use landlord_provider_api::{ErrorKind, ProviderError, v1};
use landlord_provider_sdk::zones;

use super::{find, normal, short_id};
use crate::{
    action,
    aws::Clients,
    error::{Absent as _, Result, failed, incomplete, invalid},
    names::Names,
    progress::{self, Outcome},
};

/// Label of the record that lists landlord's records.
const REGISTRY: &str = "_landlord";
/// Time to live of the registry, seconds; nobody looks it up.
const REGISTRY_TTL_S: i64 = 300;
/// Route 53 takes 1,000 values a batch; an upsert counts twice.
const BATCH_MAX: usize = 400;
/// Pages of 300 records; 10,000 records is Route 53's own bound for a zone.
const PAGES_MAX: usize = 40;

/// A record set.
pub(crate) fn build(
    name: &str,
    kind: RrType,
    ttl_s: i64,
    values: impl IntoIterator<Item = String>,
) -> Result<ResourceRecordSet> {
    let mut set = ResourceRecordSet::builder().name(format!("{name}.")).r#type(kind).ttl(ttl_s);
    for value in values {
        let record = ResourceRecord::builder().value(value).build().map_err(|e| invalid(e.to_string()))?;
        set = set.resource_records(record);
    }
    set.build().map_err(|e| invalid(e.to_string()))
}

/// Changes a zone, all or nothing a batch.
pub(crate) async fn change(aws: &Clients, zone: &str, changes: Vec<(ChangeAction, ResourceRecordSet)>) -> Result<()> {
    for some in changes.chunks(BATCH_MAX) {
        let mut batch = ChangeBatch::builder();
        for (action, record) in some {
            let change = Change::builder().action(action.clone()).resource_record_set(record.clone()).build();
            batch = batch.changes(change.map_err(|e| invalid(e.to_string()))?);
        }
        let batch = batch.build().map_err(|e| invalid(e.to_string()))?;
        let response = aws.zones.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await;
        response.map_err(failed(action::CHANGE_RECORD_SETS, zone))?;
    }
    Ok(())
}

/// Deletes records as they were just read. A refusal means that somebody changed one of them in
/// between, which the next observation settles.
async fn delete_all(aws: &Clients, zone: &str, records: &[ResourceRecordSet]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let changes = records.iter().map(|r| (ChangeAction::Delete, r.clone())).collect();
    match change(aws, zone, changes).await {
        Err(error) if error.is_absent() => Ok(()),
        Err(error) if error.code() == "InvalidChangeBatch" => Err(ProviderError::new(
            ErrorKind::Conflict,
            format!("records of zone {zone} changed while they were being deleted: {error}"),
        )
        .with_code("InvalidChangeBatch")
        .into()),
        result => result,
    }
}

/// The first record at or after this name and type.
pub(crate) async fn look_up(aws: &Clients, zone: &str, name: &str, kind: &RrType) -> Result<Option<ResourceRecordSet>> {
    let request = aws.zones.list_resource_record_sets().hosted_zone_id(zone);
    let request = request.start_record_name(format!("{name}.")).start_record_type(kind.clone()).max_items(1);
    let response = request.send().await.map_err(failed(action::LIST_RECORD_SETS, zone))?;
    let first = response.resource_record_sets.into_iter().next();
    Ok(first.filter(|r| r.r#type() == kind && normal(r.name()) == normal(name)))
}

/// All records of a zone; none if the zone is gone.
async fn all(aws: &Clients, zone: &str) -> Result<Vec<ResourceRecordSet>> {
    let mut found = Vec::new();
    let (mut name, mut kind, mut identifier) = (None, None, None);
    for _ in 0..PAGES_MAX {
        let request = aws.zones.list_resource_record_sets().hosted_zone_id(zone);
        let request =
            request.set_start_record_name(name).set_start_record_type(kind).set_start_record_identifier(identifier);
        let response = request.send().await.map_err(failed(action::LIST_RECORD_SETS, zone)).or_absent()?;
        let Some(response) = response else {
            return Ok(found);
        };
        found.extend(response.resource_record_sets);
        if !response.is_truncated {
            return Ok(found);
        }
        (name, kind, identifier) =
            (response.next_record_name, response.next_record_type, response.next_record_identifier);
    }
    Err(incomplete(action::LIST_RECORD_SETS, "a last page"))
}

/// Removes everything but the zone's own NS and SOA; gives what it removed.
pub(crate) async fn clear(aws: &Clients, zone: &HostedZone) -> Result<Vec<ResourceRecordSet>> {
    let apex = normal(zone.name());
    let own = |r: &ResourceRecordSet| normal(r.name()) == apex && matches!(r.r#type(), RrType::Ns | RrType::Soa);
    let records: Vec<_> = all(aws, short_id(zone.id())).await?.into_iter().filter(|r| !own(r)).collect();
    delete_all(aws, short_id(zone.id()), &records).await?;
    Ok(records)
}

/// `A acme.example.com`, as the registry lists it.
fn entry(record: &ResourceRecordSet) -> String {
    format!("{} {}", record.r#type(), normal(record.name()))
}

fn registry(domain: &str, entries: &BTreeSet<String>) -> Result<ResourceRecordSet> {
    let name = format!("{REGISTRY}.{domain}");
    build(&name, RrType::Txt, REGISTRY_TTL_S, entries.iter().map(|e| format!("\"{e}\"")))
}

fn registered(record: &ResourceRecordSet) -> BTreeSet<String> {
    record.resource_records().iter().map(|r| r.value().trim_matches('"').to_owned()).collect()
}

fn wanted(records: &[v1::DnsRecord], domain: &str) -> Result<Vec<ResourceRecordSet>> {
    let mut sets = Vec::new();
    for record in records {
        let name = zones::record_name(record, domain)?;
        let kind = match record.r#type.as_str() {
            "A" => RrType::A,
            "AAAA" => RrType::Aaaa,
            "CNAME" => RrType::Cname,
            "TXT" => RrType::Txt,
            other => return Err(invalid(format!("records of type {other} are not offered"))),
        };
        let in_zone_file = |v: &String| if kind == RrType::Txt { zones::quoted(v) } else { v.clone() };
        let values: Vec<String> = record.values.iter().map(in_zone_file).collect();
        sets.push(build(&name, kind, i64::from(record.ttl_seconds.max(1)), values)?);
    }
    Ok(sets)
}

fn same(a: &ResourceRecordSet, b: &ResourceRecordSet) -> bool {
    let values =
        |r: &ResourceRecordSet| r.resource_records().iter().map(|v| v.value().to_owned()).collect::<BTreeSet<_>>();
    entry(a) == entry(b) && a.ttl() == b.ttl() && values(a) == values(b)
}

/// Makes exactly these records be landlord's in the zone.
pub(crate) async fn ensure(
    aws: &Clients,
    scope: &v1::Scope,
    zone: &v1::DnsZoneStatus,
    records: &[v1::DnsRecord],
) -> Result<Outcome> {
    let id = short_id(&zone.zone_id);
    let response = aws.zones.get_hosted_zone().id(id).send().await;
    let response = response.map_err(failed(action::GET_HOSTED_ZONE, id))?;
    let hosted = response.hosted_zone.ok_or_else(|| incomplete(action::GET_HOSTED_ZONE, "the zone"))?;
    if !super::is_ours(scope, &hosted) {
        return Err(crate::tags::name_taken("hosted zone", id).into());
    }
    let domain = normal(hosted.name());
    let wanted = wanted(records, &domain)?;
    let present = all(aws, id).await?;
    let registry_name = format!("{REGISTRY}.{domain}");
    let old_registry = present.iter().find(|r| normal(r.name()) == registry_name && *r.r#type() == RrType::Txt);
    let ours = old_registry.map(registered).unwrap_or_default();
    let entries: BTreeSet<String> = wanted.iter().map(entry).collect();
    let mut changes = Vec::new();
    for set in &wanted {
        if !present.iter().any(|p| same(p, set)) {
            changes.push((ChangeAction::Upsert, set.clone()));
        }
    }
    for stale in present.iter().filter(|p| ours.contains(&entry(p)) && !entries.contains(&entry(p))) {
        changes.push((ChangeAction::Delete, stale.clone()));
    }
    match old_registry {
        Some(old) if entries.is_empty() => changes.push((ChangeAction::Delete, old.clone())),
        _ if entries != ours => changes.push((ChangeAction::Upsert, registry(&domain, &entries)?)),
        _ => {}
    }
    if !changes.is_empty() {
        change(aws, id, changes).await?;
    }
    Ok(progress::ready())
}

/// The inventory's view.
pub(crate) fn owned(scope: &v1::Scope, record: &ResourceRecordSet) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: "AWS::Route53::RecordSet".to_owned(),
        id: entry(record),
        name: normal(record.name()),
        role: "dns-record".to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// Landlord's records in one of the tenant's zones, the registry last.
async fn listed(aws: &Clients, zone: &HostedZone) -> Result<Vec<ResourceRecordSet>> {
    let registry_name = format!("{REGISTRY}.{}", normal(zone.name()));
    let present = all(aws, short_id(zone.id())).await?;
    let is_registry = |r: &ResourceRecordSet| normal(r.name()) == registry_name && *r.r#type() == RrType::Txt;
    let Some(list) = present.iter().find(|r| is_registry(r)).cloned() else {
        return Ok(Vec::new());
    };
    let ours = registered(&list);
    let mut found: Vec<_> = present.into_iter().filter(|r| ours.contains(&entry(r))).collect();
    found.push(list);
    Ok(found)
}

/// Makes landlord's records be absent.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope, domain: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    Names::new(scope)?;
    let mut removed = Vec::new();
    for zone in find(aws, scope, domain).await? {
        let records = listed(aws, &zone).await?;
        delete_all(aws, short_id(zone.id()), &records).await?;
        removed.extend(records.iter().map(|r| owned(scope, r)));
    }
    Ok((Outcome::Gone, removed))
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope, domain: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    Names::new(scope)?;
    let mut objects = Vec::new();
    for zone in find(aws, scope, domain).await? {
        objects.extend(listed(aws, &zone).await?.iter().map(|r| owned(scope, r)));
    }
    let outcome = if objects.is_empty() { Outcome::Gone } else { progress::ready() };
    Ok((outcome, objects))
}
