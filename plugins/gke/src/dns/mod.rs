//! The tenant's managed zone and its records. The zone's name carries the tenant's uid and a hash
//! of the domain, so the name is the idempotency key; the labels in the create call are the marker.
//! Public zones of the same domain may stand side by side in a project: a foreign one is left alone
//! and is no obstacle.

pub(crate) mod delegation;
pub(crate) mod records;

use google_cloud_dns_v1::model::{ManagedZone, managed_zone::Visibility};
use google_cloud_gax::paginator::ItemPaginator as _;
use landlord_provider_api::v1;

use crate::{
    action,
    config::{Config, ParentZone},
    error::{Absent as _, Result, failed, incomplete, invalid, is_taken},
    google::Google,
    markers,
    names::{Names, normal},
    progress::{self, Outcome},
};

/// Seconds until a zone that somebody else is creating is searched for again.
const POLL_S: i64 = 5;
/// Type in the inventory.
const TYPE_NAME: &str = "dns.googleapis.com/ManagedZone";

/// Where a zone is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) project: &'a str,
    pub(crate) zone: &'a str,
}

impl<'a> Place<'a> {
    fn of_parent(scope: &'a v1::Scope, parent: &'a ParentZone) -> Self {
        let project = if parent.project.is_empty() { &scope.account } else { &parent.project };
        Self { project, zone: &parent.zone }
    }
}

fn name_of(zone: &ManagedZone) -> &str {
    zone.name.as_deref().unwrap_or_default()
}

fn domain_of(zone: &ManagedZone) -> String {
    normal(zone.dns_name.as_deref().unwrap_or_default())
}

/// A zone by its name.
async fn get(google: &Google, project: &str, name: &str) -> Result<Option<ManagedZone>> {
    let response = google.zones.get().set_project(project).set_managed_zone(name).send().await;
    response.map_err(failed(action::GET_ZONE, name)).or_absent()
}

/// The tenant's zone of this domain; a foreign one of our name is an error.
async fn find(google: &Google, scope: &v1::Scope, names: &Names, domain: &str) -> Result<Option<ManagedZone>> {
    let name = names.zone(domain);
    let Some(zone) = get(google, &scope.account, &name).await? else {
        return Ok(None);
    };
    if !markers::is_ours(scope, &zone.labels) {
        return Err(markers::name_taken("managed zone", &name).into());
    }
    Ok(Some(zone))
}

/// The tenant's zones: the one of this domain, or without a domain all of them.
pub(crate) async fn find_own(google: &Google, scope: &v1::Scope, domain: &str) -> Result<Vec<ManagedZone>> {
    let names = Names::new(scope)?;
    if domain.is_empty() {
        return list(google, scope).await;
    }
    let zone = get(google, &scope.account, &names.zone(&normal(domain))).await?;
    Ok(zone.filter(|z| markers::is_ours(scope, &z.labels)).into_iter().collect())
}

/// A zone that has the tenant's name for `domain` and not our markers is an error.
pub(crate) async fn refuse_unmarked(google: &Google, scope: &v1::Scope, names: &Names, domain: &str) -> Result<()> {
    find(google, scope, names, &normal(domain)).await.map(drop)
}

/// All zones of the installation, or of the tenant if the scope names one.
pub(crate) async fn list(google: &Google, scope: &v1::Scope) -> Result<Vec<ManagedZone>> {
    let mut items = google.zones.list().set_project(&scope.account).by_item();
    let mut found = Vec::new();
    while let Some(zone) = items.next().await {
        let zone = zone.map_err(failed(action::LIST_ZONES, &scope.account))?;
        if markers::is_in_scope(scope, &zone.labels) {
            found.push(zone);
        }
    }
    Ok(found)
}

/// Makes the zone exist, and be delegated where the settings name its parent.
pub(crate) async fn ensure(
    google: &Google,
    config: &Config,
    scope: &v1::Scope,
    domain: &str,
) -> Result<(Outcome, Option<v1::DnsZoneStatus>)> {
    let names = Names::new(scope)?;
    let domain = normal(domain);
    if domain.is_empty() {
        return Err(invalid("the zone's domain is empty"));
    }
    let zone = match find(google, scope, &names, &domain).await? {
        Some(zone) => zone,
        None => match create(google, scope, &names.zone(&domain), &domain).await {
            Ok(zone) => zone,
            // Somebody was faster, perhaps an earlier call of ours: the next observation decides.
            Err(error) if is_taken(&error) => {
                return Ok((progress::pending(POLL_S, "the zone was created before; looking again"), None));
            }
            Err(error) => return Err(error),
        },
    };
    let servers: Vec<String> = zone.name_servers.iter().map(|s| normal(s)).collect();
    if servers.is_empty() {
        return Err(incomplete(action::GET_ZONE, "the name servers"));
    }
    if let Some((_, parent)) = config.parent_zones.of(&domain) {
        delegation::ensure(google, Place::of_parent(scope, parent), &domain, &servers).await?;
    }
    let status = v1::DnsZoneStatus { zone_id: name_of(&zone).to_owned(), name_servers: servers };
    Ok((progress::ready(), Some(status)))
}

async fn create(google: &Google, scope: &v1::Scope, name: &str, domain: &str) -> Result<ManagedZone> {
    let zone = ManagedZone::new()
        .set_name(name)
        .set_dns_name(format!("{domain}."))
        .set_description(format!("Zone of a landlord tenant ({})", scope.tenant_uid))
        .set_visibility(Visibility::Public)
        .set_labels(markers::labels(scope, "dns-zone"));
    let response = google.zones.create().set_project(&scope.account).set_body(zone).send().await;
    response.map_err(failed(action::CREATE_ZONE, name))
}

/// The inventory's view.
pub(crate) fn owned(scope: &v1::Scope, zone: &ManagedZone) -> v1::OwnedObject {
    let id = format!("projects/{}/managedZones/{}", scope.account, name_of(zone));
    markers::owned(TYPE_NAME, &id, &domain_of(zone), &zone.labels, &scope.region)
}

/// Makes the zone be absent: its delegation, its records, then itself. Without a domain, every
/// zone of the tenant.
pub(crate) async fn delete(
    google: &Google,
    config: &Config,
    scope: &v1::Scope,
    domain: &str,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut removed = Vec::new();
    for zone in find_own(google, scope, domain).await? {
        let (name, domain) = (name_of(&zone), domain_of(&zone));
        let place = Place { project: &scope.account, zone: name };
        if let Some((_, parent)) = config.parent_zones.of(&domain) {
            let servers: Vec<String> = zone.name_servers.iter().map(|s| normal(s)).collect();
            removed
                .extend(delegation::delete(google, scope, Place::of_parent(scope, parent), &domain, &servers).await?);
        }
        removed.extend(records::clear(google, place, &domain).await?.iter().map(|r| records::owned(scope, r)));
        let response = google.zones.delete().set_project(&scope.account).set_managed_zone(name).send().await;
        response.map(drop).map_err(failed(action::DELETE_ZONE, name)).or_absent()?;
        removed.push(owned(scope, &zone));
    }
    Ok((Outcome::Gone, removed))
}

/// Observes.
pub(crate) async fn observe(
    google: &Google,
    scope: &v1::Scope,
    domain: &str,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let zones = find_own(google, scope, domain).await?;
    let outcome = if zones.is_empty() { Outcome::Gone } else { progress::ready() };
    Ok((outcome, zones.iter().map(|z| owned(scope, z)).collect()))
}
