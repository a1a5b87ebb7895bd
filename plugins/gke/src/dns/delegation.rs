//! The NS record in a parent zone that points to a tenant's zone. The record has no room for a
//! marker: it is ours exactly as long as it names our zone's servers, and any other is left alone.

use google_cloud_dns_v1::model::ResourceRecordSet;
use landlord_provider_api::v1;
use landlord_provider_sdk::zones::same_servers;

use super::{Place, records};
use crate::{error::Result, google::Google, markers};

/// How long a resolver may keep the delegation, seconds.
const TTL_S: i32 = 300;

fn points_to(record: &ResourceRecordSet, servers: &[String]) -> bool {
    same_servers(&record.rrdatas, servers)
}

/// Makes the parent point to these servers.
pub(crate) async fn ensure(google: &Google, parent: Place<'_>, domain: &str, servers: &[String]) -> Result<()> {
    match records::look_up(google, parent, domain, "NS").await? {
        Some(record) if points_to(&record, servers) => Ok(()),
        Some(_) => Err(markers::name_taken("delegation", domain).into()),
        None => {
            let record = records::build(domain, "NS", TTL_S, servers.iter().map(|s| format!("{s}.")));
            records::change(google, parent, vec![record], Vec::new()).await
        }
    }
}

/// Takes the delegation away if it points to these servers.
pub(crate) async fn delete(
    google: &Google,
    scope: &v1::Scope,
    parent: Place<'_>,
    domain: &str,
    servers: &[String],
) -> Result<Option<v1::OwnedObject>> {
    let found = records::look_up(google, parent, domain, "NS").await?;
    let Some(record) = found.filter(|r| points_to(r, servers)) else {
        return Ok(None);
    };
    let owned = records::owned(scope, &record);
    records::change(google, parent, Vec::new(), vec![record]).await?;
    Ok(Some(owned))
}
