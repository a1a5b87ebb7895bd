//! Records in the tenant's zone. ExternalDNS may write there too, so a TXT record at
//! `_landlord.<domain>` lists which ones are landlord's; it changes in the same atomic change.

use std::collections::BTreeSet;

use google_cloud_dns_v1::model::{Change, ManagedZone, ResourceRecordSet};
use google_cloud_gax::paginator::ItemPaginator as _;
use landlord_provider_api::{ErrorKind, ProviderError, v1};
use landlord_provider_sdk::zones;

use super::{Place, domain_of, find_own, get, name_of};
use crate::{
    action,
    error::{Absent as _, Error, Result, failed, invalid, is_taken},
    google::Google,
    markers,
    names::normal,
    progress::{self, Outcome},
};

/// Label of the record that lists landlord's records.
const REGISTRY: &str = "_landlord";
/// Time to live of the registry, seconds; nobody looks it up.
const REGISTRY_TTL_S: i32 = 300;
/// Additions, and deletions, of one change (quota `rrsetAdditionsPerChange`, 1,000 by default).
const CHANGE_MAX: usize = 500;
/// Type in the inventory.
const TYPE_NAME: &str = "dns.googleapis.com/ResourceRecordSet";

/// A record set.
pub(crate) fn build(name: &str, kind: &str, ttl_s: i32, values: impl IntoIterator<Item = String>) -> ResourceRecordSet {
    ResourceRecordSet::new().set_name(format!("{name}.")).set_type(kind).set_ttl(ttl_s).set_rrdatas(values)
}

fn name_and_type(record: &ResourceRecordSet) -> (String, &str) {
    (normal(record.name.as_deref().unwrap_or_default()), record.r#type.as_deref().unwrap_or_default())
}

/// Changes a zone, all or nothing.
pub(crate) async fn change(
    google: &Google,
    place: Place<'_>,
    additions: Vec<ResourceRecordSet>,
    deletions: Vec<ResourceRecordSet>,
) -> Result<()> {
    let request = google.changes.create().set_project(place.project).set_managed_zone(place.zone);
    let body = Change::new().set_additions(additions).set_deletions(deletions);
    let response = request.set_body(body).send().await;
    response.map(drop).map_err(failed(action::CREATE_CHANGE, place.zone)).map_err(changed_in_between)
}

/// A deletion names the record as it was read. A refusal means that somebody changed it in
/// between, which the next observation settles.
fn changed_in_between(error: Error) -> Error {
    if !(error.is_absent() || is_taken(&error)) {
        return error;
    }
    let message = format!("the zone's records changed while they were being changed: {error}");
    ProviderError::new(ErrorKind::Conflict, message).into()
}

async fn delete_all(google: &Google, place: Place<'_>, records: &[ResourceRecordSet]) -> Result<()> {
    for some in records.chunks(CHANGE_MAX) {
        change(google, place, Vec::new(), some.to_vec()).await?;
    }
    Ok(())
}

/// The record set of this name and type.
pub(crate) async fn look_up(
    google: &Google,
    place: Place<'_>,
    name: &str,
    kind: &str,
) -> Result<Option<ResourceRecordSet>> {
    let request = google.records.list().set_project(place.project).set_managed_zone(place.zone);
    let response = request.set_name(format!("{name}.")).set_type(kind).send().await;
    let response = response.map_err(failed(action::LIST_RECORDS, place.zone))?;
    Ok(response.rrsets.into_iter().find(|r| name_and_type(r) == (normal(name), kind)))
}

/// All records of a zone; none if the zone is gone.
async fn all(google: &Google, place: Place<'_>) -> Result<Vec<ResourceRecordSet>> {
    let mut items = google.records.list().set_project(place.project).set_managed_zone(place.zone).by_item();
    let mut found = Vec::new();
    while let Some(record) = items.next().await {
        match record.map_err(failed(action::LIST_RECORDS, place.zone)).or_absent()? {
            Some(record) => found.push(record),
            None => break,
        }
    }
    Ok(found)
}

/// Removes everything but the zone's own NS and SOA; gives what it removed.
pub(crate) async fn clear(google: &Google, place: Place<'_>, domain: &str) -> Result<Vec<ResourceRecordSet>> {
    let own = |r: &ResourceRecordSet| {
        let (name, kind) = name_and_type(r);
        name == domain && matches!(kind, "NS" | "SOA")
    };
    let records: Vec<_> = all(google, place).await?.into_iter().filter(|r| !own(r)).collect();
    delete_all(google, place, &records).await?;
    Ok(records)
}

/// `A acme.example.com`, as the registry lists it.
fn entry(record: &ResourceRecordSet) -> String {
    let (name, kind) = name_and_type(record);
    format!("{kind} {name}")
}

fn registry(domain: &str, entries: &BTreeSet<String>) -> ResourceRecordSet {
    build(&format!("{REGISTRY}.{domain}"), "TXT", REGISTRY_TTL_S, entries.iter().map(|e| format!("\"{e}\"")))
}

fn registered(record: &ResourceRecordSet) -> BTreeSet<String> {
    record.rrdatas.iter().map(|r| r.trim_matches('"').to_owned()).collect()
}

fn is_registry(record: &ResourceRecordSet, domain: &str) -> bool {
    name_and_type(record) == (format!("{REGISTRY}.{domain}"), "TXT")
}

fn wanted(records: &[v1::DnsRecord], domain: &str) -> Result<Vec<ResourceRecordSet>> {
    let mut sets = Vec::new();
    for record in records {
        let name = zones::record_name(record, domain)?;
        let kind = record.r#type.as_str();
        if !["A", "AAAA", "CNAME", "TXT"].contains(&kind) {
            return Err(invalid(format!("records of type {kind} are not offered")));
        }
        // Cloud DNS takes values in the form of a zone file: names end with a dot, text is quoted.
        let in_zone_file = |v: &String| match kind {
            "TXT" => zones::quoted(v),
            "CNAME" => format!("{}.", normal(v)),
            _ => v.clone(),
        };
        sets.push(build(&name, kind, record.ttl_seconds.max(1), record.values.iter().map(in_zone_file)));
    }
    Ok(sets)
}

fn same(a: &ResourceRecordSet, b: &ResourceRecordSet) -> bool {
    let values = |r: &ResourceRecordSet| r.rrdatas.iter().cloned().collect::<BTreeSet<_>>();
    entry(a) == entry(b) && a.ttl == b.ttl && values(a) == values(b)
}

/// What to add and what to delete, for exactly `wanted` to be landlord's. A record that differs is
/// deleted as it is and added as it should be.
fn plan(
    present: &[ResourceRecordSet],
    wanted: &[ResourceRecordSet],
    domain: &str,
) -> (Vec<ResourceRecordSet>, Vec<ResourceRecordSet>) {
    let old = present.iter().find(|r| is_registry(r, domain));
    let ours = old.map(registered).unwrap_or_default();
    let entries: BTreeSet<String> = wanted.iter().map(entry).collect();
    let (mut additions, mut deletions) = (Vec::new(), Vec::new());
    for set in wanted.iter().filter(|w| !present.iter().any(|p| same(p, w))) {
        deletions.extend(present.iter().filter(|p| entry(p) == entry(set)).cloned());
        additions.push(set.clone());
    }
    let stale = present.iter().filter(|p| ours.contains(&entry(p)) && !entries.contains(&entry(p)));
    deletions.extend(stale.cloned());
    if entries != ours {
        deletions.extend(old.cloned());
        if !entries.is_empty() {
            additions.push(registry(domain, &entries));
        }
    }
    (additions, deletions)
}

/// Makes exactly these records be landlord's in the zone.
pub(crate) async fn ensure(
    google: &Google,
    scope: &v1::Scope,
    zone: &v1::DnsZoneStatus,
    records: &[v1::DnsRecord],
) -> Result<Outcome> {
    let id = zone.zone_id.as_str();
    let Some(hosted) = get(google, &scope.account, id).await? else {
        return Err(ProviderError::new(ErrorKind::Conflict, format!("managed zone {id} does not exist")).into());
    };
    if !markers::is_ours(scope, &hosted.labels) {
        return Err(markers::name_taken("managed zone", id).into());
    }
    let (place, domain) = (Place { project: &scope.account, zone: id }, domain_of(&hosted));
    let wanted = wanted(records, &domain)?;
    let (additions, deletions) = plan(&all(google, place).await?, &wanted, &domain);
    if !additions.is_empty() || !deletions.is_empty() {
        change(google, place, additions, deletions).await?;
    }
    Ok(progress::ready())
}

/// The inventory's view.
pub(crate) fn owned(scope: &v1::Scope, record: &ResourceRecordSet) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: TYPE_NAME.to_owned(),
        id: entry(record),
        name: name_and_type(record).0,
        role: "dns-record".to_owned(),
        tenant_uid: scope.tenant_uid.clone(),
        region: scope.region.clone(),
    }
}

/// Landlord's records in one of the tenant's zones, the registry last.
async fn listed(google: &Google, scope: &v1::Scope, zone: &ManagedZone) -> Result<Vec<ResourceRecordSet>> {
    let (place, domain) = (Place { project: &scope.account, zone: name_of(zone) }, domain_of(zone));
    let present = all(google, place).await?;
    let Some(list) = present.iter().find(|r| is_registry(r, &domain)).cloned() else {
        return Ok(Vec::new());
    };
    let ours = registered(&list);
    let mut found: Vec<_> = present.into_iter().filter(|r| ours.contains(&entry(r))).collect();
    found.push(list);
    Ok(found)
}

/// Makes landlord's records be absent.
pub(crate) async fn delete(
    google: &Google,
    scope: &v1::Scope,
    domain: &str,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut removed = Vec::new();
    for zone in find_own(google, scope, domain).await? {
        let records = listed(google, scope, &zone).await?;
        delete_all(google, Place { project: &scope.account, zone: name_of(&zone) }, &records).await?;
        removed.extend(records.iter().map(|r| owned(scope, r)));
    }
    Ok((Outcome::Gone, removed))
}

/// Observes.
pub(crate) async fn observe(
    google: &Google,
    scope: &v1::Scope,
    domain: &str,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut objects = Vec::new();
    for zone in find_own(google, scope, domain).await? {
        objects.extend(listed(google, scope, &zone).await?.iter().map(|r| owned(scope, r)));
    }
    let outcome = if objects.is_empty() { Outcome::Gone } else { progress::ready() };
    Ok((outcome, objects))
}

#[cfg(test)]
mod tests {
    use super::{ResourceRecordSet, build, entry, plan, registry, wanted};
    use landlord_provider_api::v1::DnsRecord;

    const DOMAIN: &str = "acme.example.com";

    fn record(name: &str, kind: &str, value: &str) -> DnsRecord {
        DnsRecord { name: name.to_owned(), r#type: kind.to_owned(), ttl_seconds: 60, values: vec![value.to_owned()] }
    }

    fn entries(sets: &[ResourceRecordSet]) -> Vec<String> {
        sets.iter().map(entry).collect()
    }

    #[test]
    fn values_take_the_form_of_a_zone_file() {
        let records =
            [record("files.acme.example.com", "CNAME", "lb.example.net"), record(DOMAIN, "TXT", "say \"hi\"")];
        let sets = wanted(&records, DOMAIN).expect("valid");
        assert_eq!(sets[0].rrdatas, ["lb.example.net."]);
        assert_eq!(sets[1].rrdatas, ["\"say \\\"hi\\\"\""]);
        for bad in [record("elsewhere.com", "A", "192.0.2.1"), record(DOMAIN, "MX", "x")] {
            assert!(wanted(&[bad], DOMAIN).is_err());
        }
    }

    #[test]
    fn a_plan_adds_replaces_and_removes_only_our_own() {
        let (a, files) = ("192.0.2.1".to_owned(), build("files.acme.example.com", "A", 60, ["192.0.2.2".to_owned()]));
        let apex = build(DOMAIN, "A", 60, [a]);
        let both = [apex.clone(), files.clone()];
        let (additions, deletions) = plan(&[], &both, DOMAIN);
        assert_eq!(
            entries(&additions),
            ["A acme.example.com", "A files.acme.example.com", "TXT _landlord.acme.example.com"]
        );
        assert!(deletions.is_empty());
        let others = build("other.acme.example.com", "A", 60, ["192.0.2.9".to_owned()]);
        let list = registry(DOMAIN, &both.iter().map(entry).collect());
        let present = [apex.clone(), files.clone(), others, list];
        assert_eq!(plan(&present, &both, DOMAIN), (Vec::new(), Vec::new()));
        let moved = build("files.acme.example.com", "A", 60, ["192.0.2.3".to_owned()]);
        let (additions, deletions) = plan(&present, std::slice::from_ref(&moved), DOMAIN);
        assert_eq!(additions[0], moved);
        assert_eq!(
            entries(&deletions),
            ["A files.acme.example.com", "A acme.example.com", "TXT _landlord.acme.example.com"]
        );
        let (additions, deletions) = plan(&present, &[], DOMAIN);
        assert!(additions.is_empty() && deletions.len() == 3, "{deletions:?}");
    }
}
