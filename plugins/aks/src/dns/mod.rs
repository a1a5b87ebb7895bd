//! The tenant's DNS zone, in a resource group of its own: the zone is made and removed beside
//! the network, and whichever came last could not see from ARM's lists that it did. Azure lets
//! zones of the same name stand side by side in different groups: a foreign one is no obstacle.

pub(crate) mod delegation;
pub(crate) mod records;

use landlord_provider_api::v1;
use serde::Deserialize;
use serde_json::json;

use crate::{
    api,
    arm::If,
    error::{Result, incomplete, invalid, is_precondition},
    group,
    names::Call,
    object::{Object, State},
    operation::{self, Followed, Work},
    progress::{Outcome, pending, ready},
    tags,
};

/// Seconds between observations.
const POLL_S: i64 = 5;

/// What is read of a zone.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Properties {
    name_servers: Vec<String>,
}

/// A zone as found.
pub(crate) type Zone = Object<Properties>;

/// A domain as this plugin compares it.
pub(crate) fn normal(domain: &str) -> String {
    domain.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a zone's id is one of the tenant's; the status that names it comes from outside.
pub(crate) fn check_own(call: &Call<'_>, id: &str) -> Result<String> {
    let prefix = format!("{}/", call.names.zones_path());
    let inside = id.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(&prefix));
    let domain = id.get(prefix.len()..).unwrap_or_default();
    if !inside || domain.is_empty() || domain.contains('/') {
        return Err(invalid(format!("{id:?} is not the id of a zone of this tenant; run the zone's stage again")));
    }
    Ok(normal(domain))
}

/// The zone of a domain; a foreign one in our group is an error.
pub(crate) async fn find(call: &Call<'_>, domain: &str) -> Result<Option<Zone>> {
    let found = call.arm.get::<Properties>(&api::ZONE, &call.names.zone_id(domain)).await?;
    match found {
        Some(found) if !found.is_ours(call.scope) => Err(tags::name_taken("DNS zone", found.name()).into()),
        found => Ok(found),
    }
}

/// All zones of the tenant.
pub(crate) async fn list(call: &Call<'_>) -> Result<Vec<Zone>> {
    let mut zones = call.arm.list::<Properties>(&api::ZONE, &call.names.zones_path(), None).await?;
    zones.retain(|zone| zone.is_ours(call.scope));
    Ok(zones)
}

/// Those of a domain, or with an empty domain all.
async fn chosen(call: &Call<'_>, domain: &str) -> Result<Vec<Zone>> {
    let mut zones = list(call).await?;
    zones.retain(|zone| domain.is_empty() || normal(zone.name()) == normal(domain));
    Ok(zones)
}

/// Makes the zone exist, and delegated where the settings name its parent.
pub(crate) async fn ensure(call: &Call<'_>, domain: &str) -> Result<(Outcome, Option<v1::DnsZoneStatus>)> {
    let domain = normal(domain);
    if domain.is_empty() || domain.contains('/') {
        return Err(invalid(format!("{domain:?} is not a domain")));
    }
    let group = call.names.dns_group();
    if let Err(outcome) = group::ensure(call, &group, "dns-zone").await? {
        return Ok((outcome, None));
    }
    let zone = match find(call, &domain).await? {
        Some(zone) => zone,
        None => {
            let body = json!({
                "location": "global",
                "tags": tags::all(call.scope, "dns-zone"),
                "properties": { "zoneType": "Public" },
            });
            match call.arm.put(&api::ZONE, &call.names.zone_id(&domain), &body, If::Absent).await {
                Ok(response) => response.object(&api::ZONE)?,
                // Made in the meantime: the next observation decides whose it is.
                Err(error) if is_precondition(&error) => {
                    return Ok((pending(POLL_S, "the zone is there; looking whose it is"), None));
                }
                Err(error) => return Err(error),
            }
        }
    };
    if zone.state() != State::Succeeded {
        return Ok((pending(POLL_S, format!("DNS zone {domain} is {}", zone.state().as_str())), None));
    }
    let servers = name_servers(&zone)?;
    if let Some((parent, parent_id)) = call.config.parent_zones.of(&domain) {
        delegation::ensure(call, (parent, parent_id), &domain, &servers).await?;
    }
    Ok((ready(), Some(v1::DnsZoneStatus { zone_id: call.names.zone_id(&domain), name_servers: servers })))
}

fn name_servers(zone: &Zone) -> Result<Vec<String>> {
    let servers: Vec<String> = zone.properties.name_servers.iter().map(|s| normal(s)).collect();
    if servers.is_empty() {
        return Err(incomplete(&api::ZONE, "the name servers"));
    }
    Ok(servers)
}

/// Makes the zone be absent: its delegation, then itself with its records, then its group.
/// Without a domain, every zone of the tenant.
pub(crate) async fn delete(
    call: &Call<'_>,
    domain: &str,
    checkpoint: &[u8],
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let Some(group) = group::find_own(call, &call.names.dns_group()).await? else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    // A zone that is going looks like any other.
    if let Followed::Running { retry_after: after } = operation::follow(call.arm, Work::Deletion, checkpoint).await? {
        let outcome = operation::waiting(after, POLL_S, "the DNS zone is being deleted");
        return Ok((outcome.or_checkpoint(checkpoint), Vec::new()));
    }
    let mut removed = Vec::new();
    let mut waiting = None;
    for zone in chosen(call, domain).await? {
        let name = normal(zone.name());
        if let Some((parent, parent_id)) = call.config.parent_zones.of(&name) {
            removed.extend(delegation::delete(call, (parent, parent_id), &name).await?);
        }
        if zone.state() == State::Deleting {
            waiting = Some(pending(POLL_S, format!("DNS zone {name} is being deleted")));
            continue;
        }
        let records = records::listed(call, &zone).await?;
        removed.extend(records.iter().map(|r| records::owned(call, r)));
        removed.push(zone.owned(call.scope));
        if let Some(response) = call.arm.delete(&api::ZONE, zone.id()).await? {
            waiting = Some(operation::begun(
                call.arm,
                Work::Deletion,
                &response,
                POLL_S,
                format!("DNS zone {name} is being deleted"),
            ));
        }
    }
    if let Some(outcome) = waiting {
        return Ok((outcome, removed));
    }
    if !list(call).await?.is_empty() {
        // Zones of other domains keep their group.
        return Ok((Outcome::Gone, removed));
    }
    let (outcome, more) = group::remove(call, &group, checkpoint).await?;
    removed.extend(more);
    Ok((outcome, removed))
}

/// Observes.
pub(crate) async fn observe(call: &Call<'_>, domain: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let zones = chosen(call, domain).await?;
    let outcome = if zones.is_empty() { Outcome::Gone } else { ready() };
    Ok((outcome, zones.iter().map(|zone| zone.owned(call.scope)).collect()))
}
