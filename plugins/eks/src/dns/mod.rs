//! The tenant's Route 53 zone and its records.
//!
//! CreateHostedZone takes no tags. The marker that a zone carries from its creation on is
//! therefore its caller reference, which Route 53 keeps and shows; the tags follow for people
//! and cost reports. Public zones of the same name may stand side by side in an account: a
//! foreign is left alone and is no obstacle.

pub(crate) mod delegation;
pub(crate) mod records;

use aws_sdk_route53::types::{DelegationSet, HostedZone, HostedZoneConfig, Tag, TagResourceType};
use landlord_provider_api::v1;
use landlord_provider_sdk::zones;

use crate::{
    action,
    aws::Clients,
    config::Config,
    error::{Absent as _, Result, failed, incomplete, invalid},
    names::Names,
    progress::{self, Outcome},
    tags,
};

/// Seconds until a zone whose creation is being sorted out is searched for again.
const POLL_S: i64 = 5;
/// A caller reference ends at 128 characters: installation 63, uid 36, and this.
const ATTEMPT_LEN_MAX: usize = 16;
/// A reference refused so often (a minute of looking) belongs to a zone that is gone, not to
/// one that is merely not listed yet.
const REFUSALS_AN_ATTEMPT: u32 = 12;
/// Zones requested at once, the most that Route 53 gives.
const PAGE: i32 = 100;
/// Same-named zones looked through; more than that is not a name in use but abuse.
const PAGES_MAX: usize = 5;

/// What every caller reference of the tenant begins with.
fn mark(scope: &v1::Scope) -> String {
    format!("{}/{}/", scope.installation, scope.tenant_uid)
}

/// Whether the zone is this tenant's.
pub(crate) fn is_ours(scope: &v1::Scope, zone: &HostedZone) -> bool {
    zone.caller_reference().starts_with(&mark(scope))
}

/// `/hostedzone/Z1` → `Z1`.
pub(crate) fn short_id(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// The tenant's zones of this domain: none, one, or, after two calls at once, several.
pub(crate) async fn find(aws: &Clients, scope: &v1::Scope, domain: &str) -> Result<Vec<HostedZone>> {
    let domain = normal(domain);
    let mut found = Vec::new();
    let (mut name, mut id) = (format!("{domain}."), None);
    for _ in 0..PAGES_MAX {
        let request = aws.zones.list_hosted_zones_by_name().dns_name(name).set_hosted_zone_id(id).max_items(PAGE);
        let response = request.send().await.map_err(failed(action::LIST_HOSTED_ZONES_BY_NAME, &domain))?;
        let past = response.hosted_zones().iter().any(|z| normal(z.name()) != domain);
        let same = response.hosted_zones.iter().filter(|z| normal(z.name()) == domain);
        found.extend(same.filter(|z| is_ours(scope, z)).cloned());
        match response.next_dns_name {
            Some(next) if response.is_truncated && !past => (name, id) = (next, response.next_hosted_zone_id),
            _ => break,
        }
    }
    // The one with most records is the one that is in use.
    found.sort_by(|a, b| {
        b.resource_record_set_count().cmp(&a.resource_record_set_count()).then_with(|| a.id().cmp(b.id()))
    });
    Ok(found)
}

/// All zones of the installation, or of the tenant if the scope names one.
pub(crate) async fn list(aws: &Clients, scope: &v1::Scope) -> Result<Vec<HostedZone>> {
    let prefix = if scope.tenant_uid.is_empty() { format!("{}/", scope.installation) } else { mark(scope) };
    let mut pages = aws.zones.list_hosted_zones().max_items(PAGE).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(failed(action::LIST_HOSTED_ZONES, &scope.installation))?;
        found.extend(page.hosted_zones.into_iter().filter(|z| z.caller_reference().starts_with(&prefix)));
    }
    Ok(found)
}

/// The uid in a zone's caller reference.
pub(crate) fn uid_of(zone: &HostedZone) -> String {
    zone.caller_reference().split('/').nth(1).unwrap_or_default().to_owned()
}

/// Makes the zone exist, tagged, and delegated where the settings name its parent.
pub(crate) async fn ensure(
    aws: &Clients,
    config: &Config,
    scope: &v1::Scope,
    domain: &str,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<v1::DnsZoneStatus>)> {
    let names = Names::new(scope)?;
    let domain = normal(domain);
    if domain.is_empty() {
        return Err(invalid("the zone's domain is empty"));
    }
    let mut zones = find(aws, scope, &domain).await?.into_iter();
    let Some(zone) = zones.next() else {
        return create(aws, scope, &names, &domain, checkpoint).await;
    };
    for surplus in zones {
        records::clear(aws, &surplus).await?;
        remove(aws, &surplus).await?;
    }
    mark_with_tags(aws, scope, &zone).await?;
    let servers = name_servers(aws, &zone).await?;
    if let Some((_, parent)) = config.parent_zones.of(&domain) {
        delegation::ensure(aws, parent, &domain, &servers).await?;
    }
    let status = v1::DnsZoneStatus { zone_id: short_id(zone.id()).to_owned(), name_servers: servers };
    Ok((progress::ready(), Some(status)))
}

async fn create(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    domain: &str,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<v1::DnsZoneStatus>)> {
    let refusals: u32 = std::str::from_utf8(checkpoint).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
    let mut token = names.token("zone", format_args!("{domain}/{}", refusals / REFUSALS_AN_ATTEMPT));
    token.truncate(ATTEMPT_LEN_MAX);
    let reference = format!("{}{token}", mark(scope));
    let comment = format!("Zone of a landlord tenant ({})", scope.tenant_uid);
    let request = aws
        .zones
        .create_hosted_zone()
        .name(domain)
        .caller_reference(reference)
        .hosted_zone_config(HostedZoneConfig::builder().comment(comment).private_zone(false).build());
    let observe_again = |refusals: u32, detail: &str| {
        Ok((progress::pending(POLL_S, detail).with_checkpoint(refusals.to_string()), None))
    };
    match request.send().await.map_err(failed(action::CREATE_HOSTED_ZONE, domain)) {
        Ok(_) => observe_again(refusals, "the zone was created; its listing is awaited"),
        // Either this very request succeeded before and is not listed yet, or the zone was
        // deleted by hand and Route 53 remembers its reference: after a while another is taken.
        Err(error) if error.code() == "HostedZoneAlreadyExists" => {
            observe_again(refusals + 1, "the zone was created before and is not listed yet")
        }
        Err(error) => Err(error),
    }
}

async fn mark_with_tags(aws: &Clients, scope: &v1::Scope, zone: &HostedZone) -> Result<()> {
    let id = short_id(zone.id());
    let response =
        aws.zones.list_tags_for_resource().resource_type(TagResourceType::Hostedzone).resource_id(id).send().await;
    let response = response.map_err(failed(action::LIST_TAGS_FOR_RESOURCE, id))?;
    let present = response.resource_tag_set().map(|s| s.tags()).unwrap_or_default();
    let wanted = tags::all(scope, "dns-zone");
    let missing: Vec<Tag> = wanted
        .iter()
        .filter(|(k, v)| !present.iter().any(|t| t.key() == Some(k) && t.value() == Some(v)))
        .map(|(k, v)| Tag::builder().key(k).value(v).build())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    // Route 53 takes ten tags a call.
    for some in missing.chunks(10) {
        let request = aws.zones.change_tags_for_resource().resource_type(TagResourceType::Hostedzone).resource_id(id);
        let response = request.set_add_tags(Some(some.to_vec())).send().await;
        response.map_err(failed(action::CHANGE_TAGS_FOR_RESOURCE, id))?;
    }
    Ok(())
}

async fn name_servers(aws: &Clients, zone: &HostedZone) -> Result<Vec<String>> {
    let response = aws.zones.get_hosted_zone().id(zone.id()).send().await;
    let response = response.map_err(failed(action::GET_HOSTED_ZONE, short_id(zone.id())))?;
    let servers = response.delegation_set().map(DelegationSet::name_servers).unwrap_or_default();
    if servers.is_empty() {
        return Err(incomplete(action::GET_HOSTED_ZONE, "the name servers"));
    }
    Ok(servers.iter().map(|s| normal(s)).collect())
}

/// Deletes a zone that holds nothing but its own records.
async fn remove(aws: &Clients, zone: &HostedZone) -> Result<()> {
    let response = aws.zones.delete_hosted_zone().id(zone.id()).send().await;
    response.map(drop).map_err(failed(action::DELETE_HOSTED_ZONE, zone.name())).or_absent().map(drop)
}

/// The inventory's view.
pub(crate) fn owned(scope: &v1::Scope, zone: &HostedZone) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: "AWS::Route53::HostedZone".to_owned(),
        id: short_id(zone.id()).to_owned(),
        name: normal(zone.name()),
        role: "dns-zone".to_owned(),
        tenant_uid: uid_of(zone),
        region: scope.region.clone(),
    }
}

/// Makes the zone be absent: its delegation, its records, then itself. Without a domain, every
/// zone of the tenant.
pub(crate) async fn delete(
    aws: &Clients,
    config: &Config,
    scope: &v1::Scope,
    domain: &str,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    // The reference begins with the uid: with a malformed one, nothing may be matched.
    Names::new(scope)?;
    let zones = if domain.is_empty() { list(aws, scope).await? } else { find(aws, scope, domain).await? };
    let mut removed = Vec::new();
    for zone in zones {
        let name = normal(zone.name());
        if let Some((_, parent)) = config.parent_zones.of(&name) {
            let servers = name_servers(aws, &zone).await?;
            removed.extend(delegation::delete(aws, scope, parent, &name, &servers).await?);
        }
        removed.extend(records::clear(aws, &zone).await?.iter().map(|r| records::owned(scope, r)));
        remove(aws, &zone).await?;
        removed.push(owned(scope, &zone));
    }
    Ok((Outcome::Gone, removed))
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope, domain: &str) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    Names::new(scope)?;
    let zones = if domain.is_empty() { list(aws, scope).await? } else { find(aws, scope, domain).await? };
    let outcome = if zones.is_empty() { Outcome::Gone } else { progress::ready() };
    Ok((outcome, zones.iter().map(|z| owned(scope, z)).collect()))
}

/// A name as it is compared: lower case, without the last dot. Route 53 writes other characters than letters, digits, hyphen,
/// underscore and dot as octal codes, the star of a wildcard as `\052`:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html>.
pub(crate) fn normal(name: &str) -> String {
    let mut parts = name.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => plain.extend([char::from(code)].into_iter().chain(part[3..].chars())),
            None => plain.extend(['\\'].into_iter().chain(part.chars())),
        }
    }
    zones::normal(&plain)
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn names_are_read_as_route_53_writes_them() {
        for (written, name) in [
            (r"\052.Acme.example.com.", "*.acme.example.com"),
            (r"a\100b.example.com", "a@b.example.com"),
            (r"odd\", r"odd\"),
            ("acme.example.com.", "acme.example.com"),
        ] {
            assert_eq!(normal(written), name, "{written}");
        }
    }
}
